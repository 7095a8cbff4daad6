"""Products of float32 and float64 on the ordinary arithmetic units: sums in registers, operands in shared memory.

A block owns a tile of results and walks along the depth in slices. A slice of both operands lies in shared memory as
[k][line], brought by asynchronous copies one slice or more before it is wanted: 16 bytes at a time where the lines
are contiguous, an element at a time where the depth is, which transposes it on the way. A thread multiplies 8 x 8 (or
8 x 4) results: for each k two or one 16-byte loads of either operand, and 64 (32) multiply-adds.

The lanes of a warp lie interleaved, so that lanes i and i ^ 1 read the same columns and i and i ^ 2 the same rows:
then the hardware serves a 16-byte load of a warp in two passes.
"""

import functools
from typing import NamedTuple

import numpy as np

from .ptx_tile import slice_product
from .target import SIMULATOR
from .tile import CHUNK_BYTES, DEPTH
from .tile_source import bringing, build


class Shape(NamedTuple):
    """A block: warps and the lanes of a warp in rows and columns, groups of four results of a thread in each."""

    warps: tuple
    lanes: tuple
    groups: tuple
    slice: int
    stages: int
    # blocks of one multiprocessor, which bounds the registers of a thread
    resident: int

    @property
    def rows(self):
        return self.warps[0] * self.lanes[0] * self.groups[0] * 4

    @property
    def columns(self):
        return self.warps[1] * self.lanes[1] * self.groups[1] * 4

    @property
    def threads(self):
        return self.warps[0] * self.warps[1] * self.lanes[0] * self.lanes[1]

    def depth(self, dtype):
        return self.slice

    @property
    def shared_bytes(self):
        """Of dynamic shared memory: none, it asks for its own."""
        return 0


if SIMULATOR:
    LARGE = Shape((2, 1), (2, 2), (2, 2), 4, 2, 2)
    SMALL = SMALL_DOUBLE = Shape((1, 2), (2, 2), (2, 1), 4, 3, 2)
    FLAT, NARROW = Shape((1, 2), (2, 2), (1, 1), 4, 3, 2), Shape((2, 1), (2, 2), (1, 1), 4, 3, 2)
else:
    LARGE = Shape((4, 2), (4, 8), (2, 2), 16, 2, 2)
    SMALL = Shape((2, 2), (4, 8), (2, 1), 16, 3, 4)
    SMALL_DOUBLE = Shape((2, 2), (4, 8), (2, 1), 16, 2, 3)
    # 16 x 128 and 128 x 16, for a few samples or a few classes: reading the other operand is what takes time
    FLAT, NARROW = Shape((1, 4), (4, 8), (1, 1), 16, 3, 4), Shape((4, 1), (8, 4), (1, 1), 16, 3, 4)

# elements between the lines of one k and those of the next: the same line at 8 k lies in different banks
PAD = 4
# k that neighbouring threads bring where the depth is contiguous
NEIGHBOURS = 2 if SIMULATOR else 8


def _bringing(side, operand, chunks, shape, lines, begin, itemsize):
    width = lines + PAD
    vector = CHUNK_BYTES // itemsize if chunks else 1
    along = NEIGHBOURS if operand.contiguous == DEPTH else min(lines // vector, shape.threads)
    if operand.contiguous != DEPTH and not chunks:
        # a warp: what it takes to find an element of the depth is shared by several lines
        along = min(along, 32)
    place = f"{begin} + k_{side} * {width} + line_{side}"
    return bringing(
        side, operand, shape.slice, lines, shape.threads, along, vector, place, lambda k, line: k * width + line
    )


@functools.cache
def core(dtype, shape, a, b, output, epilogue, chunks_a, chunks_b, vectors):
    """The kernel for operands a and b, an output and an epilogue of tile.py: see tile_source.build.

    chunks_a, chunks_b  whether an operand whose lines are contiguous may be copied 16 bytes at a time
    vectors             whether four results may be stored at once
    """
    real, itemsize = np.dtype(dtype).type, np.dtype(dtype).itemsize
    (lane_rows, lane_columns), (parts, pieces) = shape.lanes, shape.groups
    (down, right), width = (n + PAD for n in (shape.rows, shape.columns)), shape.columns + PAD
    setup_a, bring_a = _bringing("a", a, chunks_a, shape, shape.rows, 0, itemsize)
    setup_b, bring_b = _bringing("b", b, chunks_b, shape, shape.columns, shape.slice * down, itemsize)
    # rows of a warp that go to y together: four of each lane
    band = 4 * lane_rows
    setup = [
        f"row, column = (lane % 2 + lane // {2 * lane_columns} * 2) * 4, lane // 2 % {lane_columns} * 4",
        f"column += warp_column * {4 * lane_columns * pieces}",
        f"mine_a, mine_b = warp_row * {band * parts} + row, {shape.slice * down} + column",
        f"kept = (warp_row * {band} + row) * {width} + column",
    ]
    keep = [
        [
            f"store4(results, kept + {r * width + 4 * lane_columns * c}, sums[{at} : {at + 4}])"
            for r in range(4)
            for c in range(pieces)
            for at in [((part * 4 + r) * pieces + c) * 4]
        ]
        for part in range(parts)
    ]
    stage = shape.slice * (down + right)
    elements = max(shape.stages * stage, shape.warps[0] * band * width)
    scope = {
        "REAL": real,
        "ZEROS": (real(0),) * (16 * parts * pieces),
        "multiply": slice_product(shape.slice, (down, band, parts), (right, 4 * lane_columns, pieces)),
    }
    return build(
        "tile_fma",
        shape,
        shape.slice,
        stage,
        [f"shared = results = cuda.shared.array({elements}, REAL)"],
        (a, b),
        output,
        epilogue,
        (chunks_a, chunks_b),
        vectors,
        setup + setup_a + setup_b,
        bring_a + bring_b,
        ["sums = multiply(sums, shared, at + mine_a, at + mine_b)"],
        keep,
        band,
        width,
        scope,
    )
