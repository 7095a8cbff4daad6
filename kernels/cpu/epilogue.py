"""What follows a product before its elements leave the cache: bias, activation, whatever a layer wants to keep.

An epilogue is a NamedTuple with a `bias` ((N,) or size 0, what the sums start from), `relu`, and overloads of

    in_registers   whether the register tile does all of it (bias and ReLU); a plain store of the tile is the end then
    finish_rows    what happens to a piece of a row of C that is done but for this

With accumulate it sees the sum of product, bias and what C held: a residual connection.
"""

from typing import NamedTuple

import numpy as np

from .. import scalar
from ..jit import compiled, overload
from .activate import activate_row
from .tile import ADD, FROM_BIAS


class Epilogue(NamedTuple):
    """The bias, then an activation; z keeps what the activation was given."""

    bias: np.ndarray  # (N,) or (0,)
    relu: bool
    z: np.ndarray  # flat, as C; or size 0
    activation: int  # code of kernels/scalar.py


@compiled
def with_activation(bias, z, activation):
    return Epilogue(bias, activation == scalar.RELU and z.size == 0, z, activation)


def in_registers(epilogue):
    """Whether the tile itself does all of an epilogue. Compiled code; epilogues overload it."""
    raise NotImplementedError("in_registers is for compiled code")


def finish_rows(epilogue, corner, line, at, columns):
    """What an epilogue does to corner[line : line + columns], a piece of a row that is, or will be, C[at : ...].

    The bias is in already. Compiled code; epilogues overload it, and write what else they keep.
    """
    raise NotImplementedError("finish_rows is for compiled code")


@overload(in_registers)
def _in_registers(epilogue):
    if epilogue.instance_class is not Epilogue:
        return None
    return lambda epilogue: epilogue.activation <= scalar.RELU and epilogue.z.size == 0


@overload(finish_rows)
def _finish_rows(epilogue, corner, line, at, columns):
    if epilogue.instance_class is not Epilogue:
        return None

    def finish(epilogue, corner, line, at, columns):
        row = corner[line : line + columns]
        if epilogue.z.size:
            kept = epilogue.z[at : at + columns]
            for j in range(row.size):
                kept[j] = row[j]
        activate_row(epilogue.activation, row)

    return finish


@compiled
def beginning(accumulate, step, epilogue):
    """What the tiles of a block's first step start with: see tile."""
    bias = FROM_BIAS if step == 0 and epilogue.bias.size else 0
    return bias + (ADD if accumulate or step > 0 else 0)


@compiled
def finish_tile(corner, width, c, at, ldc, rows, columns, add, bias, first, last, epilogue):
    """Hand a tile from L1 to C: what of it lies inside C, with what the registers did not do."""
    for i in range(rows):
        # slices: an index that Numba knows to count from zero is no obstacle to vectors
        row, target = corner[i * width : i * width + columns], c[at + i * ldc : at + i * ldc + columns]
        if add:
            for j in range(columns):
                row[j] += target[j]
        if bias.size:
            start = bias[first : first + columns]
            for j in range(columns):
                row[j] += start[j]
        if last:
            finish_rows(epilogue, corner, i * width, at + i * ldc, columns)
        for j in range(columns):
            target[j] = row[j]
