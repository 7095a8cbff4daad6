"""Short rows of numbers, a vector at a time: what lies beyond their ends is masked, neither read nor written.

A loop over a row of 28 numbers that LLVM makes is one vector and twelve single numbers. These are two vectors. Rows
that have the same ends are done together, so that masks are made once.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit import compiled
from .tile import Emitter

_i32, _i64 = ir.IntType(32), ir.IntType(64)


class Row:
    """Vectors of a row, and masks of some of its places."""

    def __init__(self, builder, dtype):
        self.builder, self.e = builder, Emitter(builder, dtype)
        self.kind = ir.VectorType(_i32, self.e.lanes)
        self.lanes = ir.Constant(self.kind, list(range(self.e.lanes)))

    def at(self, data, element):
        return self.builder.bitcast(self.builder.gep(data, [element]), self.e.vector.as_pointer())

    def vectors(self, count):
        """A loop over the vectors of `count` places: the first place of each, and something else."""
        lanes = ir.Constant(_i64, self.e.lanes)
        return cgutils.for_range_slice(self.builder, ir.Constant(_i64, 0), count, lanes, inc=True)

    def within(self, place, count):
        """Mask of the lanes for which 0 <= place + lane < count."""
        e, builder = self.e, self.builder
        places = builder.add(self.lanes, e.splat(builder.trunc(place, _i32), self.kind))
        # unsigned: what is negative is large
        return builder.icmp_unsigned("<", places, e.splat(builder.trunc(count, _i32), self.kind))


def data_of(context, builder, signature, args, *places):
    """Pointers to the numbers of those arguments that are arrays."""
    return [context.make_array(signature.args[i])(context, builder, args[i]).data for i in places]


@intrinsic
def _copy_rows(typingctx, every, source, at, pitch, first, last, out, to, out_pitch, count, rows):
    """copy_rows; `every` is a literal 1 or 2."""
    if not isinstance(every, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        row, step = Row(builder, signature.args[1].dtype), signature.args[0].literal_value
        source, out = data_of(context, builder, signature, args, 1, 6)
        _, _, at, pitch, first, last, _, to, out_pitch, count, rows = args
        lanes, factor = row.e.lanes, ir.Constant(_i64, step)
        # the elements between the first and the last are inside, too
        begins = builder.mul(first, factor)
        inside = builder.sub(builder.mul(builder.sub(last, first), factor), ir.Constant(_i64, step - 1))
        with row.vectors(count) as (here, _):
            places = [builder.add(builder.mul(here, factor), ir.Constant(_i64, i * lanes)) for i in range(step)]
            masks = [row.e.kept(row.within(builder.sub(place, begins), inside)) for place in places]
            stored = row.e.kept(row.e.lanes_below(builder.sub(count, here)))
            with cgutils.for_range(builder, rows) as line:
                base = builder.add(at, builder.mul(line.index, pitch))
                pairs = zip(places, masks, strict=True)
                found = [row.e.load(row.at(source, builder.add(base, place)), mask) for place, mask in pairs]
                value = found[0] if step == 1 else row.e.shuffle(*found, list(range(0, 2 * lanes, 2)))
                target = builder.add(builder.add(to, here), builder.mul(line.index, out_pitch))
                row.e.store(value, row.at(out, target), stored)
        return context.get_dummy_value()

    return types.void(every, source, *(types.intp,) * 4, out, *(types.intp,) * 4), codegen


@intrinsic
def zero_rows(typingctx, out, to, pitch, count, rows):
    """out[to + r * pitch + i] = 0, i < count, r < rows."""

    def codegen(context, builder, signature, args):
        row, (_, to, pitch, count, rows) = Row(builder, signature.args[0].dtype), args
        (out,) = data_of(context, builder, signature, args, 0)
        with row.vectors(count) as (here, _):
            stored = row.e.kept(row.e.lanes_below(builder.sub(count, here)))
            with cgutils.for_range(builder, rows) as line:
                target = builder.add(builder.add(to, here), builder.mul(line.index, pitch))
                row.e.store(row.e.zero, row.at(out, target), stored)
        return context.get_dummy_value()

    return types.void(out, *(types.intp,) * 4), codegen


@compiled
def copy_rows(source, at, pitch, every, first, last, out, to, out_pitch, count, rows):
    """out[to + r * out_pitch + i] = source[at + r * pitch + i * every] for first <= i < last, 0 for other i < count."""
    if first >= last:
        zero_rows(out, to, out_pitch, count, rows)
    elif every == 1:
        _copy_rows(1, source, at, pitch, first, last, out, to, out_pitch, count, rows)
    elif every == 2:
        _copy_rows(2, source, at, pitch, first, last, out, to, out_pitch, count, rows)
    else:
        zero_rows(out, to, out_pitch, count, rows)
        for r in range(rows):
            for i in range(first, last):
                out[to + r * out_pitch + i] = source[at + r * pitch + i * every]


@intrinsic
def add_shifted(typingctx, target, at, size, source, begin, width, table, count, add):
    """target[at + i] (+)= the sum over rows r < count of source[begin + table[2r] + i - table[2r + 1]], i < size, of
    those elements that lie in their row: 0 <= i - table[2r + 1] < width."""

    def codegen(context, builder, signature, args):
        row = Row(builder, signature.args[0].dtype)
        target, source, table = data_of(context, builder, signature, args, 0, 3, 6)
        _, at, size, _, begin, width, _, count, add = args
        total = cgutils.alloca_once(builder, row.e.vector)
        with row.vectors(size) as (here, _):
            inside, to = row.e.lanes_below(builder.sub(size, here)), row.at(target, builder.add(at, here))
            builder.store(row.e.zero, total)
            with builder.if_then(add):
                builder.store(row.e.load(to, inside), total)
            with cgutils.for_range(builder, count) as line:
                entry = builder.mul(line.index, ir.Constant(_i64, 2))
                start, shift = (
                    builder.load(builder.gep(table, [builder.add(entry, ir.Constant(_i64, i))])) for i in range(2)
                )
                place = builder.sub(here, shift)
                given = row.at(source, builder.add(builder.add(begin, start), place))
                value = row.e.load(given, row.within(place, width))
                builder.store(builder.fadd(builder.load(total), value), total)
            row.e.store(builder.load(total), to, inside)
        return context.get_dummy_value()

    integer = types.intp
    kinds = (target, integer, integer, source, integer, integer, table, integer, types.boolean)
    return types.void(*kinds), codegen
