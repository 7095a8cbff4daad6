"""Max pooling: rows of outputs in parallel, elements of a window one after the other.

Where windows are regular, element j of all windows of a row lies in one row of the input, `stride` apart: a vector loop
compares it with the best so far, which stays in the first-level cache. Beside a value goes what its position is further
than the window's beginning, in 32 bits: full positions are made once a row. Windows at the edges, and those of adaptive
and fractional pooling, go one by one. Backward scatters a plane at a time.
"""

import math

import numpy as np

from ..jit import compiled, inlined, kernel, parallel_for, scratch
from .pool import GRAIN, check, middle, regular

# scratch slot: what positions are further than their window's beginning
SLOT = 3


@inlined
def _begin(out, further, line, stride, wanted):
    for i in range(out.size):
        out[i] = line[i * stride]
    if wanted:
        for i in range(out.size):
            further[i] = 0


@inlined
def _one(out, further, line, stride, number, wanted):
    """Another element of every window. Of NaNs the last wins."""
    for i in range(out.size):
        v, best = line[i * stride], out[i]
        wins = (v > best) | (v != v)
        out[i] = v if wins else best
        if wanted:
            further[i] = number if wins else further[i]


@compiled
def _element(out, further, line, stride, number, wanted):
    """Strides of 1 and 2 are told to the compiler, which then shuffles whole vectors."""
    if number == 0:
        if stride == 1:
            _begin(out, further, line, 1, wanted)
        elif stride == 2:
            _begin(out, further, line, 2, wanted)
        else:
            _begin(out, further, line, stride, wanted)
    elif wanted:
        if stride == 1:
            _one(out, further, line, 1, number, True)
        elif stride == 2:
            _one(out, further, line, 2, number, True)
        else:
            _one(out, further, line, stride, number, True)
    elif stride == 1:
        _one(out, further, line, 1, number, False)
    elif stride == 2:
        _one(out, further, line, 2, number, False)
    else:
        _one(out, further, line, stride, number, False)


@compiled
def _alike(out, where, plane, sides, d, h, w, stride):
    """Regular windows of one row: d, h and w are the entries of the first."""
    begin = (d[0] * sides[0] + h[0]) * sides[1] + w[0]
    further = scratch(SLOT, out.size, plane).view(np.int32)[: out.size]
    reach = (out.size - 1) * stride + 1
    for i in range(d[0], d[1], d[2]):
        for j in range(h[0], h[1], h[2]):
            for k in range(w[0], w[1], w[2]):
                at = (i * sides[0] + j) * sides[1] + k
                _element(out, further, plane[at : at + reach], stride, np.int32(at - begin), where.size > 0)
    for i in range(where.size):
        where[i] = begin + i * stride + further[i]


@compiled
def _single(plane, sides, d, h, w):
    """(largest, position) of one window."""
    best, where = plane.dtype.type(-math.inf), -1
    for i in range(d[0], d[1], d[2]):
        for j in range(h[0], h[1], h[2]):
            at = (i * sides[0] + j) * sides[1]
            for k in range(w[0], w[1], w[2]):
                v = plane[at + k]
                if v > best or v != v or where < 0:
                    best, where = v, at + k
    return best, where


@compiled
def _rows(begin, end, y, indices, x, sides, windows_d, windows_h, windows_w, stretch):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    lo, hi, _, stride = stretch
    for row in range(begin, end):
        p, o = row // (OD * OH), row % (OD * OH)
        plane, out = x[p], y[row]
        where = indices[row] if indices.shape[0] else indices.reshape(-1)
        d = windows_d[p if windows_d.shape[0] > 1 else 0, o // OH]
        h = windows_h[p if windows_h.shape[0] > 1 else 0, o % OH]
        w = windows_w[p if windows_w.shape[0] > 1 else 0]
        none = d[0] >= d[1] or h[0] >= h[1]
        if none or hi <= lo:
            first, past = OW, OW
        else:
            first, past = lo, hi
            _alike(out[lo:hi], where[lo:hi], plane, sides, d, h, w[lo], stride)
        for i in range(OW):
            if i < first or i >= past:
                out[i], k = _single(plane, sides, d, h, w[i])
                if where.size:
                    where[i] = k


@kernel
def max_pool_forward(y, indices, x, windows_d, windows_h, windows_w):
    """Rows of outputs in parallel: see kernels/cpu/pool_max.py."""
    check(x, windows_d, 1)
    check(x, windows_h, 2)
    check(x, windows_w, 3)
    for windows in (windows_d, windows_h, windows_w):
        for q in range(windows.shape[0]):
            for o in range(windows.shape[1]):
                if windows[q, o, 2] < 1:
                    raise ValueError("pool: expected steps of at least 1")
    P, ID, IH, IW = x.shape
    OW = y.shape[3]
    size = ID * IH * IW
    if size >= 2**31:
        raise ValueError("pool: expected planes of fewer than 2**31 elements")
    if y.size:
        rows = y.size // OW
        work = OW * middle(windows_d) * middle(windows_h) * middle(windows_w)
        flat_indices = indices.reshape(indices.size // OW, OW)
        arguments = (y.reshape(rows, OW), flat_indices, x.reshape(P, size), (IH, IW), windows_d, windows_h, windows_w)
        parallel_for(_rows, rows, max(1, GRAIN // work), (*arguments, regular(windows_w)))


@compiled
def _scatter(begin, end, dx, dy, indices):
    for p in range(begin, end):
        out, slope, where = dx[p], dy[p], indices[p]
        out[:] = 0
        for o in range(where.size):
            k = where[o]
            if 0 <= k < out.size:
                out[k] += slope[o]


@kernel
def max_pool_backward(dx, dy, indices):
    """Planes in parallel: zeros, then the gradients one by one."""
    parallel_for(_scatter, dx.shape[0], max(1, GRAIN // max(1, dx.shape[1] + dy.shape[1])), (dx, dy, indices))
