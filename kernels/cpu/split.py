"""Splitting: from where a float32 operand lies to the bf16 panels that AMX tiles read (amx.py).

    h = bf16(x),  m = bf16(x - h),  l = bf16(x - h - m)        rounded to nearest, so h + m + l = x exactly

Each part holds 8 bits and a sign, and the subtractions are exact: 24 bits of x are 8 + 8 + 8. What six products leave
out, m l + l m + l l, is below 2^-24 |a b|, of either sign; parts cut off instead of rounded would leave eight times as
much, always of the sign of a b. Exact down to 2^-103: a part below 2^-126 counts as zero in the multiplier, so an
operand is off by less than 2^-126 there. At the other end h may be larger than x, and a product within a hundredth of
the largest float become infinite.

A panel is 32 lines (rows of A, columns of B); a block of it is 32 steps of depth: for each part two tiles of 16 rows
of 16 pairs. The multiplier asks of a pair only that A and B agree on what it is. Here it is steps (p, p + 16), not two
neighbours: then A's tile rows (a line, 32 steps) and B's (32 steps, 16 lines) are both made of two vectors, put side by
side with a shift and a mask, and no element changes its lane. Lines and steps beyond the operand's edge are zero.

A that lies by line and B that lies by step are read where they lie. All else (the other layout, edges, whatever has a
`pack_panel`) goes through a buffer in L1, a panel as pack.py makes it, which for A is turned in registers once more.
"""

from llvmlite import ir
from numba import types

from ..jit import compiled, exact, intrinsic, scratch
from .amx import EDGE, TILE
from .pack import GAP, address_of, lies, pack_panel, transpose_block

BUFFER_STEPS = 96  # of 32 lines: 12 KB, beside the 6 KB of a block that is written

_i32, _i64 = ir.IntType(32), ir.IntType(64)
_words, _floats = ir.VectorType(_i32, 16), ir.VectorType(ir.FloatType(), 16)
_LARGEST = 0x7F7F7FFF  # bits of the largest number that does not round to an infinite bf16


def _each(bits):
    return ir.Constant(_words, [bits] * 16)


@intrinsic
def split_vectors(typingctx, low, high, target, parts):
    """Write the parts of 16 pairs to target, target + 2 tiles ...; nonzero if one is not finite, or rounds to infinity.

    low, high   addresses of 16 floats: first and second halves of the pairs
    """

    def codegen(context, builder, signature, args):
        low, high, target, parts = args
        pair = [builder.load(builder.inttoptr(at, _floats.as_pointer()), align=4) for at in (low, high)]
        too_large = None
        for x in pair:
            size = builder.and_(builder.bitcast(x, _words), _each(0x7FFFFFFF))
            large = builder.icmp_unsigned(">", size, _each(_LARGEST))
            too_large = builder.or_(too_large, large) if too_large else large
        flags = builder.zext(builder.bitcast(too_large, ir.IntType(16)), _i64)

        def put(part, last):
            """Store one part; take it from what is left."""
            halves = []
            for i, x in enumerate(pair):
                bits = builder.bitcast(x, _words)
                if not last:
                    bits = builder.add(bits, _each(0x8000))
                halves.append(builder.and_(bits, _each(0xFFFF0000)))
                if not last:
                    pair[i] = builder.fsub(x, builder.bitcast(halves[i], _floats))
            both = builder.or_(builder.lshr(halves[0], _each(16)), halves[1])
            place = builder.add(target, ir.Constant(_i64, part * 2 * TILE))
            # parts that are kept (parts.py) lie in an array of the caller's
            builder.store(both, builder.inttoptr(place, _words.as_pointer()), align=4)

        put(0, last=False)
        with builder.if_then(builder.icmp_signed(">", parts, ir.Constant(_i64, 1))):
            put(1, last=False)
            with builder.if_then(builder.icmp_signed(">", parts, ir.Constant(_i64, 2))):
                # seven bits are left: nothing to round
                put(2, last=True)
        return flags

    return types.int64(types.intp, types.intp, types.intp, types.intp), codegen


@exact
def _split_lines(target, source, stride, parts):
    """A block of A: 32 lines of 32 steps, lines `stride` bytes apart."""
    flags = 0
    for line in range(EDGE):
        at = source + line * stride
        flags |= split_vectors(at, at + 64, target + line * 64, parts)
    return flags


@exact
def _split_steps(target, source, stride, parts):
    """A block of B: 32 steps of 32 lines, steps `stride` bytes apart."""
    flags = 0
    for pair in range(EDGE // 2):
        at, to = source + pair * stride, target + pair * 64
        beside = at + EDGE // 2 * stride
        flags |= split_vectors(at, beside, to, parts)
        flags |= split_vectors(at + 64, beside + 64, to + TILE, parts)
    return flags


@exact
def _split_buffer(target, for_a, buffer, steps, parts):
    """Blocks of a buffer of whole blocks of steps."""
    flags, size = 0, parts * 2 * TILE
    lines = buffer[BUFFER_STEPS * EDGE + GAP :]
    for p in range(0, steps, EDGE):
        at = target + p // EDGE * size
        if for_a:
            for line in range(0, EDGE, 16):
                for step in range(0, EDGE, 16):
                    turned = (p + step) * EDGE + line
                    transpose_block(buffer, turned, EDGE, 15, lines, line * EDGE + step, EDGE)
            flags |= _split_lines(at, address_of(lines), EDGE * 4, parts)
        else:
            flags |= _split_steps(at, address_of(buffer) + p * EDGE * 4, EDGE * 4, parts)
    return flags


@compiled
def panel_blocks(depth):
    """Blocks of steps in a panel."""
    return (depth + EDGE - 1) // EDGE


@exact
def split_panel(target, for_a, operand, first, count, step, depth, parts, like):
    """Write lines first .. first + 32 of `count`, steps step .. step + depth, to the panel at address target.

    Returns whether all of it can be multiplied: finite, and not so large that a part is infinite.
    """
    memory = lies(operand)
    inside = min(EDGE, count - first)
    size = parts * 2 * TILE
    flags, done = 0, 0
    if memory.address != 0 and inside == EDGE and (memory.step if for_a else memory.line) == 1:
        done = depth // EDGE * EDGE
        # panels made for the register tile are as wide
        corner = first // EDGE * memory.panel if memory.panel != 0 else first * memory.line
        for p in range(0, done, EDGE):
            at = target + p // EDGE * size
            source = memory.address + (corner + (step + p) * memory.step) * 4
            if for_a:
                flags |= _split_lines(at, source, memory.line * 4, parts)
            else:
                flags |= _split_steps(at, source, memory.step * 4, parts)
    buffer = scratch(2, BUFFER_STEPS * EDGE + GAP + EDGE * EDGE, like)
    for p in range(done, depth, BUFFER_STEPS):
        steps = min(BUFFER_STEPS, depth - p)
        padded = panel_blocks(steps) * EDGE
        pack_panel(buffer, 0, EDGE, operand, first, step + p, steps)
        for q in range(steps):
            buffer[q * EDGE + inside : q * EDGE + EDGE] = 0
        buffer[steps * EDGE : padded * EDGE] = 0
        flags |= _split_buffer(target + p // EDGE * size, for_a, buffer, padded, parts)
    return flags == 0
