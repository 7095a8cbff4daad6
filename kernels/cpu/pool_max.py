"""Max pooling: rows of outputs in parallel, elements of a window one after the other.

Where windows are regular, element k of all windows of a row lies in one row of the input, `stride` apart. Rows are
split into their phases first (for stride 2 the even columns and the odd ones), so that element k of all windows is
contiguous and a vector loop compares it with the best so far. Beside a value goes what its position is further than the
window's beginning, in 32 bits: full positions are made once a row. All this happens in the thread's scratch,
in whole vectors: what stands behind the last window is compared and left there. Windows at the edges, and those of
adaptive and fractional pooling, go one by one. Backward scatters a plane at a time.
"""

import math

import numpy as np

from ..jit import compiled, inlined, kernel, parallel_for, scratch
from .pool import GRAIN, check, middle, place, regular, room_for, split, whole

# scratch slots: the best so far, what their positions are further than their window's beginning, phases of a row
BEST, FURTHER, PHASES = 3, 4, 5


@inlined
def _wins(v, best):
    """Of equals the first stays, of NaNs the last."""
    return (v > best) | (v != v)


@compiled
def _one(best, further, line, number):
    for i in range(best.size):
        v, top, f = line[i], best[i], further[i]
        wins = _wins(v, top)
        best[i], further[i] = v if wins else top, number if wins else f


@compiled
def _two(best, further, a, b, number):
    """Two neighbours: the best stays in its register."""
    second = np.int32(number + 1)
    for i in range(best.size):
        v, w, top, f = a[i], b[i], best[i], further[i]
        wins = _wins(v, top)
        top, f = v if wins else top, number if wins else f
        wins = _wins(w, top)
        best[i], further[i] = w if wins else top, second if wins else f


@compiled
def _three(best, further, a, b, c, number):
    second, third = np.int32(number + 1), np.int32(number + 2)
    for i in range(best.size):
        u, v, w, top, f = a[i], b[i], c[i], best[i], further[i]
        wins = _wins(u, top)
        top, f = u if wins else top, number if wins else f
        wins = _wins(v, top)
        top, f = v if wins else top, second if wins else f
        wins = _wins(w, top)
        best[i], further[i] = w if wins else top, third if wins else f


@compiled
def _alike(out, where, best, further, phases, room, plane, sides, d, h, w, stride):
    """Regular windows of one row: d, h and w are the entries of the first."""
    width, step, count = w[1] - w[0], w[2], best.size
    begin, reach = (d[0] * sides[0] + h[0]) * sides[1] + w[0], (out.size - 1) * stride + width
    best[:] = -math.inf
    further[:] = 0
    for i in range(d[0], d[1], d[2]):
        for j in range(h[0], h[1], h[2]):
            at = (i * sides[0] + j) * sides[1] + w[0]
            split(phases, plane[at : at + reach], stride, room)
            number, k = at - begin, 0
            while k < width:
                a = phases[place(k, stride, room) :][:count]
                if step > 1 or k + 1 == width:
                    _one(best, further, a, np.int32(number + k))
                    k += step
                    continue
                b = phases[place(k + 1, stride, room) :][:count]
                if k + 3 == width:
                    c = phases[place(k + 2, stride, room) :][:count]
                    _three(best, further, a, b, c, np.int32(number + k))
                    k += 3
                else:
                    _two(best, further, a, b, np.int32(number + k))
                    k += 2
    for i in range(out.size):
        out[i] = best[i]
    for i in range(where.size):
        where[i] = begin + i * stride + further[i]


@compiled
def _single(out, where, o, plane, sides, d, h, w):
    """Window o by itself."""
    best, found = plane.dtype.type(-math.inf), -1
    for i in range(d[0], d[1], d[2]):
        for j in range(h[0], h[1], h[2]):
            at = (i * sides[0] + j) * sides[1]
            for k in range(w[0], w[1], w[2]):
                v = plane[at + k]
                if v > best or v != v or found < 0:
                    best, found = v, at + k
    out[o] = best
    if where.size:
        where[o] = found


@compiled
def _rows(begin, end, y, indices, x, sides, windows_d, windows_h, windows_w, stretch):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    lo, hi, width, stride = stretch
    count = whole(hi - lo)
    room = room_for(count, width, stride)
    best, phases = scratch(BEST, count, x), scratch(PHASES, stride * room, x)
    further = scratch(FURTHER, count, x).view(np.int32)[:count]
    p, o = begin // (OD * OH), begin % (OD * OH)
    i, j = o // OH, o % OH
    for row in range(begin, end):
        plane, out = x[p], y[row]
        where = indices[row] if indices.shape[0] else indices.reshape(-1)
        d = windows_d[p if windows_d.shape[0] > 1 else 0, i]
        h = windows_h[p if windows_h.shape[0] > 1 else 0, j]
        w = windows_w[p if windows_w.shape[0] > 1 else 0]
        first, past = lo, hi
        if d[0] >= d[1] or h[0] >= h[1] or hi <= lo:
            first, past = OW, OW
        else:
            _alike(out[lo:hi], where[lo:hi], best, further, phases, room, plane, sides, d, h, w[lo], stride)
        for k in range(first):
            _single(out, where, k, plane, sides, d, h, w[k])
        for k in range(past, OW):
            _single(out, where, k, plane, sides, d, h, w[k])
        j += 1
        if j == OH:
            i, j = i + 1, 0
            if i == OD:
                p, i = p + 1, 0


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
