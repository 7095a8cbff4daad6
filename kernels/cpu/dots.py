"""Products of rows with rows, as a linear layer's x @ w.T: both operands contiguous along the depth.

The register tile wants steps of B side by side, and turning B costs as much as using it for a few rows. Here nothing is
moved: a block of rows x columns dot products runs along the depth, a vector of each at a time, and its accumulators
are added up across their lanes at the end, all of them at once.

                 block (4 x 4 on AVX-512)      16 accumulators, 8 loads for 16 fused multiply-adds a step
    m == 1       1 x 8                         B is read once: bound by the memory it comes from
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import shared
from ..jit import compiled, parallel_for, standalone
from .epilogue import beginning, finish_rows, in_registers, with_activation
from .pack import address_of
from .target import DOUBLE_LANES, FLOAT_LANES, MASKED, VECTOR_BYTES
from .tile import ADD, FROM_BIAS, Emitter, has
from .tiles import CHUNK_WORK, SMALL

_i32, _i64 = ir.IntType(32), ir.IntType(64)

ROWS = 4
NEAR = 2**19  # bytes that stay in L2


def _blocks(lanes):
    """(rows, columns) of the blocks that exist: their dot products fill a vector, or half of one."""
    return (1, lanes // 2), (min(ROWS, lanes), max(1, lanes // ROWS))


class _Block:
    """One block: vectors of A's rows and B's columns from their addresses."""

    def __init__(self, e, shape, rows, columns, a, a_line, b, b_line):
        self.e, (self.height, self.width) = e, shape
        self.a = [e.line(a, a_line, i, rows) for i in range(self.height)]
        self.b = [e.line(b, b_line, j, columns) for j in range(self.width)]
        self.cells = [(i, j) for i in range(self.height) for j in range(self.width)]

    def step(self, offset, sums, mask=None):
        e = self.e
        left = [e.load(e.at(e.builder.add(line, offset)), mask) for line in self.a]
        right = [e.load(e.at(e.builder.add(line, offset)), mask) for line in self.b]
        return {(i, j): e.builder.call(e.fma, [left[i], right[j], sums[i, j]]) for i, j in self.cells}


def _across_lanes(e, vectors):
    """One vector whose lane i is the sum of the lanes of vectors[i]: halves are added while pairs are joined."""
    vectors = vectors + [e.zero] * (e.lanes - len(vectors))
    size = e.lanes
    while size > 1:
        # groups of `size` lanes belong to one dot product; they shrink to half, and pairs of vectors share one
        low = [g * size + i for g in range(2 * e.lanes // size) for i in range(size // 2)]
        high = [lane + size // 2 for lane in low]
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [e.builder.fadd(e.shuffle(a, b, low), e.shuffle(a, b, high)) for a, b in pairs]
        size //= 2
    return vectors[0]


def _emit(e, block, depth, columns, c, ldc, rows, start, bias, relu):
    """Sums over the depth, then what becomes of them."""
    builder, zero = e.builder, ir.Constant(_i64, 0)
    whole = builder.and_(depth, ir.Constant(_i64, -e.lanes))
    loop, after = builder.append_basic_block("step"), builder.append_basic_block("rest")
    before = builder.block
    builder.cbranch(builder.icmp_signed(">", whole, zero), loop, after)
    builder.position_at_end(loop)
    at = builder.phi(_i64)
    at.add_incoming(zero, before)
    sums = {cell: builder.phi(e.vector) for cell in block.cells}
    following = block.step(e.bytes(at), sums)
    for cell, phi in sums.items():
        phi.add_incoming(e.zero, before)
        phi.add_incoming(following[cell], loop)
    end = builder.add(at, ir.Constant(_i64, e.lanes))
    at.add_incoming(end, loop)
    builder.cbranch(builder.icmp_signed("<", end, whole), loop, after)

    builder.position_at_end(after)
    totals = {cell: builder.phi(e.vector) for cell in block.cells}
    for cell, phi in totals.items():
        phi.add_incoming(e.zero, before)
        phi.add_incoming(following[cell], loop)
    # the last, partial vector: lanes that do not exist are zero in both operands
    totals = block.step(e.bytes(whole), totals, e.lanes_below(builder.sub(depth, whole)))
    result = _across_lanes(e, [totals[cell] for cell in block.cells])
    _hand_out(e, result, block, columns, c, ldc, rows, start, bias, relu)


def _hand_out(e, result, block, columns, c, ldc, rows, start, bias, relu):
    """Store a block's results, which are side by side in a vector, row by row."""
    builder, wide = e.builder, block.width
    row = Emitter(builder, e.dtype, wide)
    mask = row.lanes_below(columns)
    places = [row.at(e.line(c, ldc, i, rows)) for i in range(block.height)]
    values = [e.shuffle(result, result, list(range(i * wide, (i + 1) * wide))) for i in range(block.height)]
    for flag, place_of in ((FROM_BIAS, lambda i: row.at(bias)), (ADD, lambda i: places[i])):
        before, more, on = builder.block, builder.append_basic_block("more"), builder.append_basic_block("on")
        builder.cbranch(has(builder, start, flag), more, on)
        builder.position_at_end(more)
        sums = [builder.fadd(row.load(place_of(i), mask), value) for i, value in enumerate(values)]
        builder.branch(on)
        builder.position_at_end(on)
        results = [builder.phi(row.vector) for _ in values]
        for phi, value, total in zip(results, values, sums, strict=True):
            phi.add_incoming(value, before)
            phi.add_incoming(total, more)
        values = results
    clip = row.splat(relu, row.mask)
    for place, value in zip(places, values, strict=True):
        clipped = builder.and_(builder.fcmp_ordered("<=", value, row.zero), clip)
        row.store(builder.select(clipped, row.zero, value), place, mask)


@intrinsic
def _dots(typingctx, like, single, rows, columns, depth, a, a_line, b, b_line, c, ldc, start, bias, relu):
    """C[i, j] (+)= sum over p of A[i, p] * B[j, p] for one block of the type of `like`, a number; depth >= 1.

    single          which block: the one of a single row
    rows, columns   the part of it that exists
    a, a_line       address of A's corner; elements from row to row. b, b_line: likewise, of B's columns
    c, ldc          address of C's corner; elements between its rows
    start           as for tile
    relu            store max(C, 0)
    """

    def codegen(context, builder, signature, args):
        _, single, rows, columns, depth, a, a_line, b, b_line, c, ldc, start, bias, relu = args
        e = Emitter(builder, signature.args[0])
        single, relu = (builder.icmp_unsigned("!=", flag, ir.Constant(flag.type, 0)) for flag in (single, relu))
        one, several = _blocks(e.lanes)
        with builder.if_else(single) as (if_single, if_several):
            for branch, shape in ((if_single, one), (if_several, several)):
                with branch:
                    block = _Block(e, shape, rows, columns, a, a_line, b, b_line)
                    _emit(e, block, depth, columns, c, ldc, rows, start, bias, relu)
        return context.get_dummy_value()

    return types.void(like, types.boolean, *(types.intp,) * 11, types.boolean), codegen


@compiled
def _step(m, lanes):
    """Columns of a block."""
    return lanes // 2 if m == 1 else max(1, lanes // ROWS)


@compiled
def _blocks_of(like, item, lanes, m, first, last, k, a, a_line, b, b_line, c, ldc, start, bias, relu):
    step, height = _step(m, lanes), min(ROWS, lanes)
    for j in range(first, last, step):
        wide, b_at = min(step, last - j), b + j * b_line * item
        for i in range(0, m, height):
            high, a_at, at = min(height, m - i), a + i * a_line * item, c + (i * ldc + j) * item
            _dots(like, m == 1, high, wide, k, a_at, a_line, b_at, b_line, at, ldc, start, bias + j * item, relu != 0)


@standalone
def dots_32(m, first, last, k, a, a_line, b, b_line, c, ldc, start, bias, relu):
    _blocks_of(np.float32(0), 4, FLOAT_LANES, m, first, last, k, a, a_line, b, b_line, c, ldc, start, bias, relu)


@standalone
def dots_64(m, first, last, k, a, a_line, b, b_line, c, ldc, start, bias, relu):
    _blocks_of(np.float64(0), 8, DOUBLE_LANES, m, first, last, k, a, a_line, b, b_line, c, ldc, start, bias, relu)


@compiled
def _columns(begin, end, size, m, n, k, a, b, c, ldc, start, epilogue):
    """Chunks of `size` columns, for all rows."""
    first, last = begin * size, min(n, end * size)
    relu = np.intp(in_registers(epilogue) and epilogue.relu)
    slot = shared.DOTS if c.itemsize == 4 else shared.DOTS + 1
    operands = (a.address, a.line, b.address, b.line, address_of(c), ldc)
    shared.call(slot, (m, first, last, k, *operands, start, address_of(epilogue.bias), relu))
    if not in_registers(epilogue):
        for i in range(m):
            at = i * ldc + first
            finish_rows(epilogue, c, at, at, last - first)


@compiled
def along_depth(a, b):
    """Whether both operands are contiguous along the depth. a, b: pack.Panels of the operands as they lie."""
    return a.address != 0 and b.address != 0 and a.step == 1 and b.step == 1 and b.panel == 0


@compiled
def suits(m, k, item, a, b):
    """Whether rows are too few to turn B for; they are read again for every block of columns, so they fit in L2."""
    few = m <= ROWS or (MASKED and m <= k // 4 and m * k * item <= NEAR)
    return along_depth(a, b) and few


@compiled
def dot_products(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """c (+)= a @ b, then the epilogue, of operands along the depth."""
    lanes = VECTOR_BYTES // c.itemsize
    step = _step(m, lanes)
    # a few rows cost what reading B costs
    column_work = max(m, ROWS) * k
    size = n if column_work * n < SMALL else int(CHUNK_WORK) // column_work // step * step
    size = max(size, step)
    start = beginning(accumulate, 0, epilogue)
    parallel_for(_columns, (n + size - 1) // size, 1, (size, m, n, k, a, b, c, ldc, start, epilogue))


@compiled
def times_vector(m, k, a, b, c, accumulate, epilogue):
    """c (+)= a @ b of one column, then the epilogue: the rows of A are the columns of its transpose, and b its row."""
    dot_products(1, m, k, b, a, c, m, accumulate, with_activation(c[:0], c[:0], 0))
    if epilogue.bias.size:
        for i in range(m):
            c[i] += epilogue.bias[0]
    finish_rows(epilogue, c, 0, 0, m)
