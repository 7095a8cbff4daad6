"""Padding: rows in parallel. A row is a copy of one row, with what stands at its edges, or is nothing but the constant.

Backward gathers: a row of the gradient is the sum of the rows that read it, the one in the middle and those of the
padding, always in the same order. No row is written by two, and none has to be zeroed first.
"""

from typing import NamedTuple

from .. import pad_modes
from ..jit import compiled, kernel, parallel_for

check_padding, kept, source = compiled(pad_modes.check_padding), compiled(pad_modes.kept), compiled(pad_modes.source)

GRAIN = 32768


class Axis(NamedTuple):
    """A dimension: places begin .. end read their own element, low .. high is not cut off."""

    size: int
    padded: int
    front: int
    low: int
    high: int
    begin: int
    end: int


@compiled
def _axis(size, padded, front, mode):
    low, high = kept(size, padded, front)
    check_padding(size, padded, front, high - low, mode)
    begin = min(max(front, 0), padded)
    return Axis(size, padded, front, low, high, begin, min(padded, max(begin, high + front)))


@compiled
def _read(axis, o, mode):
    return source(o - axis.front, axis.size, axis.low, axis.high, mode)


@compiled
def _copy(out, line):
    for i in range(out.size):
        out[i] = line[i]


@compiled
def _rows(begin, end, y, x, depth, height, width, mode, value):
    ID, IH, OD, OH = depth.size, height.size, depth.padded, height.padded
    first, last, left = width.begin, width.end, width.begin - width.front
    p, i, j = begin // (OH * OD), begin // OH % OD, begin % OH
    for row in range(begin, end):
        out = y[row]
        a, b = _read(depth, i, mode), _read(height, j, mode)
        if a < 0 or b < 0:
            out[:] = value
        else:
            line = x[(p * ID + a) * IH + b]
            for k in range(first):
                s = _read(width, k, mode)
                out[k] = value if s < 0 else line[s]
            _copy(out[first:last], line[left:])
            for k in range(last, out.size):
                s = _read(width, k, mode)
                out[k] = value if s < 0 else line[s]
        j += 1
        if j == OH:
            i, j = i + 1, 0
            if i == OD:
                p, i = p + 1, 0


@compiled
def _reader(axis, n, element, mode):
    """The n-th place that may read an element: its own first, then those of the padding; -1 if it does not."""
    if n == 0:
        o = element + axis.front
        return o if axis.begin <= o < axis.end else -1
    o = n - 1 if n <= axis.begin else n - 1 - axis.begin + axis.end
    return o if _read(axis, o, mode) == element else -1


@compiled
def _readers(axis):
    return 1 + axis.begin + axis.padded - axis.end


@compiled
def _spread(out, slope, width, mode, only):
    """out (+)= the gradient of a row."""
    first, last, left = width.begin, width.end, width.begin - width.front
    line, middle = out[left : left + last - first], slope[first:last]
    if only:
        out[:left] = 0
        for k in range(line.size):
            line[k] = middle[k]
        out[left + line.size :] = 0
    else:
        for k in range(line.size):
            line[k] += middle[k]
    for k in range(first):
        s = _read(width, k, mode)
        if s >= 0:
            out[s] += slope[k]
    for k in range(last, slope.size):
        s = _read(width, k, mode)
        if s >= 0:
            out[s] += slope[k]


@compiled
def _gradients(begin, end, dx, dy, depth, height, width, mode):
    ID, IH, OD, OH = depth.size, height.size, depth.padded, height.padded
    p, a, b = begin // (IH * ID), begin // IH % ID, begin % IH
    for row in range(begin, end):
        out, only = dx[row], True
        for m in range(_readers(depth)):
            i = _reader(depth, m, a, mode)
            if i >= 0:
                for n in range(_readers(height)):
                    j = _reader(height, n, b, mode)
                    if j >= 0:
                        _spread(out, dy[(p * OD + i) * OH + j], width, mode, only)
                        only = False
        if only:
            out[:] = 0
        b += 1
        if b == IH:
            a, b = a + 1, 0
            if a == ID:
                p, a = p + 1, 0


@compiled
def _check_mode(mode):
    if mode < pad_modes.CONSTANT or mode > pad_modes.CIRCULAR:
        raise ValueError("pad: expected mode 0 .. 3")


@kernel
def pad_forward(y, x, front_d, front_h, front_w, mode, value):
    """Rows of the result in parallel."""
    _check_mode(mode)
    P, ID, IH, IW = x.shape
    OD, OH, OW = y.shape[1:]
    depth, height = _axis(ID, OD, front_d, mode), _axis(IH, OH, front_h, mode)
    width = _axis(IW, OW, front_w, mode)
    if y.size:
        # converted once, in one place
        y[0, 0, 0, 0] = value
        constant = y[0, 0, 0, 0]
        rows = P * OD * OH
        lines = y.reshape(rows, OW), x.reshape(P * ID * IH, IW)
        parallel_for(_rows, rows, max(1, GRAIN // OW), (*lines, depth, height, width, mode, constant))


@kernel
def pad_backward(dx, dy, front_d, front_h, front_w, mode):
    """Rows of the gradient in parallel, each the sum of the rows that read it."""
    _check_mode(mode)
    P, ID, IH, IW = dx.shape
    OD, OH, OW = dy.shape[1:]
    depth, height = _axis(ID, OD, front_d, mode), _axis(IH, OH, front_h, mode)
    width = _axis(IW, OW, front_w, mode)
    if dx.size:
        rows = P * ID * IH
        lines = dx.reshape(rows, IW), dy.reshape(P * OD * OH, OW)
        parallel_for(_gradients, rows, max(1, GRAIN // max(IW, OW)), (*lines, depth, height, width, mode))
