"""The transforms of Winograd's convolution F(2 x 2, 3 x 3), on vectors of tiles, channels or lines: see winograd.py.

In one dimension two results of three taps g, from four places d of the source, take four products instead of six:

    u = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)         v = (d0 - d2, d1 + d2, d2 - d1, d3 - d1)
    m = u * v                                                    y = (m0 + m1 + m2, m1 - m2 + m3)

In two dimensions the same is done to columns, then to rows. The halves are exact, so whole numbers stay exact. The sum
of products read the other way round, from y to g, is the gradient of the weight: its transforms are those transposed.

All pointers are addresses (integers): nothing here is bounds-checked.
"""

import contextlib

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .tile import Emitter

_i64 = ir.IntType(64)
ELEMENTS = 16  # of a tile that is transformed: 4 x 4
PIECE = 4  # numbers that tell about a piece


def _source(e, d):
    add, sub = e.builder.fadd, e.builder.fsub
    return [sub(d[0], d[2]), add(d[1], d[2]), sub(d[2], d[1]), sub(d[3], d[1])]


def _taps(e, g):
    half = ir.Constant(e.vector, [0.5] * e.lanes)
    outer = e.builder.fadd(g[0], g[2])
    plus, minus = e.builder.fadd(outer, g[1]), e.builder.fsub(outer, g[1])
    return [g[0], e.builder.fmul(half, plus), e.builder.fmul(half, minus), g[2]]


def _results(e, m):
    add, sub = e.builder.fadd, e.builder.fsub
    return [add(m[0], add(m[1], m[2])), add(sub(m[1], m[2]), m[3])]


def _gradients(e, y):
    return [y[0], e.builder.fadd(y[0], y[1]), e.builder.fsub(y[0], y[1]), y[1]]


def _weights(e, u):
    half = ir.Constant(e.vector, [0.5] * e.lanes)
    plus = e.builder.fmul(half, e.builder.fadd(u[1], u[2]))
    minus = e.builder.fmul(half, e.builder.fsub(u[1], u[2]))
    return [e.builder.fadd(u[0], plus), minus, e.builder.fadd(plus, u[3])]


def _both(e, transform, square):
    """A transform of the columns of a square of vectors, then of the rows."""
    columns = [transform(e, list(column)) for column in zip(*square, strict=True)]
    return [transform(e, list(row)) for row in zip(*columns, strict=True)]


def _bits(e, bits, first):
    """The mask of `lanes` bits of a number from bit `first` on."""
    shifted = e.builder.lshr(bits, ir.Constant(_i64, first))
    return e.builder.bitcast(e.builder.trunc(shifted, ir.IntType(e.lanes)), e.mask)


@contextlib.contextmanager
def _over_pieces(e, pieces, count, values, begin=None):
    """A loop over pieces that carries values along, which begin as 0. Gives number(i), a piece's i-th number; the
    values as they are; and a list that takes what they become, and after the loop holds what they are."""
    builder, kept = e.builder, []
    begin = e.zero if begin is None else begin
    origin, loop, done = builder.block, builder.append_basic_block("piece"), builder.append_basic_block("pieces_end")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_i64)
    given = [builder.phi(begin.type) for _ in range(values)]
    step.add_incoming(ir.Constant(_i64, 0), origin)
    for value in given:
        value.add_incoming(begin, origin)
    piece = builder.gep(builder.inttoptr(pieces, _i64.as_pointer()), [builder.mul(step, ir.Constant(_i64, PIECE))])
    yield lambda i: builder.load(builder.gep(piece, [ir.Constant(_i64, i)])), given, kept
    following = builder.add(step, ir.Constant(_i64, 1))
    step.add_incoming(following, builder.block)
    for value, result in zip(given, kept, strict=True):
        value.add_incoming(result, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
    builder.position_at_end(done)


def _place(e, address, stride, number):
    """The address `number` (a Python number) strides after an address."""
    return e.builder.add(address, e.builder.mul(e.bytes(stride), ir.Constant(_i64, number)))


def _store(e, square, to, part):
    flat = [value for row in square for value in row]
    for number, value in enumerate(flat):
        e.store(value, e.at(_place(e, to, part, number)))


@intrinsic
def source_tiles(typingctx, like, source, stride, pieces, count, to, part):
    """A vector of tiles: their places transformed, `part` elements from one of the 16 to the next.

    source, stride   where a channel begins; elements from row to row
    pieces, count    address of PIECE numbers for each piece of the vector, tiles side by side: (the place, from the
                     channel's first, of the corner of a tile in lane 0; bits of the 4 rows that lie inside; bits of the
                     2 * lanes columns from the corner on that are the piece's and lie inside; bits of those two on)
    """

    def codegen(context, builder, signature, args):
        _, source, stride, pieces, count, to, part = args
        e = Emitter(builder, signature.args[0])
        with _over_pieces(e, pieces, count, 16) as (number, given, kept):
            place, rows, columns = builder.add(source, e.bytes(number(0))), number(1), [number(2), number(3)]
            for row in range(4):
                there = builder.trunc(builder.lshr(rows, ir.Constant(_i64, row)), ir.IntType(1))
                for pair in (0, 1):
                    inside = builder.select(there, columns[pair], ir.Constant(_i64, 0))
                    for half in (0, 1):
                        at = e.at(_place(e, place, stride, row), 2 * pair + half * e.lanes)
                        mask = _bits(e, inside, half * e.lanes)
                        kept.append(e.load(at, mask, given[len(kept)]))
        square = []
        for row in range(4):
            values = []
            for pair in (0, 1):
                low, high = kept[4 * row + 2 * pair : 4 * row + 2 * pair + 2]
                values += [e.shuffle(low, high, list(range(odd, 2 * e.lanes, 2))) for odd in (0, 1)]
            square.append(values)
        _store(e, _both(e, _source, square), to, part)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 6), codegen


@intrinsic
def filter_lines(typingctx, like, taps, stride, to, part):
    """A vector of lines: their nine weights, `stride` elements apart, transformed."""

    def codegen(context, builder, signature, args):
        _, taps, stride, to, part = args
        e = Emitter(builder, signature.args[0])
        square = [[e.load(e.at(_place(e, taps, stride, 3 * i + j))) for j in range(3)] for i in range(3)]
        _store(e, _both(e, _taps, square), to, part)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 4), codegen


@intrinsic
def result_tiles(typingctx, like, products, part, bias, relu, y, stride, pieces, count):
    """A vector of tiles, from products to results; gives bits that are not all 0 where one of them is Inf or NaN.

    products, part   the first of 16 sums of products; elements from one of them to the next
    bias, relu       is added to all; store max(result, 0)
    y, stride        where a line begins; elements from row to row
    pieces, count    as of source_tiles: (the place of the first result of a tile in lane 0; bits of the 2 rows that
                     exist; bits of the 2 * lanes columns that are the piece's and exist)
    """

    def codegen(context, builder, signature, args):
        _, products, part, bias, relu, y, stride, pieces, count = args
        e = Emitter(builder, signature.args[0])
        square = [[e.load(e.at(_place(e, products, part, 4 * i + j))) for j in range(4)] for i in range(4)]
        start = e.splat(bias, e.vector)
        clip = e.splat(builder.icmp_unsigned("!=", relu, ir.Constant(relu.type, 0)), e.mask)
        values, strange = [], []
        for pair in _both(e, _results, square):
            pair = [builder.fadd(value, start) for value in pair]
            for half in (0, 1):
                # lanes of both columns in turn
                lanes = [half * (e.lanes // 2) + i // 2 + i % 2 * e.lanes for i in range(e.lanes)]
                value = e.shuffle(*pair, lanes)
                strange.append(builder.fcmp_unordered("uno", builder.fsub(value, value), e.zero))
                # relu as a choice: NaN is not <= 0 and stays
                clipped = builder.and_(builder.fcmp_ordered("<=", value, e.zero), clip)
                values.append(builder.select(clipped, e.zero, value))
        none = ir.Constant(ir.IntType(e.lanes), 0)
        with _over_pieces(e, pieces, count, 1, none) as (number, given, kept):
            place, rows, columns = builder.add(y, e.bytes(number(0))), number(1), number(2)
            found = given[0]
            for row in (0, 1):
                there = builder.trunc(builder.lshr(rows, ir.Constant(_i64, row)), ir.IntType(1))
                here = builder.select(there, columns, ir.Constant(_i64, 0))
                for half in (0, 1):
                    mask = _bits(e, here, half * e.lanes)
                    e.store(values[2 * row + half], e.at(_place(e, place, stride, row), half * e.lanes), mask)
                    seen = builder.and_(strange[2 * row + half], mask)
                    found = builder.or_(found, builder.bitcast(seen, found.type))
            kept.append(found)
        return builder.zext(kept[0], _i64)

    return types.int64(like, types.intp, types.intp, like, types.boolean, *(types.intp,) * 4), codegen


def _by_table(builder, args, dtype, side, transform):
    """side x side vectors from where a table of distances in elements says, transformed."""
    _, start, table, to, part = args
    e = Emitter(builder, dtype)
    pointer = builder.inttoptr(table, _i64.as_pointer())
    flat = []
    for number in range(side * side):
        distance = builder.load(builder.gep(pointer, [ir.Constant(_i64, number)]))
        flat.append(e.load(e.at(builder.add(start, e.bytes(distance)))))
    square = [flat[side * i : side * i + side] for i in range(side)]
    _store(e, _both(e, transform, square), to, part)


@intrinsic
def source_channels(typingctx, like, start, table, to, part):
    """A tile of a vector of channels: its 4 x 4 places, at table[0 .. 15] from the start, transformed."""

    def codegen(context, builder, signature, args):
        _by_table(builder, args, signature.args[0], 4, _source)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 4), codegen


@intrinsic
def gradient_lines(typingctx, like, start, table, to, part):
    """A tile of a vector of lines: the gradients of its 2 x 2 results, at table[0 .. 3] from the start, transformed."""

    def codegen(context, builder, signature, args):
        _by_table(builder, args, signature.args[0], 2, _gradients)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 4), codegen


@intrinsic
def weight_sums(typingctx, like, sums, part, count):
    """16 vectors of sums, `part` elements apart, to the gradients of nine weights, which take the first nine's places.

    Gives whether one of the first `count` lanes, which alone are read and written, is Inf or NaN."""

    def codegen(context, builder, signature, args):
        _, sums, part, count = args
        e = Emitter(builder, signature.args[0])
        mask = e.lanes_below(count)
        places = [e.at(_place(e, sums, part, number)) for number in range(ELEMENTS)]
        square = [[e.load(places[4 * i + j], mask) for j in range(4)] for i in range(4)]
        flat = [value for row in _both(e, _weights, square) for value in row]
        strange = e.zero
        for place, value in zip(places, flat, strict=False):
            e.store(value, place, mask)
            # 0, or NaN
            strange = builder.fadd(strange, builder.fsub(value, value))
        found = builder.fcmp_unordered("uno", strange, strange)
        return builder.zext(builder.bitcast(found, ir.IntType(e.lanes)), _i64)

    return types.int64(like, *(types.intp,) * 3), codegen
