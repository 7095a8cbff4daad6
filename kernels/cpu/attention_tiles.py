"""Tiles of a block of attention, and what will be read next brought near meanwhile. Compiled once a dtype (shared.py).

The work on a head is short, some 30 us, and begins with rows that no cache holds. The processor cannot guess where they
are: heads lie in pieces of rows. So there is a list of regions, and each step of a tile, some 28 cycles, asks for one
line of them: few enough that memory keeps up, and that what the tile itself waits for need not stand in a queue.
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
from .tile import ADD, emit_tile
from .tiles import KC

LINE = 64  # bytes of a cache line
NARROW = 2**14  # bytes that stay in the first cache beside a panel
SLOT = 2  # scratch slot of the list
REGIONS = 12  # the most there are
# words of the list: regions, the one at hand, its next line; then of each region its address, bytes from row to row,
# the logarithm of the lines of a row, and all lines
COUNT, REGION, NEXT, FIRST = range(4)

_i64 = ir.IntType(64)


@intrinsic
def _tile(typingctx, like, rows, width, depth, a, a_line, a_step, b, b_step, c, ldc, start, region):
    """tile, without bias and ReLU; step s asks for line min(s + first, last) of a region, a tuple (address, stride,
    shift, first, last)."""

    def codegen(context, builder, signature, args):
        address, stride, shift, first, last = (builder.extract_value(args[-1], i) for i in range(5))
        i32, pointer, one = ir.IntType(32), ir.IntType(8).as_pointer(), ir.Constant(_i64, 1)
        prefetch = external(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, i32, i32, i32])
        rest = builder.sub(builder.shl(one, shift), one)

        def bring(step):
            number = builder.add(step, first)
            number = builder.select(builder.icmp_signed("<", number, last), number, last)
            row = builder.mul(builder.ashr(number, shift), stride)
            byte = builder.mul(builder.and_(number, rest), ir.Constant(_i64, LINE))
            place = builder.inttoptr(builder.add(address, builder.add(row, byte)), pointer)
            builder.call(prefetch, [place, i32(0), i32(2), i32(1)])  # to read, into the second cache, data

        nothing = ir.Constant(_i64, 0), ir.Constant(ir.IntType(1), 0)
        emit_tile(builder, signature.args[0], (*args[1:-1], *nothing), bring)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 11, types.UniTuple(types.intp, 5)), codegen


@compiled
def ahead():
    """This thread's list."""
    words = FIRST + 4 * REGIONS
    return numba.carray(as_pointer(scratch_address(SLOT, 8 * words)), (words,), np.int64)


@compiled
def forget(regions):
    regions[COUNT] = regions[REGION] = regions[NEXT] = 0


@compiled
def remember(regions, address, stride, rows, size):
    """Add rows of `size` bytes, `stride` bytes apart, to what is brought."""
    if rows > 0 and size > 0:
        shift = 0
        while LINE << shift < size:
            shift += 1
        at = FIRST + 4 * regions[COUNT]
        regions[at], regions[at + 1], regions[at + 2], regions[at + 3] = address, stride, shift, rows << shift
        regions[COUNT] += 1


@compiled
def _next(regions, steps, otherwise):
    """What a tile of so many steps asks for; once all is there, a line that is there anyway."""
    if regions[REGION] == regions[COUNT]:
        return otherwise, 0, 0, 0, 0
    at, first = FIRST + 4 * regions[REGION], regions[NEXT]
    regions[NEXT] += steps
    if regions[NEXT] >= regions[at + 3]:
        regions[REGION] += 1
        regions[NEXT] = 0
    return regions[at], regions[at + 1], regions[at + 2], first, regions[at + 3] - 1


@compiled
def _tiles(like, item, width, area, height, a, a_panel, a_line, a_step, b, b_panel, b_step, c, ldc, start, list_at):
    m, n, depth = area
    regions = numba.carray(as_pointer(list_at), (FIRST + 4 * REGIONS,), np.int64)
    parts = (depth + KC - 1) // KC
    steps = (depth + parts - 1) // parts
    down, across = (m + height - 1) // height, (n + width - 1) // width
    for step in range(0, depth, steps):
        count, begin_with = min(steps, depth - step), start if step == 0 else ADD
        # the inner loop goes over what has room in the first cache beside the other: all of B, or a panel of it
        by_rows = n * count * item <= NARROW
        for number in range(down * across):
            i = (number // across if by_rows else number % down) * height
            j = (number % across if by_rows else number // down) * width
            b_at = b + (j // width * b_panel + step * b_step) * item
            a_at = a + (i // height * a_panel + step * a_step) * item
            high, wide, at = min(height, m - i), min(width, n - j), c + (i * ldc + j) * item
            region = _next(regions, count, b_at)
            _tile(like, high, wide, count, a_at, a_line, a_step, b_at, b_step, at, ldc, begin_with, region)


@standalone
def attention_tiles_32(m, n, depth, height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead):
    width = VECTORS * FLOAT_LANES
    _tiles(np.float32(0), 4, width, (m, n, depth), height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead)


@standalone
def attention_tiles_64(m, n, depth, height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead):
    width = VECTORS * DOUBLE_LANES
    _tiles(np.float64(0), 8, width, (m, n, depth), height, a, ap, al, as_, b, bp, bs, c, ldc, start, ahead)


@compiled
def attention_tiles(like, m, n, depth, height, a, b, c, ldc, add, regions):
    """c (+)= a b, `height` rows to a panel of a; a, b: Panels, c: an address; depth > 0."""
    slot = shared.ATTENTION_TILES if like.itemsize == 4 else shared.ATTENTION_TILES + 1
    where = (a.address, a.panel, a.line, a.step, b.address, b.panel, b.step, c, ldc, ADD if add else 0)
    shared.call(slot, (m, n, depth, height, *where, np.intp(regions.ctypes.data)))
