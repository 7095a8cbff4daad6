"""What a product by tiles is filled in with: where operands come from, where results go, and what is done to them.

    y[g, i, j] = finish(sum over k of a[g, i, k] * b[g, k, j])

The cores (tile_fma.py, tile_mma.py) know nothing of how the operands lie. An Operand says it: its *lines* are the
rows of op(A) or the columns of op(B), each of `depth` elements. The device functions of an Operand, an Output and an
Epilogue are inlined into the core, which is compiled for them once.

A core keeps no results in shared memory while it sums; then it lays them there, and `lay_out` of the template below
walks over them in the order of y, so that activation and stores are written once and stores are of 16 bytes.
"""

from typing import Any, NamedTuple

import numpy as np

from .functions import formulas
from .ptx import load4, narrow, store4, wide
from .target import device

DEPTH, LINES = "depth", "lines"

# bytes of the widest asynchronous copy
CHUNK_BYTES = 16
# rows of tiles that neighbours in time share, for their columns to be found in L2
GROUPED = 8


class Operand(NamedTuple):
    """How the elements of an operand are found in a 1-D array.

    contiguous  DEPTH or LINES: along which axis neighbours lie next to each other
    parameters  names of the scalars that the device functions take last
    line        (g, i, *parameters) -> state: once for each line that a thread brings; i may be past the last line,
                and must then give a state of some line that exists (its results are not stored)
    place       (state, k, *parameters) -> offset of the element in the array, or -1: it counts as 0 (k past the end
                of the depth, padding)
    inside      (state, k, *parameters) -> whether the element is there, if place does not say it: cheaper where many
                copies have the same answer

    Chunks: where the core is asked for `chunks` of this operand, the offset is that of 16 bytes along `contiguous`,
    begins at a multiple of 16 bytes, and all of the chunk is there, or none.
    """

    name: str
    contiguous: str
    parameters: tuple
    begin: Any
    line: Any
    place: Any
    inside: Any = None


class Output(NamedTuple):
    """place(g, i, j, rows, columns, *parameters) -> offset of y[g, i, j]; j's neighbours lie next to it."""

    name: str
    parameters: tuple
    place: Any


class Epilogue(NamedTuple):
    """What becomes of a sum: finish4(y, at, g, i, j, (v0, v1, v2, v3), *arrays, *scalars) for four neighbours,
    finish1(.., v, ..) for one: both store at y[at]."""

    name: str
    arrays: tuple
    scalars: tuple
    finish4: Any
    finish1: Any


@device
def tile_order(block, down, across):
    """(row, column) of the tile that a block makes, of down x across: GROUPED rows go column by column."""
    block, down, across = np.uint32(block), np.uint32(down), np.uint32(across)
    group = block // np.uint32(GROUPED * across)
    inside = block - np.uint32(group * GROUPED * across)
    height = min(np.uint32(down - group * GROUPED), np.uint32(GROUPED))
    column = np.uint32(inside) // np.uint32(height)
    return group * GROUPED + (inside - column * height), column


# ---- matrices, plain


@device
def _begin(g, stride, lines, depth):
    return g * stride


@device
def _inside(state, k, stride, lines, depth):
    return k < depth


@device
def _matrix_line(i, stride, lines, depth):
    return np.uint32((i if i < lines else 0) * depth)


@device
def _matrix_place(state, k, stride, lines, depth):
    return np.uint32(state + np.uint32(k))


@device
def _turned_line(i, stride, lines, depth):
    return np.uint32(i if i < lines else 0)


@device
def _turned_place(state, k, stride, lines, depth):
    return np.uint32(state + np.uint32(k) * np.uint32(lines))


@device
def _long_line(i, stride, lines, depth):
    return np.int64(i if i < lines else 0) * depth


@device
def _long_place(state, k, stride, lines, depth):
    return state + k


@device
def _long_turned_line(i, stride, lines, depth):
    return np.int64(i if i < lines else 0)


@device
def _long_turned_place(state, k, stride, lines, depth):
    return state + np.int64(k) * lines


_EXTENTS = ("stride", "lines", "depth")
# (lines, depth), and (depth, lines); stride: from one matrix of a stack to the next
MATRIX = Operand("matrix", DEPTH, _EXTENTS, _begin, _matrix_line, _matrix_place, _inside)
TURNED = Operand("turned", LINES, _EXTENTS, _begin, _turned_line, _turned_place, _inside)
# the same where a matrix has 2**32 elements or more
LONG = MATRIX._replace(name="long", line=_long_line, place=_long_place)
LONG_TURNED = TURNED._replace(name="long turned", line=_long_turned_line, place=_long_turned_place)


@device
def _stacked_place(g, i, j, rows, columns):
    return (g * rows + i) * columns + j


STACKED = Output("stacked", (), _stacked_place)

# ---- epilogues

activate = formulas["activate"]


@device
def _store4(y, at, g, i, j, values, accumulate):
    if accumulate:
        old = load4(y, at)
        values = (values[0] + old[0], values[1] + old[1], values[2] + old[2], values[3] + old[3])
    store4(y, at, values)


@device
def _store1(y, at, g, i, j, value, accumulate):
    if accumulate:
        value += wide(y[at])
    y[at] = narrow(y, value)


# y (+)= sum
STORE = Epilogue("store", (), ("accumulate",), _store4, _store1)


@device
def _fused4(y, at, g, i, j, values, z, bias, accumulate, activation):
    if accumulate:
        old = load4(y, at)
        values = (values[0] + old[0], values[1] + old[1], values[2] + old[2], values[3] + old[3])
    if bias.size > 0:
        add = load4(bias, j)
        values = (values[0] + add[0], values[1] + add[1], values[2] + add[2], values[3] + add[3])
    if z.size > 0:
        store4(z, at, values)
    if activation != 0:
        values = (
            activate(activation, values[0]),
            activate(activation, values[1]),
            activate(activation, values[2]),
            activate(activation, values[3]),
        )
    store4(y, at, values)


@device
def _fused1(y, at, g, i, j, value, z, bias, accumulate, activation):
    if accumulate:
        value += wide(y[at])
    if bias.size > 0:
        value += wide(bias[j])
    if z.size > 0:
        z[at] = narrow(z, value)
    y[at] = narrow(y, activate(activation, value))


# y = activation(sum (+ y) + bias); z keeps what the activation was given; z and bias of size 0: none
FUSED = Epilogue("fused", ("z", "bias"), ("accumulate", "activation"), _fused4, _fused1)
