"""A row of an input's gradient, a vector of columns at a time: each asks the windows that it is in.

Of these there is one for each element k that a window has, or for a stride of 2, one for each two: columns of even and
of odd places are two vectors then, which are mixed as they are stored. The sums stay in registers.
"""

from llvmlite import ir
from numba import types

from ..jit import intrinsic
from .pool_vector import KINDS, VectorEmitter, by_kind, number, offset_of, row_fields


def _gradient_row(e, row, dx, at, offsets, start, count, slopes_of):
    """dx[at + c] = the sum of what the windows give that column c is in. Strides of 1, and of 2 in steps of 1.

    slopes_of(place, t, o, mask) gives, for windows o, o + 1 ... at that place of their row, a function
    slope(first column, stride) of what they give to columns a stride apart.
    """
    builder, zero = e.builder, e.constant(0.0)
    size, begin = row["size"], row["begin"]

    def visit_all(width, each, o, visit):
        """visit(slope, k) for the windows of all rows."""
        places = [builder.sub(o, builder.mul(number(k // each), row["step"])) for k in range(0, width, each)]
        masks = [e.kept(e.within(place, row["outputs"])) for place in places]
        with e.count(count) as (t, _):
            offset = offset_of(e, offsets, start, t)
            for k, (place, mask) in enumerate(zip(places, masks, strict=True)):
                visit(slopes_of(builder.add(offset, place), t, place, mask), each * k)
            if not width:
                with e.count(row["width"], each) as (k, _):
                    place = builder.sub(o, builder.mul(builder.sdiv(k, number(each)), row["step"]))
                    slope = slopes_of(builder.add(offset, place), t, place, e.within(place, row["outputs"]))
                    visit(slope, k)

    def columns(width):
        # window o - k * step has column begin + o as its element k
        with e.count(size, e.lanes) as (c, _):
            sums = e.variable(zero)
            visit_all(width, 1, builder.sub(c, begin), lambda slope, k: e.add_to(sums, slope(c, 1)))
            e.put(builder.load(sums), dx, builder.add(at, c), e.within(c, size))

    def column_pairs(width):
        # columns begin + 2 m and begin + 2 m + 1 are elements k and k + 1 of window m - k / 2
        with e.count(builder.sdiv(builder.add(builder.sub(size, begin), number(1)), number(2)), e.lanes) as (m, _):
            even, odd = e.variable(zero), e.variable(zero)
            c = builder.add(begin, builder.mul(m, number(2)))
            after = builder.add(c, number(1))

            def visit(slope, k):
                e.add_to(even, slope(c, 2))
                if width and k + 1 < width:
                    e.add_to(odd, slope(after, 2))
                if not width:
                    with builder.if_then(builder.icmp_signed("<", builder.add(k, number(1)), row["width"])):
                        e.add_to(odd, slope(after, 2))

            visit_all(width, 2, m, visit)
            for half in e.joined(builder.load(even), builder.load(odd)):
                e.put(half, dx, builder.add(at, c), e.within(c, size))
                c = builder.add(c, number(e.lanes))

    kinds = [kind for kind in KINDS if kind[0]]
    by_kind(builder, row, kinds, lambda stride, width: (column_pairs if stride == 2 else columns)(width))


@intrinsic
def largest_gradient(typingctx, dx, at, position, dy, indices, base, offsets, start, count, row):
    """dx[at + c] = the sum of the slopes dy of the windows whose indices are position + c.

    The windows' rows begin at dy[base + offset] and indices[base + offset].
    """

    def emit(context, builder, signature, args):
        kinds = signature.args
        e = VectorEmitter(context, builder, kinds[0].dtype)
        _, at, position, _, _, base, _, start, count, row = args
        dx, dy, indices, offsets = (e.array(kinds[i], args[i]) for i in (0, 3, 4, 6))
        zero, nowhere = e.constant(0.0), ir.Constant(e.integers, [-1] * e.lanes)

        def slopes_of(place, _, o, mask):
            place = builder.add(base, place)
            slopes, where = e.fetch(dy, place, mask, zero), e.fetch(indices, place, mask, nowhere)

            def slope(column, stride):
                steps = ir.Constant(e.integers, [stride * lane for lane in range(e.lanes)])
                here = builder.add(steps, e.spread(builder.add(position, column)))
                return builder.select(builder.icmp_signed("==", where, here), slopes, zero)

            return slope

        _gradient_row(e, row_fields(builder, kinds[9], row), dx, at, offsets, start, count, slopes_of)
        return context.get_dummy_value()

    arguments = dx, types.intp, types.intp, dy, indices, types.intp, offsets, types.intp, types.intp, row
    return types.void(*arguments), emit


@intrinsic
def total_gradient(typingctx, dx, at, dy, shares, factors, base, offsets, start, count, row):
    """dx[at + c] = the sum of dy shares[o] factors[t] over the windows o of row t that column c is in."""

    def emit(context, builder, signature, args):
        kinds = signature.args
        e = VectorEmitter(context, builder, kinds[0].dtype)
        _, at, _, _, _, base, _, start, count, row = args
        dx, dy, shares, factors, offsets = (e.array(kinds[i], args[i]) for i in (0, 2, 3, 4, 6))
        zero = e.constant(0.0)

        def slopes_of(place, t, o, mask):
            slopes = e.fetch(dy, builder.add(base, place), mask, zero)
            factor = e.spread(builder.load(builder.gep(factors[0], [builder.add(start, t)])))
            slopes = builder.fmul(slopes, builder.fmul(e.fetch(shares, o, mask, zero), factor))
            return lambda column, stride: slopes

        _gradient_row(e, row_fields(builder, kinds[9], row), dx, at, offsets, start, count, slopes_of)
        return context.get_dummy_value()

    arguments = dx, types.intp, dy, shares, factors, types.intp, offsets, types.intp, types.intp, row
    return types.void(*arguments), emit
