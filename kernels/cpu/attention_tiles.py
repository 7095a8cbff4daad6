"""Tiles of a block of attention, and what will be read next brought near meanwhile. Compiled once a dtype (shared.py).

The work on a head is short, some 30 us, and begins with rows that no cache holds. The processor cannot guess where they
are: heads lie in pieces of rows. So a list of regions (`Ahead`) is walked through while tiles multiply, some lines after
each tile, few enough that memory keeps up.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import shared
from ..jit import compiled, standalone
from ..state import as_pointer, external, scratch_address
from .target import DOUBLE_LANES, FLOAT_LANES, VECTORS
from .tile import ADD, tile
from .tiles import KC

LINE = 64  # bytes of a cache line
SLOT = 2  # scratch slot of the list
REGIONS = 12  # the most there are
# words of the list: regions, the one at hand, its next row, lines to bring after each tile; then the regions
COUNT, REGION, ROW, PACE, FIRST = range(5)


@intrinsic
def _bring(typingctx, address):
    """The line at an address into the second cache."""

    def codegen(context, builder, signature, args):
        i32, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = [pointer, i32, i32, i32]
        function = external(builder, "llvm.prefetch.p0", ir.VoidType(), kind)
        read, second, data = i32(0), i32(2), i32(1)
        builder.call(function, [builder.inttoptr(args[0], pointer), read, second, data])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@compiled
def ahead():
    """This thread's list."""
    words = FIRST + 4 * REGIONS
    return numba.carray(as_pointer(scratch_address(SLOT, 8 * words)), (words,), np.int64)


@compiled
def forget(regions):
    regions[COUNT] = regions[REGION] = regions[ROW] = 0


@compiled
def remember(regions, address, stride, rows, size):
    """Add rows of `size` bytes, `stride` bytes apart, to what is brought."""
    at = FIRST + 4 * regions[COUNT]
    regions[at], regions[at + 1], regions[at + 2], regions[at + 3] = address, stride, rows, size
    regions[COUNT] += 1


@compiled
def spread(regions, tiles):
    """Bring all of it during so many tiles."""
    lines = 0
    for region in range(regions[COUNT]):
        at = FIRST + 4 * region
        lines += regions[at + 2] * (regions[at + 3] // LINE + 1)
    regions[PACE] = lines // max(1, tiles) + 1


@compiled
def _bring_some(regions):
    lines = regions[PACE]
    while lines > 0 and regions[REGION] < regions[COUNT]:
        at = FIRST + 4 * regions[REGION]
        if regions[ROW] >= regions[at + 2]:
            regions[REGION] += 1
            regions[ROW] = 0
            continue
        start = regions[at] + regions[ROW] * regions[at + 1]
        for byte in range(0, regions[at + 3], LINE):
            _bring(start + byte)
        lines -= regions[at + 3] // LINE + 1
        regions[ROW] += 1


@compiled
def _tiles(
    like, item, width, m, n, depth, height, a, a_panel, a_line, a_step, b, b_panel, b_step, c, ldc, start, list_at
):
    regions = numba.carray(as_pointer(list_at), (FIRST + 4 * REGIONS,), np.int64)
    parts = (depth + KC - 1) // KC
    steps = (depth + parts - 1) // parts
    for step in range(0, depth, steps):
        count, begin_with = min(steps, depth - step), start if step == 0 else ADD
        for j in range(0, n, width):
            b_at = b + (j // width * b_panel + step * b_step) * item
            for i in range(0, m, height):
                a_at = a + (i // height * a_panel + step * a_step) * item
                high, wide, at = min(height, m - i), min(width, n - j), c + (i * ldc + j) * item
                tile(like, high, wide, count, a_at, a_line, a_step, b_at, b_step, at, ldc, begin_with, 0, False)
                _bring_some(regions)


@standalone
def attention_tiles_32(m, n, depth, height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead):
    width = VECTORS * FLOAT_LANES
    _tiles(np.float32(0), 4, width, m, n, depth, height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead)


@standalone
def attention_tiles_64(m, n, depth, height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead):
    width = VECTORS * DOUBLE_LANES
    _tiles(np.float64(0), 8, width, m, n, depth, height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead)


@compiled
def attention_tiles(like, m, n, depth, height, a, b, c, ldc, add, regions):
    """c (+)= a b, `height` rows to a panel of a; a, b: Panels, c: an address; depth > 0."""
    slot = shared.ATTENTION_TILES if like.itemsize == 4 else shared.ATTENTION_TILES + 1
    where = (a.address, a.panel, a.line, a.step, b.address, b.panel, b.step, c, ldc, ADD if add else 0)
    shared.call(slot, (m, n, depth, height, *where, np.intp(regions.ctypes.data)))
