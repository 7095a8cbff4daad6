"""What follows a product before its elements reach memory: bias, activation, whatever a layer wants to keep.

An epilogue is a NamedTuple with a `bias` ((N,) or size 0, what the sums start from), `relu`, and overloads of

    in_registers   whether the register tile does all of it (bias and ReLU); a plain store of the tile is the end then
    finish_rows    what happens to a piece of a row of the finished tile, in L1, before it becomes C

A layer writes its own (kernels/cpu/linear.py: activations and their saved inputs); products know these two functions.
"""

from typing import NamedTuple

import numpy as np

from ..jit import compiled, overload


class Plain(NamedTuple):
    """Nothing happens to C after its last step, but for bias and ReLU in the registers."""

    bias: np.ndarray  # (N,) or (0,)
    relu: bool


def in_registers(epilogue):
    """Whether the tile itself does all of an epilogue. Compiled code; epilogues overload it."""
    raise NotImplementedError("in_registers is for compiled code")


def finish_rows(epilogue, corner, line, at, columns):
    """What an epilogue does to corner[line : line + columns], a piece of a row in L1 that will become C[at : ...].

    The bias is in already. Compiled code; epilogues overload it, and write what else they keep.
    """
    raise NotImplementedError("finish_rows is for compiled code")


@overload(in_registers)
def _in_registers(epilogue):
    if epilogue.instance_class is Plain:
        return lambda epilogue: True
    return None


@overload(finish_rows)
def _finish_rows(epilogue, corner, line, at, columns):
    if epilogue.instance_class is not Plain:
        return None

    def finish(epilogue, corner, line, at, columns):
        row = corner[line : line + columns]
        if epilogue.relu:
            for j in range(row.size):
                row[j] = 0 if row[j] <= 0 else row[j]

    return finish


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


@compiled
def no_epilogue(c):
    return Plain(c[:0], False)
