"""Max pooling: a row of windows at a time, by vectors of windows where these are regular (pool_forward.py).

Rows of outputs in parallel. Backward, rows of the input's gradient: each element asks the windows that it is in whether
it is theirs. Windows of other kinds go one by one; their gradients are scattered, a plane at a time.
"""

import math

import numpy as np

from ..jit import compiled, kernel, parallel_for, scratch
from .pool import (
    GRAIN,
    check,
    following,
    list_length,
    list_rows,
    list_windows,
    listed,
    middle,
    of_plane,
    paired,
    place_of,
    row_of,
)
from .pool_backward import largest_gradient
from .pool_forward import largest

# scratch slots: lists of rows
OFFSETS, STARTS = 3, 4
# windows that an element of the input asks, at most
LOOKS = 16


@compiled
def _rows(begin, end, y, indices, x, plane, offsets, starts, row, rectified):
    rows = starts.size - 1
    p, o = begin // rows, begin % rows
    for r in range(begin, end):
        first, count = starts[o], starts[o + 1] - starts[o]
        largest(y, r * row.outputs, indices, x, p * plane, offsets, first, count, row, rectified)
        o += 1
        if o == rows:
            p, o = p + 1, 0


@compiled
def _one_by_one(begin, end, y, indices, x, sides, windows_d, windows_h, windows_w, rectified):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    size = sides[0] * sides[1] * sides[2]
    low = x.dtype.type(0 if rectified else -math.inf)
    p, i, j = place_of(begin, OD, OH)
    for r in range(begin, end):
        plane, d, h = x[p * size : (p + 1) * size], of_plane(windows_d, p)[i], of_plane(windows_h, p)[j]
        for o in range(OW):
            best, found, w = low, -1, of_plane(windows_w, p)[o]
            for a in range(d[0], d[1], d[2]):
                for b in range(h[0], h[1], h[2]):
                    at = (a * sides[1] + b) * sides[2]
                    for k in range(w[0], w[1], w[2]):
                        v = plane[at + k]
                        # of equals the first stays, of NaNs the last
                        if v > best or v != v or (found < 0 and not rectified):
                            best, found = v, at + k
            y[r * OW + o] = best
            if indices.size:
                indices[r * OW + o] = found
        p, i, j = following(p, i, j, OD, OH)


@compiled
def _check_steps(windows):
    for q in range(windows.shape[0]):
        for o in range(windows.shape[1]):
            if windows[q, o, 2] < 1:
                raise ValueError("pool: expected steps of at least 1")


@kernel
def max_pool_forward(y, indices, x, windows_d, windows_h, windows_w, rectified):
    """Rows of outputs in parallel: see kernels/cpu/pool_max.py."""
    check(x, windows_d, 1)
    check(x, windows_h, 2)
    check(x, windows_w, 3)
    _check_steps(windows_d)
    _check_steps(windows_h)
    _check_steps(windows_w)
    P, ID, IH, IW = x.shape
    OD, OH, OW = y.shape[1:]
    if ID * IH * IW >= 2**31:
        raise ValueError("pool: expected planes of fewer than 2**31 elements")
    if y.size == 0:
        return
    row, flat, found = row_of(windows_w, IW, True), y.reshape(-1), indices.reshape(-1)
    grain = max(1, GRAIN // (OW * middle(windows_d) * middle(windows_h) * middle(windows_w)))
    if listed(windows_d, windows_h, row):
        offsets = scratch(OFFSETS, list_length(windows_d, windows_h, True), windows_d)
        starts = scratch(STARTS, OD * OH + 1, windows_d)
        list_rows(offsets, starts, windows_d, windows_h, (ID, IH, IW), True)
        arguments = (flat, found, x.reshape(-1), ID * IH * IW, offsets, starts, row, rectified)
        parallel_for(_rows, P * OD * OH, grain, arguments)
    else:
        arguments = (flat, found, x.reshape(-1), (ID, IH, IW), windows_d, windows_h, windows_w, rectified)
        parallel_for(_one_by_one, P * OD * OH, grain, arguments)


@compiled
def _gradient_rows(begin, end, dx, dy, indices, plane, offsets, starts, row):
    rows = starts.size - 1
    p, q = begin // rows, begin % rows
    for r in range(begin, end):
        first, count = starts[q], starts[q + 1] - starts[q]
        largest_gradient(dx, r * row.size, q * row.size, dy, indices, p * plane, offsets, first, count, row)
        q += 1
        if q == rows:
            p, q = p + 1, 0


@compiled
def _scatter(begin, end, dx, dy, indices):
    for p in range(begin, end):
        out, slope, where = dx[p], dy[p], indices[p]
        out[:] = 0
        for o in range(where.size):
            k = np.int64(where[o])
            if 0 <= k < out.size:
                out[k] += slope[o]


@kernel
def max_pool_backward(dx, dy, indices, windows_d, windows_h, windows_w):
    """Rows of dx in parallel, or planes: see kernels/cpu/pool_max.py."""
    check(dx, windows_d, 1)
    check(dx, windows_h, 2)
    check(dx, windows_w, 3)
    _check_steps(windows_d)
    _check_steps(windows_h)
    _check_steps(windows_w)
    P, ID, IH, IW = dx.shape
    OD, OH, OW = dy.shape[1:]
    if dx.size == 0:
        return
    row = row_of(windows_w, IW, True)
    length = list_length(windows_d, windows_h, True)
    # an element that is in many windows is found sooner by them
    if listed(windows_d, windows_h, row) and paired(row) and row.width * length <= LOOKS * ID * IH:
        offsets, starts = scratch(OFFSETS, length, windows_d), scratch(STARTS, ID * IH + 1, windows_d)
        list_windows(offsets, starts, windows_d, windows_h, (ID, IH, IW), True)
        for t in range(length):
            offsets[t] *= OW
        arguments = (dx.reshape(-1), dy.reshape(-1), indices.reshape(-1), OD * OH * OW, offsets, starts, row)
        work = (OW + IW) * max(1, length // (ID * IH))
        parallel_for(_gradient_rows, P * ID * IH, max(1, GRAIN // work), arguments)
    else:
        I, O = ID * IH * IW, OD * OH * OW
        arguments = (dx.reshape(P, I), dy.reshape(P, O), indices.reshape(P, O))
        parallel_for(_scatter, P, max(1, GRAIN // (I + O)), arguments)
