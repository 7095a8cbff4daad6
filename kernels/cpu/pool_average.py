"""Average pooling: rows of windows are added up into one line, then neighbours in that line.

Forward, rows of outputs in parallel: the input rows of a window are added as they lie, all columns at once, into the
thread's scratch; a window is then a few neighbours in that line. Where windows are regular, element j of all of them is
a vector loop. Backward is the same turned round, planes in parallel: a row of gradients is spread over a line, and the
line added to each input row of its windows.
"""

from ..jit import compiled, inlined, kernel, parallel_for, scratch
from .pool import GRAIN, check, middle, regular

# scratch slots: a line of columns, a row of scaled gradients
LINE, SCALED = 3, 4


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


@inlined
def _gather(out, line, stride):
    for i in range(out.size):
        out[i] += line[i * stride]


@inlined
def _spread(line, out, stride):
    for i in range(out.size):
        line[i * stride] += out[i]


@compiled
def _neighbours(out, line, width, stride):
    """out[i] = the sum of `width` elements of line from i * stride on."""
    reach = (out.size - 1) * stride + 1
    out[:] = 0
    for k in range(width):
        # strides of 1 and 2 are told to the compiler, which then shuffles whole vectors
        if stride == 1:
            _gather(out, line[k : k + reach], 1)
        elif stride == 2:
            _gather(out, line[k : k + reach], 2)
        else:
            _gather(out, line[k : k + reach], stride)


@compiled
def _spread_out(line, out, width, stride):
    reach = (out.size - 1) * stride + 1
    for k in range(width):
        if stride == 1:
            _spread(line[k : k + reach], out, 1)
        elif stride == 2:
            _spread(line[k : k + reach], out, 2)
        else:
            _spread(line[k : k + reach], out, stride)


@compiled
def _divide(out, slope, w, rows):
    """out = slope / divisor, `rows` that of depth and height."""
    for i in range(out.size):
        out[i] = slope[i] / out.dtype.type(rows * w[i, 2])


@compiled
def _rows(begin, end, y, x, sides, windows_d, windows_h, windows_w, stretch):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    lo, hi, width, stride = stretch
    line = scratch(LINE, sides[1], x)
    for row in range(begin, end):
        p, o = row // (OD * OH), row % (OD * OH)
        out = y[row]
        d = windows_d[p if windows_d.shape[0] > 1 else 0, o // OH]
        h = windows_h[p if windows_h.shape[0] > 1 else 0, o % OH]
        w = windows_w[p if windows_w.shape[0] > 1 else 0]
        _add_up(line, x[p], sides, d, h)
        if hi > lo:
            _neighbours(out[lo:hi], line[w[lo, 0] :], width, stride)
        for i in range(OW):
            if i < lo or i >= hi:
                total = x.dtype.type(0)
                for k in range(w[i, 0], w[i, 1]):
                    total += line[k]
                out[i] = total
        _divide(out, out, w, d[2] * h[2])


@compiled
def _planes(begin, end, dx, dy, sides, windows_d, windows_h, windows_w, stretch):
    OD, OH, OW = windows_d.shape[1], windows_h.shape[1], windows_w.shape[1]
    lo, hi, width, stride = stretch
    line, scaled = scratch(LINE, sides[1], dx), scratch(SCALED, OW, dx)
    for p in range(begin, end):
        plane, slopes = dx[p], dy[p]
        plane[:] = 0
        w = windows_w[p if windows_w.shape[0] > 1 else 0]
        for o in range(OD * OH):
            d = windows_d[p if windows_d.shape[0] > 1 else 0, o // OH]
            h = windows_h[p if windows_h.shape[0] > 1 else 0, o % OH]
            _divide(scaled, slopes[o * OW : o * OW + OW], w, d[2] * h[2])
            line[:] = 0
            if hi > lo:
                _spread_out(line[w[lo, 0] :], scaled[lo:hi], width, stride)
            for i in range(OW):
                if i < lo or i >= hi:
                    for k in range(w[i, 0], w[i, 1]):
                        line[k] += scaled[i]
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
