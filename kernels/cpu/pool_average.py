"""Average pooling: rows of windows are added up into one line, then neighbours in that line.

Forward, rows of outputs in parallel: the input rows of a window are added as they lie, all columns at once, into the
thread's scratch; a window is then a few neighbours in that line. Where windows are regular, element j of all of them is
a vector loop. Backward is the same turned round, planes in parallel: a row of gradients is spread over a line, and the
line added to each input row of its windows.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .pool import GRAIN, check, merge, middle, place, regular, room_for, split, whole

# scratch slots: a line of columns, a row of sums or of scaled gradients, phases of the line, divisors of the columns
LINE, ROW, PHASES, ACROSS = 3, 4, 5, 6


@compiled
def _add_up(line, plane, sides, d, h):
    """line = the sum of the input rows of a window."""
    line[:] = 0
    for i in range(d[0], d[1]):
        for j in range(h[0], h[1]):
            at = (i * sides[0] + j) * sides[1]
            row = plane[at : at + sides[1]]
            for k in range(line.size):
                line[k] += row[k]


@compiled
def _neighbours(out, totals, line, phases, room, width, stride):
    """out[i] = the sum of `width` elements of line from i * stride on."""
    split(phases, line[: (out.size - 1) * stride + width], stride, room)
    totals[:] = 0
    for k in range(width):
        phase = phases[place(k, stride, room) :][: totals.size]
        for i in range(totals.size):
            totals[i] += phase[i]
    for i in range(out.size):
        out[i] = totals[i]


@compiled
def _spread(line, slope, phases, room, width, stride):
    """line[i * stride + k] = the sum of slope[i] over all i and all k < width."""
    phases[:] = 0
    for k in range(width):
        phase = phases[place(k, stride, room) :][: slope.size]
        for i in range(slope.size):
            phase[i] += slope[i]
    merge(line[: (slope.size - 1) * stride + width], phases, stride, room)


@compiled
def _divisors(across, windows_w, p):
    w = windows_w[p if windows_w.shape[0] > 1 else 0]
    for i in range(across.size):
        across[i] = w[i, 2]


@compiled
def _divide(out, slope, across, rows):
    """out = slope / divisor: `across` of the columns, `rows` of depth and height."""
    rest = out.dtype.type(rows)
    for i in range(out.size):
        out[i] = slope[i] / (rest * across[i])


@compiled
def _rows(begin, end, y, x, sides, windows_d, windows_h, windows_w, stretch):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    lo, hi, width, stride = stretch
    count = whole(hi - lo)
    room = room_for(count, width, stride)
    line, phases = scratch(LINE, sides[1], x), scratch(PHASES, stride * room, x)
    totals, across = scratch(ROW, count, x), scratch(ACROSS, OW, x)
    p, o = begin // (OD * OH), begin % (OD * OH)
    i, j = o // OH, o % OH
    _divisors(across, windows_w, p)
    for row in range(begin, end):
        out = y[row]
        d = windows_d[p if windows_d.shape[0] > 1 else 0, i]
        h = windows_h[p if windows_h.shape[0] > 1 else 0, j]
        w = windows_w[p if windows_w.shape[0] > 1 else 0]
        _add_up(line, x[p], sides, d, h)
        if hi > lo:
            _neighbours(out[lo:hi], totals, line[w[lo, 0] :], phases, room, width, stride)
        for o in range(OW):
            if o < lo or o >= hi:
                total = x.dtype.type(0)
                for k in range(w[o, 0], w[o, 1]):
                    total += line[k]
                out[o] = total
        _divide(out, out, across, d[2] * h[2])
        j += 1
        if j == OH:
            i, j = i + 1, 0
            if i == OD:
                p, i = p + 1, 0
                if row + 1 < end:
                    _divisors(across, windows_w, p)


@compiled
def _planes(begin, end, dx, dy, sides, windows_d, windows_h, windows_w, stretch):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    lo, hi, width, stride = stretch
    room = room_for(whole(hi - lo), width, stride)
    line, phases = scratch(LINE, sides[1], dx), scratch(PHASES, stride * room, dx)
    scaled, across = scratch(ROW, OW, dx), scratch(ACROSS, OW, dx)
    for p in range(begin, end):
        plane, slopes = dx[p], dy[p]
        plane[:] = 0
        w = windows_w[p if windows_w.shape[0] > 1 else 0]
        _divisors(across, windows_w, p)
        for i in range(OD):
            d = windows_d[p if windows_d.shape[0] > 1 else 0, i]
            for j in range(OH):
                h = windows_h[p if windows_h.shape[0] > 1 else 0, j]
                at = (i * OH + j) * OW
                _divide(scaled, slopes[at : at + OW], across, d[2] * h[2])
                line[:] = 0
                if hi > lo:
                    _spread(line[w[lo, 0] :], scaled[lo:hi], phases, room, width, stride)
                for o in range(OW):
                    if o < lo or o >= hi:
                        for k in range(w[o, 0], w[o, 1]):
                            line[k] += scaled[o]
                _add_to_rows(plane, line, sides, d, h)


@compiled
def _add_to_rows(plane, line, sides, d, h):
    for i in range(d[0], d[1]):
        for j in range(h[0], h[1]):
            at = (i * sides[0] + j) * sides[1]
            row = plane[at : at + sides[1]]
            for k in range(line.size):
                row[k] += line[k]


@kernel
def average_pool_forward(y, x, windows_d, windows_h, windows_w):
    """Rows of outputs in parallel: see kernels/cpu/pool_average.py."""
    check(x, windows_d, 1)
    check(x, windows_h, 2)
    check(x, windows_w, 3)
    P, ID, IH, IW = x.shape
    OW = y.shape[3]
    if y.size:
        rows = y.size // OW
        grain = max(1, GRAIN // max(1, (OW + IW) * middle(windows_d) * middle(windows_h)))
        arguments = (y.reshape(rows, OW), x.reshape(P, ID * IH * IW), (IH, IW), windows_d, windows_h, windows_w)
        parallel_for(_rows, rows, grain, (*arguments, regular(windows_w)))


@kernel
def average_pool_backward(dx, dy, windows_d, windows_h, windows_w):
    """Planes in parallel, rows of gradients spread over them: see kernels/cpu/pool_average.py."""
    check(dx, windows_d, 1)
    check(dx, windows_h, 2)
    check(dx, windows_w, 3)
    P, ID, IH, IW = dx.shape
    OD, OH, OW = dy.shape[1:]
    if dx.size:
        rows = OD * OH * middle(windows_d) * middle(windows_h)
        planes, slopes = dx.reshape(P, ID * IH * IW), dy.reshape(P, OD * OH * OW)
        arguments = (planes, slopes, (IH, IW), windows_d, windows_h, windows_w, regular(windows_w))
        parallel_for(_planes, P, max(1, GRAIN // max(1, rows * (OW + IW))), arguments)
