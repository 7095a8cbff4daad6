"""Products of rows with rows, as a linear layer's x @ w.T: both operands contiguous along the depth.

The register tile wants steps of B side by side, and turning B costs as much as using it for a few rows. Here nothing is
moved: a block of rows x columns dot products runs along the depth, a vector of each at a time, and its accumulators
are added up across their lanes at the end, all of them at once.

                 block (4 x 4 on AVX-512)      16 accumulators, 8 loads for 16 fused multiply-adds a step
    m == 1       1 x 8                         B is read once: bound by the memory it comes from

The sum of two products, as in a recurrent cell, is one pass: the accumulators run along one depth, then the other.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import shared
from ..jit import compiled, parallel_for, standalone
from ..shared import prepare
from .epilogue import beginning, finish_rows, in_registers, with_activation
from .pack import address_of
from .target import DOUBLE_LANES, FLOAT_LANES, MASKED, VECTOR_BYTES
from .tile import ADD, FROM_BIAS, Emitter, has
from .tiles import CHUNK_WORK, SMALL

_i1, _i64 = ir.IntType(1), ir.IntType(64)

ROWS = 4
NEAR = 2**19  # bytes that stay in L2


def _blocks(lanes):
    """(rows, columns) of the blocks that exist: their dot products fill a vector, or half of one."""
    return (1, lanes // 2), (min(ROWS, lanes), max(1, lanes // ROWS))


class _Block:
    """One block: vectors of A's rows and B's columns from their addresses."""

    def __init__(self, e, cells, rows, columns, a, a_line, b, b_line):
        self.e, self.cells = e, cells
        height, width = (1 + max(places) for places in zip(*cells, strict=True))
        self.a = [e.line(a, a_line, i, rows) for i in range(height)]
        self.b = [e.line(b, b_line, j, columns) for j in range(width)]

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


def _emit(e, shape, operands, more, rows, columns, c, ldc, start, bias, relu):
    """Sums over the depth of `operands`, then over that of `more` if it has any, then what becomes of them."""
    builder = e.builder
    cells = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    before, product, done = builder.block, builder.append_basic_block("product"), builder.append_basic_block("done")
    builder.branch(product)
    builder.position_at_end(product)
    second, sums = builder.phi(_i1), {cell: builder.phi(e.vector) for cell in cells}
    depth, *places = (builder.select(second, y, x) for x, y in zip(operands, more, strict=True))
    totals = _along(e, _Block(e, cells, rows, columns, *places), depth, sums)
    for truth, values, block in ((0, dict.fromkeys(cells, e.zero), before), (1, totals, builder.block)):
        second.add_incoming(ir.Constant(_i1, truth), block)
        for cell, phi in sums.items():
            phi.add_incoming(values[cell], block)
    goes_on = builder.icmp_signed(">", more[0], ir.Constant(_i64, 0))
    builder.cbranch(builder.and_(goes_on, builder.not_(second)), product, done)
    builder.position_at_end(done)
    result = _across_lanes(e, [totals[cell] for cell in cells])
    _hand_out(e, result, shape, columns, c, ldc, rows, start, bias, relu)


def _along(e, block, depth, sums):
    """The sums with what a depth adds to them."""
    builder, zero = e.builder, ir.Constant(_i64, 0)
    whole = builder.and_(depth, ir.Constant(_i64, -e.lanes))
    loop, after = builder.append_basic_block("step"), builder.append_basic_block("rest")
    before = builder.block
    builder.cbranch(builder.icmp_signed(">", whole, zero), loop, after)
    builder.position_at_end(loop)
    at = builder.phi(_i64)
    at.add_incoming(zero, before)
    running = {cell: builder.phi(e.vector) for cell in block.cells}
    following = block.step(e.bytes(at), running)
    for cell, phi in running.items():
        phi.add_incoming(sums[cell], before)
        phi.add_incoming(following[cell], loop)
    end = builder.add(at, ir.Constant(_i64, e.lanes))
    at.add_incoming(end, loop)
    builder.cbranch(builder.icmp_signed("<", end, whole), loop, after)

    builder.position_at_end(after)
    totals = {cell: builder.phi(e.vector) for cell in block.cells}
    for cell, phi in totals.items():
        phi.add_incoming(sums[cell], before)
        phi.add_incoming(following[cell], loop)
    return _partial(e, block, depth, whole, totals)


def _partial(e, block, depth, whole, sums):
    """The last vector, if a part of it is there: lanes that do not exist are zero in both operands."""
    builder, before = e.builder, e.builder.block
    rest, on = builder.append_basic_block("partial"), builder.append_basic_block("on")
    builder.cbranch(builder.icmp_signed("<", whole, depth), rest, on)
    builder.position_at_end(rest)
    more = block.step(e.bytes(whole), sums, e.lanes_below(builder.sub(depth, whole)))
    builder.branch(on)
    builder.position_at_end(on)
    totals = {cell: builder.phi(e.vector) for cell in block.cells}
    for cell, phi in totals.items():
        phi.add_incoming(sums[cell], before)
        phi.add_incoming(more[cell], rest)
    return totals


def _hand_out(e, result, shape, columns, c, ldc, rows, start, bias, relu):
    """Store a block's results, which are side by side in a vector, row by row."""
    builder, (height, wide) = e.builder, shape
    row = Emitter(builder, e.dtype, wide)
    mask = row.lanes_below(columns)
    places = [row.at(e.line(c, ldc, i, rows)) for i in range(height)]
    values = [e.shuffle(result, result, list(range(i * wide, (i + 1) * wide))) for i in range(height)]
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
def _dots(typingctx, like, single, rows, columns, operands, more, c, ldc, start, bias, relu):
    """C[i, j] (+)= sum over p of A[i, p] * B[j, p] for one block of the type of `like`, a number.

    single          which block: the one of a single row
    rows, columns   the part of it that exists
    operands        (depth, a, a_line, b, b_line): address of A's corner, elements from row to row, likewise of B's
                    columns. more: a second product, likewise, whose sums are added; depth 0: none
    c, ldc          address of C's corner; elements between its rows
    start           as for tile
    relu            store max(C, 0)
    """

    def codegen(context, builder, signature, args):
        _, single, rows, columns, operands, more, c, ldc, start, bias, relu = args
        e = Emitter(builder, signature.args[0])
        single, relu = (builder.icmp_unsigned("!=", flag, ir.Constant(flag.type, 0)) for flag in (single, relu))
        operands, more = ([builder.extract_value(x, i) for i in range(5)] for x in (operands, more))
        one, several = _blocks(e.lanes)
        with builder.if_else(single) as (if_single, if_several):
            for branch, shape in ((if_single, one), (if_several, several)):
                with branch:
                    _emit(e, shape, operands, more, rows, columns, c, ldc, start, bias, relu)
        return context.get_dummy_value()

    operands = types.UniTuple(types.intp, 5)
    numbers = (types.intp,) * 4
    return types.void(like, types.boolean, types.intp, types.intp, operands, operands, *numbers, types.boolean), codegen


@compiled
def _step(m, lanes):
    """Columns of a block."""
    return lanes // 2 if m == 1 else max(1, lanes // ROWS)


@compiled
def _moved(operands, rows, columns, item):
    """Operands from another row and column on."""
    depth, a, a_line, b, b_line = operands
    return depth, a + rows * a_line * item, a_line, b + columns * b_line * item, b_line


@compiled
def _blocks_of(like, item, lanes, m, first, last, operands, more, c, ldc, start, bias, relu):
    step, height = _step(m, lanes), min(ROWS, lanes)
    for j in range(first, last, step):
        wide = min(step, last - j)
        for i in range(0, m, height):
            high, at = min(height, m - i), c + (i * ldc + j) * item
            both = _moved(operands, i, j, item), _moved(more, i, j, item)
            _dots(like, m == 1, high, wide, *both, at, ldc, start, bias + j * item, relu != 0)


@standalone
def dots_32(m, first, last, k, a, a_line, b, b_line, k2, a2, a2_line, b2, b2_line, c, ldc, start, bias, relu):
    operands, more = (k, a, a_line, b, b_line), (k2, a2, a2_line, b2, b2_line)
    _blocks_of(np.float32(0), 4, FLOAT_LANES, m, first, last, operands, more, c, ldc, start, bias, relu)


@standalone
def dots_64(m, first, last, k, a, a_line, b, b_line, k2, a2, a2_line, b2, b2_line, c, ldc, start, bias, relu):
    operands, more = (k, a, a_line, b, b_line), (k2, a2, a2_line, b2, b2_line)
    _blocks_of(np.float64(0), 8, DOUBLE_LANES, m, first, last, operands, more, c, ldc, start, bias, relu)


@compiled
def _columns(begin, end, size, m, n, operands, more, c, ldc, start, bias, relu):
    """Chunks of `size` columns, for all rows."""
    first, last = begin * size, min(n, end * size)
    slot = shared.DOTS if c.itemsize == 4 else shared.DOTS + 1
    shared.call(slot, (m, first, last, *operands, *more, address_of(c), ldc, start, address_of(bias), relu))


@compiled
def _finished_columns(begin, end, size, m, n, operands, more, c, ldc, start, epilogue):
    """Likewise, and then the epilogue."""
    relu = np.intp(in_registers(epilogue) and epilogue.relu)
    _columns(begin, end, size, m, n, operands, more, c, ldc, start, epilogue.bias, relu)
    if not in_registers(epilogue):
        first, last = begin * size, min(n, end * size)
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
def _chunk(m, n, k, item):
    """Columns of a chunk."""
    step = _step(m, VECTOR_BYTES // item)
    # a few rows cost what reading B costs
    column_work = max(m, ROWS) * k
    size = n if column_work * n < SMALL else int(CHUNK_WORK) // column_work // step * step
    return max(size, step)


@compiled
def dot_products(m, n, k, a, b, c, ldc, accumulate, epilogue):
    """c (+)= a @ b, then the epilogue, of operands along the depth."""
    size, start = _chunk(m, n, k, c.itemsize), beginning(accumulate, 0, epilogue)
    operands, none = (k, a.address, a.line, b.address, b.line), (0, 0, 0, 0, 0)
    arguments = (size, m, n, operands, none, c, ldc, start, epilogue)
    parallel_for(_finished_columns, (n + size - 1) // size, 1, arguments)


@compiled
def two_dot_products(m, n, operands, more, c, ldc, bias):
    """c = a @ b + a2 @ b2 + bias, of operands along their depths; operands and more: (depth, address and line of a,
    then of b), see pack.Panels."""
    prepare(shared.DOTS if c.itemsize == 4 else shared.DOTS + 1)
    size, start = _chunk(m, n, operands[0] + more[0], c.itemsize), FROM_BIAS if bias.size else 0
    parallel_for(_columns, (n + size - 1) // size, 1, (size, m, n, operands, more, c, ldc, start, bias, 0))


@compiled
def times_vector(m, k, a, b, c, accumulate, epilogue):
    """c (+)= a @ b of one column, then the epilogue: the rows of A are the columns of its transpose, and b its row."""
    dot_products(1, m, k, b, a, c, m, accumulate, with_activation(c[:0], c[:0], 0))
    if epilogue.bias.size:
        for i in range(m):
            c[i] += epilogue.bias[0]
    finish_rows(epilogue, c, 0, 0, m)
