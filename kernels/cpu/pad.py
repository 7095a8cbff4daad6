"""Padding: rows in parallel. A row is a copy of one row, with what stands at its edges, or is nothing but the constant.

Backward gathers: a row of the gradient is the sum of the rows that read it, the one in the middle and those of the
padding, always in the same order. No row is written by two, and none has to be zeroed first.
"""

from typing import NamedTuple

from .. import pad_modes
from ..jit import compiled, kernel, parallel_for
from .copy_row import copy_row
from .window import numbers

check_padding, kept, source = compiled(pad_modes.check_padding), compiled(pad_modes.kept), compiled(pad_modes.source)

GRAIN = 32768
SOURCES = 3  # scratch slot


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
def _sources(table, axis, mode):
    """What each place of a dimension reads; -1: none."""
    for o in range(axis.padded):
        table[o] = source(o - axis.front, axis.size, axis.low, axis.high, mode)


@compiled
def _middle(axis):
    """Places begin .. end, and the element that the first of them reads; inside even where all is cut."""
    return axis.begin, axis.end, min(max(axis.begin - axis.front, 0), axis.size)


@compiled
def _rows(begin, end, y, x, planes, rows, columns, sides, middle, value):
    ID, IH, IW = sides
    OD, OH, OW = planes.size, rows.size, columns.size
    first, last, left = middle
    p, i, j = begin // (OH * OD), begin // OH % OD, begin % OH
    for row in range(begin, end):
        to, a, b = row * OW, planes[i], rows[j]
        if a < 0 or b < 0:
            for k in range(to, to + OW):
                y[k] = value
        else:
            at = ((p * ID + a) * IH + b) * IW
            for k in range(first):
                s = columns[k]
                y[to + k] = value if s < 0 else x[at + s]
            copy_row(y, to + first, x, at + left, last - first)
            for k in range(last, OW):
                s = columns[k]
                y[to + k] = value if s < 0 else x[at + s]
        j += 1
        if j == OH:
            i, j = i + 1, 0
            if i == OD:
                p, i = p + 1, 0


@compiled
def _reader(sources, axis, n, element):
    """The n-th place that may read an element: its own first, then those of the padding; -1 if it does not."""
    if n == 0:
        o = element + axis.front
        return o if axis.begin <= o < axis.end else -1
    o = n - 1 if n <= axis.begin else n - 1 - axis.begin + axis.end
    return o if sources[o] == element else -1


@compiled
def _readers(axis):
    return 1 + axis.begin + axis.padded - axis.end


@compiled
def _spread(dx, at, dy, to, columns, middle, IW, only):
    """The gradient of a row, which begins at dy[to], to the row that it has read; `only` the first overwrites."""
    first, last, left = middle
    if only:
        for k in range(left):
            dx[at + k] = 0
        copy_row(dx, at + left, dy, to + first, last - first)
        for k in range(left + last - first, IW):
            dx[at + k] = 0
    else:
        out, slope = dx[at + left :], dy[to + first : to + last]
        for k in range(slope.size):
            out[k] += slope[k]
    for k in range(first):
        if columns[k] >= 0:
            dx[at + columns[k]] += dy[to + k]
    for k in range(last, columns.size):
        if columns[k] >= 0:
            dx[at + columns[k]] += dy[to + k]


@compiled
def _gradients(begin, end, dx, dy, planes, rows, columns, depth, height, middle, IW):
    ID, IH, OD, OH, OW = depth.size, height.size, depth.padded, height.padded, columns.size
    p, a, b = begin // (IH * ID), begin // IH % ID, begin % IH
    for row in range(begin, end):
        only = True
        for m in range(_readers(depth)):
            i = _reader(planes, depth, m, a)
            if i >= 0:
                for n in range(_readers(height)):
                    j = _reader(rows, height, n, b)
                    if j >= 0:
                        to = ((p * OD + i) * OH + j) * OW
                        _spread(dx, row * IW, dy, to, columns, middle, IW, only)
                        only = False
        if only:
            for k in range(row * IW, row * IW + IW):
                dx[k] = 0
        b += 1
        if b == IH:
            a, b = a + 1, 0
            if a == ID:
                p, a = p + 1, 0


@compiled
def _check_mode(mode):
    if mode < pad_modes.CONSTANT or mode > pad_modes.CIRCULAR:
        raise ValueError("pad: expected mode 0 .. 3")


@compiled
def _tables(depth, height, width, mode):
    table = numbers(SOURCES, depth.padded + height.padded + width.padded)
    planes, rest = table[: depth.padded], table[depth.padded :]
    rows, columns = rest[: height.padded], rest[height.padded :]
    _sources(planes, depth, mode)
    _sources(rows, height, mode)
    _sources(columns, width, mode)
    return planes, rows, columns


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
        tables = _tables(depth, height, width, mode)
        arguments = (y.reshape(-1), x.reshape(-1), *tables, (ID, IH, IW), _middle(width), constant)
        parallel_for(_rows, P * OD * OH, max(1, GRAIN // OW), arguments)


@kernel
def pad_backward(dx, dy, front_d, front_h, front_w, mode):
    """Rows of the gradient in parallel, each the sum of the rows that read it."""
    _check_mode(mode)
    P, ID, IH, IW = dx.shape
    OD, OH, OW = dy.shape[1:]
    depth, height = _axis(ID, OD, front_d, mode), _axis(IH, OH, front_h, mode)
    width = _axis(IW, OW, front_w, mode)
    if dx.size:
        tables = _tables(depth, height, width, mode)
        arguments = (dx.reshape(-1), dy.reshape(-1), *tables, depth, height, _middle(width), IW)
        parallel_for(_gradients, P * ID * IH, max(1, GRAIN // max(IW, OW)), arguments)
