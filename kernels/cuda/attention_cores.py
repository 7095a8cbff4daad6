"""The two ways a block of attention multiplies: fused multiply-adds, or tensor cores. What both are told by, and tell.

A block has some rows, of which each warp has its own, and goes along blocks of columns. Operands lie in shared memory
as in global memory, a row of `width` numbers after the other, PAD_BYTES apart, which keeps the loads of a warp in
different banks. Two kinds of products are made of them:

    multiply   tile += rows of the warp . rows of the columns' operand, over their width: scores, and their slopes
    spread     sums += tile . rows of the columns' operand, over the columns: results, and gradients

Scores never leave the warp. The sums of a tensor core lie as the next product wants its rows, so they stay in
registers; those of multiply-adds go by shared memory, where every warp has a part of its own.
"""

from typing import NamedTuple

import numpy as np

from .ptx_attention_moves import laid_down, packed, step_products
from .ptx_tile import fragment_loads, tensor_product, word_loads
from .score_tile import interleaved, of_fragments
from .target import SIMULATOR

PAD_BYTES = 16
# threads of a warp of the ordinary core, in rows and columns
DOWN, ACROSS = (2, 2) if SIMULATOR else (4, 8)
# rows and columns of a fragment
FRAGMENT = 16


class Shape(NamedTuple):
    """A block.

    kind      "fma", or what ptx_tile.tensor_product multiplies
    warps     that share out the rows
    down      rows of a thread; fragments of rows of a warp of tensor cores
    across    columns of a thread; fragments of columns
    width     numbers of a row in shared memory: the depth of `multiply` and the columns of `spread`
    stages    blocks of columns in shared memory
    resident  blocks of one multiprocessor, which bounds the registers of a thread
    """

    kind: str
    warps: int
    down: int
    across: int
    width: int
    stages: int
    resident: int

    @property
    def tensor(self):
        return self.kind != "fma"

    @property
    def rows(self):
        return self.warps * self.down * (FRAGMENT if self.tensor else DOWN)

    @property
    def columns(self):
        return self.across * (FRAGMENT if self.tensor else ACROSS)

    @property
    def lanes(self):
        return 32 if self.tensor else DOWN * ACROSS

    @property
    def threads(self):
        return self.warps * self.lanes

    def pitch(self, itemsize):
        return self.width + PAD_BYTES // itemsize

    @property
    def places(self):
        """Of a tile of scores."""
        if self.tensor:
            return of_fragments(self.down, self.across)
        rows, columns = (tuple(step * i for i in range(n)) for step, n in ((DOWN, self.down), (ACROSS, self.across)))
        return interleaved(rows, columns)

    @property
    def sums(self):
        """Of a thread's part of the rows' results, `width` columns wide."""
        if self.tensor:
            return of_fragments(self.down, self.width // FRAGMENT)
        groups = range(0, self.width, 4 * ACROSS)
        return interleaved(self.places.rows, tuple(first + i for first in groups for i in range(4)))

    @property
    def neighbours(self):
        """Numbers of `sums` that lie side by side."""
        return 2 if self.tensor else 4

    @property
    def partners(self):
        """The bits of a lane in which those of one row differ."""
        if self.tensor:
            return (1, 2)
        return tuple(2 << i for i in range(ACROSS.bit_length() - 1))


class Core(NamedTuple):
    """Source of a shape's products, for one type of numbers.

    setup     lines that say `row`, `column` and `out`: the thread's first row in the block, column in a block of
              columns, and column of its sums
    multiply  (tile, rows, columns) -> lines: names of a tile, and of where operands begin in `shared`
    spread    (sums, tile, columns) -> lines
    apart     elements of shared memory that the core wants for itself, which begin at `apart_begin`
    """

    setup: list
    multiply: object
    spread: object
    apart: int
    scope: dict


def core(shape, dtype):
    return _tensor(shape, dtype) if shape.tensor else _ordinary(shape, dtype)


def _ordinary(shape, dtype):
    """Lanes i and i ^ 1 have the same columns, i and i ^ 2 the same rows: a load of 16 bytes then takes two passes."""
    pitch, wide = shape.pitch(dtype.itemsize), shape.columns + PAD_BYTES // dtype.itemsize
    height = DOWN * shape.down
    setup = [
        f"row, column = lane % 2 + lane // {2 * ACROSS} * 2, lane // 2 % {ACROSS}",
        "out = column * 4",
        f"apart = apart_begin + (warp * {height} + row) * {wide}",
        f"row += warp * {height}",
    ]

    def multiply(tile, rows, columns):
        return [
            f"left, right = {rows} + row * {pitch}, {columns} + column * {pitch}",
            f"for j in range(0, {shape.width}, 4):",
            f"    {tile} = multiply({tile}, shared, left + j, right + j)",
        ]

    def spread(sums, tile, columns):
        return [
            "meet()",
            f"lay_down(shared, apart + column, {tile})",
            "meet()",
            f"right = {columns} + out",
            f"for j in range(0, {shape.columns}, 4):",
            f"    {sums} = spread({sums}, shared, apart + j, right + j * {pitch})",
        ]

    scope = {
        "multiply": step_products((shape.down, DOWN * pitch), (shape.across, ACROSS * pitch)),
        "spread": step_products((shape.down, DOWN * wide), (shape.width // ACROSS, 4 * ACROSS, pitch)),
        "lay_down": laid_down(shape.places, wide),
    }
    return Core(setup, multiply, spread, shape.warps * height * wide, scope)


def _tensor(shape, dtype):
    """Fragments as in tile_mma.py."""
    itemsize, single = dtype.itemsize, dtype.itemsize == 4
    pitch, chunk, height = shape.pitch(itemsize), 16 // itemsize, FRAGMENT * shape.down
    # numbers of the depth that a tensor core takes at once
    depth = 2 * chunk
    rows, columns, results = range(shape.down), range(shape.across), range(shape.width // FRAGMENT)
    setup = [
        f"row, column, out = warp * {height} + lane // 4, lane % 4 * 2, lane % 4 * 2",
        f"own_rows = (warp * {height} + lane % 16) * {pitch} + lane // 16 * {chunk}",
        f"own_columns = (lane % 8 + lane // 16 * 8) * {pitch} + lane // 8 % 2 * {chunk}",
    ]
    if single:
        setup.append(f"own_spread = lane % 4 * {2 * pitch} + lane // 4")
    else:
        setup.append(f"own_spread = lane % 16 * {pitch} + lane // 16 * 8")

    def multiply(tile, rows_begin, columns_begin):
        lines = [f"left, right = {rows_begin} + own_rows, {columns_begin} + own_columns"]
        for k in range(0, shape.width, depth):
            left = "".join(f"left + {k + FRAGMENT * pitch * m}, " for m in rows)
            right = "".join(f"right + {k + FRAGMENT * pitch * n}, " for n in columns)
            lines.append(f"{tile} = multiply({tile}, load(shared, ({left})), load(shared, ({right})))")
        return lines

    def spread(sums, tile, columns_begin):
        lines = [f"right = {columns_begin} + own_spread"]
        for step in range(shape.columns // depth):
            first = step * depth * pitch
            if single:
                # columns g and g + 8, at numbers t and t + 4 of the depth: see packed
                where = [first + k * pitch + FRAGMENT * n + 8 * low for n in results for low in (0, 1) for k in (0, 1)]
            else:
                where = [first + FRAGMENT * n for n in results]
            right = "".join(f"right + {n}, " for n in where)
            lines.append(f"{sums} = spread({sums}, pack_{step}({tile}), load_turned(shared, ({right})))")
        return lines

    scope = {
        "multiply": tensor_product(shape.kind, shape.down, shape.across),
        "spread": tensor_product(shape.kind, shape.down, shape.width // FRAGMENT),
        "load": fragment_loads(False),
        "load_turned": word_loads if single else fragment_loads(True),
    }
    for step in range(shape.columns // depth):
        scope[f"pack_{step}"] = packed(shape.kind, shape.down, shape.across, step)
    return Core(setup, multiply, spread, 0, scope)


# what a kernel is multiplied in, and its sums
def summed(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)
