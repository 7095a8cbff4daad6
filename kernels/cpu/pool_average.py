"""Average pooling: a row of windows at a time, by vectors of windows where these are regular (pool_forward.py).

Rows of outputs in parallel; backward rows of the input's gradient, each the sum of what the windows give that it is in.
Windows of other kinds go one by one.
"""

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
from .pool_backward import total_gradient
from .pool_forward import total

# scratch slots: lists of rows, one over the divisors of columns and of rows
OFFSETS, STARTS, SHARES, FACTORS = 3, 4, 5, 6


@compiled
def _fill_shares(shares, across):
    one = shares.dtype.type(1)
    for o in range(shares.size):
        shares[o] = one / shares.dtype.type(across[o, 2])


@compiled
def _rows(begin, end, y, x, plane, offsets, starts, shares, factors, row):
    p, o, rows = begin // factors.size, begin % factors.size, factors.size
    for r in range(begin, end):
        first, count = starts[o], starts[o + 1] - starts[o]
        total(y, r * row.outputs, shares, factors[o], x, p * plane, offsets, first, count, row)
        o += 1
        if o == rows:
            p, o = p + 1, 0


@compiled
def _one_by_one(begin, end, y, x, sides, windows_d, windows_h, windows_w):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    p, i, j = place_of(begin, OD, OH)
    for r in range(begin, end):
        d, h, across = of_plane(windows_d, p)[i], of_plane(windows_h, p)[j], of_plane(windows_w, p)
        for k in range(OW):
            sum, w = x.dtype.type(0), across[k]
            width, lines = w[1] - w[0], h[1] - h[0]
            if width == sides[2]:
                # whole rows are one line
                width, lines = width * lines, min(lines, 1)
            for a in range(d[0], d[1]):
                for b in range(h[0], h[0] + lines):
                    at = ((p * sides[0] + a) * sides[1] + b) * sides[2] + w[0]
                    line = x[at : at + width]
                    for v in line:
                        sum += v
            y[r * OW + k] = sum / x.dtype.type(d[2] * h[2] * w[2])
        p, i, j = following(p, i, j, OD, OH)


@compiled
def _gradient_rows(begin, end, dx, dy, plane, offsets, starts, shares, factors, row):
    rows = starts.size - 1
    p, q = begin // rows, begin % rows
    for r in range(begin, end):
        first, count = starts[q], starts[q + 1] - starts[q]
        total_gradient(dx, r * row.size, dy, shares, factors, p * plane, offsets, first, count, row)
        q += 1
        if q == rows:
            p, q = p + 1, 0


@compiled
def _planes_one_by_one(begin, end, dx, dy, sides, windows_d, windows_h, windows_w):
    ID, IH, IW = sides
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    for p in range(begin, end):
        out = dx[p * ID * IH * IW : (p + 1) * ID * IH * IW]
        out[:] = 0
        across = of_plane(windows_w, p)
        for o in range(OD * OH):
            d, h = of_plane(windows_d, p)[o // OH], of_plane(windows_h, p)[o % OH]
            for k in range(OW):
                w = across[k]
                slope = dy[(p * OD * OH + o) * OW + k] / dx.dtype.type(d[2] * h[2] * w[2])
                for i in range(d[0], d[1]):
                    for j in range(h[0], h[1]):
                        line = out[(i * IH + j) * IW + w[0] : (i * IH + j) * IW + w[1]]
                        for at in range(line.size):
                            line[at] += slope


@kernel
def average_pool_forward(y, x, windows_d, windows_h, windows_w):
    """Rows of outputs in parallel: see kernels/cpu/pool_average.py."""
    check(x, windows_d, 1)
    check(x, windows_h, 2)
    check(x, windows_w, 3)
    P, ID, IH, IW = x.shape
    OD, OH, OW = y.shape[1:]
    if y.size == 0:
        return
    row = row_of(windows_w, IW, False)
    grain = max(1, GRAIN // ((OW + IW) * middle(windows_d) * middle(windows_h)))
    if listed(windows_d, windows_h, row):
        offsets = scratch(OFFSETS, list_length(windows_d, windows_h, False), windows_d)
        starts = scratch(STARTS, OD * OH + 1, windows_d)
        list_rows(offsets, starts, windows_d, windows_h, (ID, IH, IW), False)
        shares, factors = scratch(SHARES, OW, x), scratch(FACTORS, OD * OH, x)
        _fill_shares(shares, windows_w[0])
        for o in range(OD * OH):
            factors[o] = x.dtype.type(1) / x.dtype.type(windows_d[0, o // OH, 2] * windows_h[0, o % OH, 2])
        arguments = (y.reshape(-1), x.reshape(-1), ID * IH * IW, offsets, starts, shares, factors, row)
        parallel_for(_rows, P * OD * OH, grain, arguments)
    else:
        arguments = (y.reshape(-1), x.reshape(-1), (ID, IH, IW), windows_d, windows_h, windows_w)
        parallel_for(_one_by_one, P * OD * OH, grain, arguments)


@kernel
def average_pool_backward(dx, dy, windows_d, windows_h, windows_w):
    """Rows of dx in parallel, or planes: see kernels/cpu/pool_average.py."""
    check(dx, windows_d, 1)
    check(dx, windows_h, 2)
    check(dx, windows_w, 3)
    P, ID, IH, IW = dx.shape
    OD, OH, OW = dy.shape[1:]
    if dx.size == 0:
        return
    row = row_of(windows_w, IW, False)
    if listed(windows_d, windows_h, row) and paired(row):
        length = list_length(windows_d, windows_h, False)
        offsets, starts = scratch(OFFSETS, length, windows_d), scratch(STARTS, ID * IH + 1, windows_d)
        list_windows(offsets, starts, windows_d, windows_h, (ID, IH, IW), False)
        shares, factors = scratch(SHARES, OW, dx), scratch(FACTORS, length, dx)
        _fill_shares(shares, windows_w[0])
        for t in range(length):
            o = offsets[t]
            factors[t] = dx.dtype.type(1) / dx.dtype.type(windows_d[0, o // OH, 2] * windows_h[0, o % OH, 2])
            offsets[t] = o * OW
        arguments = (dx.reshape(-1), dy.reshape(-1), OD * OH * OW, offsets, starts, shares, factors, row)
        work = (OW + IW) * max(1, length // (ID * IH))
        parallel_for(_gradient_rows, P * ID * IH, max(1, GRAIN // work), arguments)
    else:
        arguments = (dx.reshape(-1), dy.reshape(-1), (ID, IH, IW), windows_d, windows_h, windows_w)
        work = (OW + IW) * max(1, OD * OH * middle(windows_d) * middle(windows_h))
        parallel_for(_planes_one_by_one, P, max(1, GRAIN // work), arguments)
