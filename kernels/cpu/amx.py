"""AMX tiles: a 32 x 32 block of C as bf16 products of the parts into which float32 operands were split (split.py).

    x = h + m + l, bf16 each        products: h h                                   1   "medium"
                                              h m + h h + m h                       3   "high"
                                              h l + h m + m m + m h + l h + h h     6   "highest"

The block is 2 x 2 tiles of sums, which leaves two tile registers for A and two for B. The order of the products is a
snake: each takes over one operand from the one before and loads only the other. So 32 steps of depth take

    products   tdpbf16ps      cycles (16 each)   tile loads      cycles (8 each, from L1)
    6          6 x 4 = 24     384                4 + 5 x 2 = 14  112
    3          3 x 4 = 12     192                4 + 2 x 2 = 8    64
    1          4               64                4                32

The multiplier is the bound, wherever in L1 or L2 the panels lie: each 32 steps bring 6 KB of A and 6 KB of B (six
products), which in 384 cycles is 32 bytes a cycle from L2 if neither is in L1, of some 48 that it gives. Consecutive
tdpbf16ps go to four different tiles in turn: a latency of 52 cycles at one every 16 needs three.

32 * 32 * 32 multiply-adds in 384 cycles are 85 a cycle, where AVX-512 does 32: the ceiling is 2.67 times its peak.

Tiles do not survive a call, so the whole loop over the depth is one intrinsic; their configuration does, and belongs
to the thread. All pointers are addresses (integers), as in tile.py.
"""

import ctypes
import platform
import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..jit import intrinsic

TILE = 1024  # bytes of a tile: 16 rows of 64 bytes
EDGE = 32  # rows and columns of a block of C; steps of depth in a block of a panel

# (part of A, part of B), 0 the highest, in the order of the snake: what matters most is added last
PRODUCTS = {6: ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0)), 3: ((0, 1), (0, 0), (1, 0)), 1: ((0, 0),)}
PARTS = {6: 3, 3: 2, 1: 1}

_i8, _i64 = ir.IntType(8), ir.IntType(64)
_i8p = _i8.as_pointer()


def _call(builder, name, *args):
    kind = ir.FunctionType(ir.VoidType(), [a.type for a in args])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), args)


def _tile(number):
    return ir.Constant(_i8, number)


@intrinsic
def configure(typingctx):
    """Give this thread its tiles: eight of 16 rows x 64 bytes. Costs a few hundred cycles: once a chunk, not a tile."""
    # palette 1; 16-bit bytes per row from byte 16, 8-bit rows from byte 48
    content = bytes([1]) + bytes(15) + b"\x40\x00" * 8 + bytes(16) + b"\x10" * 8 + bytes(8)

    def codegen(context, builder, signature, args):
        value = cgutils.global_constant(builder, "hotloop_tiles", cgutils.make_bytearray(bytearray(content)))
        value.align = 64
        _call(builder, "ldtilecfg", builder.bitcast(value, _i8p))
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def release(typingctx):
    """Take the tiles from this thread: a core with idle tiles saves less at a switch, and may clock higher."""

    def codegen(context, builder, signature, args):
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


def _loop(builder, products, blocks, a, b, b_size):
    """All steps of depth of a block: sums in tiles 0 .. 3, A in 4 and 5, B in 6 and 7."""
    a_size = ir.Constant(_i64, PARTS[products] * 2 * TILE)
    row = ir.Constant(_i64, 64)
    entry, loop, end = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("depth_end")
    builder.branch(loop)
    builder.position_at_end(loop)
    block, a_at, b_at = builder.phi(_i64), builder.phi(_i64), builder.phi(_i64)
    for phi, first in ((block, blocks), (a_at, a), (b_at, b)):
        phi.add_incoming(first, entry)

    def load(tile, base, part):
        """A panel's two tiles of one part."""
        for half in range(2):
            place = builder.add(base, ir.Constant(_i64, (2 * part + half) * TILE))
            _call(builder, "tileloadd64", _tile(tile + half), builder.inttoptr(place, _i8p), row)

    held = (None, None)
    for part_a, part_b in PRODUCTS[products]:
        if held[0] != part_a:
            load(4, a_at, part_a)
        if held[1] != part_b:
            load(6, b_at, part_b)
        held = part_a, part_b
        for tile in range(4):
            _call(builder, "tdpbf16ps", _tile(tile), _tile(4 + tile // 2), _tile(6 + tile % 2))
    left = builder.sub(block, ir.Constant(_i64, 1))
    block.add_incoming(left, loop)
    a_at.add_incoming(builder.add(a_at, a_size), loop)
    b_at.add_incoming(builder.add(b_at, b_size), loop)
    builder.cbranch(builder.icmp_signed(">", left, ir.Constant(_i64, 0)), loop, end)
    builder.position_at_end(end)


@intrinsic
def amx_tile(typingctx, products, blocks, a, b, b_block, c, ldc):
    """C = the products of two panels, for a block of 32 x 32 float32. The thread must be configured.

    products   6, 3 or 1
    blocks     of 32 steps of depth; at least one
    a, b       addresses of panels as split.py writes them: A's with as many parts as the products need
    b_block    bytes from one block of B's panel to the next: there may be more parts
    c, ldc     address of C's corner; bytes between its rows
    """

    def codegen(context, builder, signature, args):
        products, blocks, a, b, b_block, c, ldc = args
        below = builder.add(c, builder.mul(ldc, ir.Constant(_i64, 16)))
        corners = [builder.add(row, ir.Constant(_i64, right)) for row in (c, below) for right in (0, 64)]
        for tile in range(4):
            _call(builder, "tilezero", _tile(tile))
        six, three, one, end = (builder.append_basic_block(name) for name in ("six", "three", "one", "amx_end"))
        choice = builder.switch(products, one)
        choice.add_case(ir.Constant(_i64, 6), six)
        choice.add_case(ir.Constant(_i64, 3), three)
        for start, count in ((six, 6), (three, 3), (one, 1)):
            builder.position_at_end(start)
            _loop(builder, count, blocks, a, b, b_block)
            builder.branch(end)
        builder.position_at_end(end)
        for tile, corner in enumerate(corners):
            _call(builder, "tilestored64", _tile(tile), builder.inttoptr(corner, _i8p), ldc)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), codegen


@intrinsic
def add_blocks(typingctx, first, second, c, ldc, add):
    """C = first + second, or C += them: blocks of 32 x 32 float32, the two contiguous; second 0: it is not there.

    All by address; ldc: bytes between C's rows.
    """

    def codegen(context, builder, signature, args):
        first, second, c, ldc, add = args
        vector = ir.VectorType(ir.FloatType(), 16)

        def at(base, offset):
            return builder.inttoptr(builder.add(base, ir.Constant(_i64, offset)), vector.as_pointer())

        def plus(condition, values, base):
            """Two vectors, with those at an address added if the condition holds."""
            before = builder.block
            with builder.if_then(condition):
                there = [builder.load(at(base, 64 * v), align=4) for v in range(2)]
                sums = [builder.fadd(x, y) for x, y in zip(values, there, strict=True)]
                after = builder.block
            chosen = [builder.phi(vector) for _ in values]
            for phi, x, y in zip(chosen, values, sums, strict=True):
                phi.add_incoming(x, before)
                phi.add_incoming(y, after)
            return chosen

        two = builder.icmp_signed("!=", second, ir.Constant(_i64, 0))
        to_c = builder.icmp_unsigned("!=", add, ir.Constant(add.type, 0))
        with cgutils.for_range(builder, ir.Constant(_i64, EDGE)) as loop:
            offset = builder.mul(loop.index, ir.Constant(_i64, 4 * EDGE))
            target = builder.add(c, builder.mul(loop.index, ldc))
            values = [builder.load(at(builder.add(first, offset), 64 * v), align=4) for v in range(2)]
            values = plus(two, values, builder.add(second, offset))
            values = plus(to_c, values, target)
            for v, value in enumerate(values):
                builder.store(value, at(target, 64 * v), align=4)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, types.boolean), codegen


def grant():
    """Ask the system, once a process, to let its threads use tiles. False where it refuses or there are none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, request, tile_data = 158, 0x1023, 18  # ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return ctypes.CDLL(None).syscall(arch_prctl, request, tile_data) == 0
