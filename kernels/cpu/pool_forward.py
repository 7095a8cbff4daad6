"""A row of windows, a vector of them at a time: what is largest, and sums.

Lane l of a vector is window o + l of a row of outputs. Its element k lies in column begin + (o + l) * stride + k: for a
stride of 1 a vector of the input, for 2 every other element of two (and element k + 1 the elements between), for others
a gather. Columns beyond the plane are masked: windows cut at an edge are like all others. The best so far and its
position, or the sum, stay in registers until all elements were seen; nothing is written but results.
"""

import math

from llvmlite import ir
from numba import types

from ..jit import intrinsic
from .pool_vector import KINDS, VectorEmitter, by_kind, number, offset_of, row_fields, steps_of


def _elements_of(e, stride, width, row, o):
    """A function elements(x, at, otherwise, visit), which calls visit(values, first column) for each element of windows

    o, o + 1 ... in the row x[at : at + size]. The masks of a width that is known are made here, once for all rows.
    """
    builder, size = e.builder, row["size"]
    first, steps = builder.add(row["begin"], builder.mul(o, row["stride"])), steps_of(e, row, stride)
    each = 2 if stride == 2 else 1

    def masks_of(column):
        if stride == 2:
            return e.within(column, size), e.within(builder.add(column, number(e.lanes)), size)
        return (e.within(column, size, steps),)

    def element(x, at, otherwise, column, masks):
        """Element k, or elements k and k + 1, as pairs (values, first column)."""
        place = builder.add(at, column)
        if stride == 1:
            return [(e.fetch(x, place, masks[0], otherwise), column)]
        if stride != 2:
            return [(e.gather(x, place, steps, masks[0], otherwise), column)]
        high = e.fetch(x, builder.add(place, number(e.lanes)), masks[1], otherwise)
        even, odd = e.pairs(e.fetch(x, place, masks[0], otherwise), high)
        return [(even, column), (odd, builder.add(column, number(1)))]

    if width:
        columns = [builder.add(first, builder.mul(number(k), row["step"])) for k in range(0, width, each)]
        masks = [[e.kept(mask) for mask in masks_of(column)] for column in columns]

    def known(x, at, otherwise, visit):
        found = [element(x, at, otherwise, *known) for known in zip(columns, masks, strict=True)]
        for values, column in [pair for pairs in found for pair in pairs][:width]:
            visit(values, column)

    def counted(x, at, otherwise, visit):
        with e.count(row["width"], each) as (k, _):
            column = builder.add(first, builder.mul(k, row["step"]))
            found = element(x, at, otherwise, column, masks_of(column))
            visit(*found[0])
            for more in found[1:]:
                with builder.if_then(builder.icmp_signed("<", builder.add(k, number(1)), row["width"])):
                    visit(*more)

    return known if width else counted


@intrinsic
def largest(typingctx, y, at, indices, x, base, offsets, start, count, row, rectified):
    """y[at + o], indices[at + o] = the largest of window o and its position; -inf and -1 where there are no rows.

    The windows' rows begin at x[base + offset]; positions count from x[base]. indices may be absent. rectified: 0 and
    -1 where nothing is above 0.
    """

    def emit(context, builder, signature, args):
        kinds = signature.args
        e = VectorEmitter(context, builder, kinds[0].dtype)
        _, at, _, _, base, _, start, count, row, rectified = args
        y, indices, x, offsets = (e.array(kinds[i], args[i]) for i in (0, 2, 3, 5))
        row = row_fields(builder, kinds[8], row)
        wanted = context.make_array(kinds[2])(context, builder, args[2]).nitems
        wanted = builder.icmp_signed("!=", wanted, number(0))
        rectified = builder.icmp_unsigned("!=", rectified, ir.Constant(rectified.type, 0))
        nowhere = builder.or_(builder.icmp_signed("==", count, number(0)), rectified)
        low = e.constant(-math.inf)
        least = builder.select(rectified, e.constant(0.0), low)

        def windows(stride, width):
            steps = steps_of(e, row, stride)
            with e.count(row["outputs"], e.lanes) as (o, _):
                elements = _elements_of(e, stride, width, row, o)
                best = e.variable(least)
                found = e.variable(_first(e, row, steps, o, offset_of(e, offsets, start, number(0)), nowhere))
                with e.count(count) as (t, _):
                    offset = offset_of(e, offsets, start, t)

                    def visit(values, column):
                        top = builder.load(best)
                        # of equals the first stays, of NaNs the last
                        wins = builder.fcmp_ordered(">", values, top)
                        wins = builder.or_(wins, builder.fcmp_unordered("uno", values, values))
                        where = builder.add(steps, e.spread(builder.add(offset, column)))
                        builder.store(builder.select(wins, values, top), best)
                        builder.store(builder.select(wins, where, builder.load(found)), found)

                    elements(x, builder.add(base, offset), low, visit)
                mask, place = e.within(o, row["outputs"]), builder.add(at, o)
                e.put(builder.load(best), y, place, mask)
                with builder.if_then(wanted):
                    e.put(builder.load(found), indices, place, mask)

        by_kind(builder, row, KINDS, windows)
        return context.get_dummy_value()

    arguments = y, types.intp, indices, x, types.intp, offsets, types.intp, types.intp, row, types.boolean
    return types.void(*arguments), emit


def _first(e, row, steps, o, offset, nowhere):
    """Positions of the windows' first elements: of all -inf the first is the largest. -1 where it is nowhere."""
    builder, zero = e.builder, ir.Constant(e.integers, None)
    columns = builder.add(steps, e.spread(builder.add(row["begin"], builder.mul(o, row["stride"]))))
    outside = builder.icmp_signed("<", columns, zero)
    found = e.variable(builder.select(outside, zero, columns))
    with builder.if_then(builder.icmp_signed(">", row["step"], number(1))):
        # the first in whole steps that lies inside
        step = e.spread(row["step"])
        beyond = builder.srem(columns, step)
        beyond = builder.select(builder.icmp_signed("<", beyond, zero), builder.add(beyond, step), beyond)
        builder.store(builder.select(outside, beyond, columns), found)
    result = builder.add(builder.load(found), e.spread(offset))
    return builder.select(nowhere, ir.Constant(e.integers, [-1] * e.lanes), result)


@intrinsic
def total(typingctx, y, at, shares, factor, x, base, offsets, start, count, row):
    """y[at + o] = the sum of window o, times shares[o] and factor; rows as of `largest`."""

    def emit(context, builder, signature, args):
        kinds = signature.args
        e = VectorEmitter(context, builder, kinds[0].dtype)
        _, at, _, factor, _, base, _, start, count, row = args
        y, shares, x, offsets = (e.array(kinds[i], args[i]) for i in (0, 2, 4, 6))
        row = row_fields(builder, kinds[9], row)
        zero, factor = e.constant(0.0), e.spread(factor)

        def windows(stride, width):
            with e.count(row["outputs"], e.lanes) as (o, _):
                elements = _elements_of(e, stride, width, row, o)
                sums = e.variable(zero)
                with e.count(count) as (t, _):
                    place = builder.add(base, offset_of(e, offsets, start, t))
                    elements(x, place, zero, lambda values, _: e.add_to(sums, values))
                mask = e.within(o, row["outputs"])
                share = builder.fmul(e.fetch(shares, o, mask, zero), factor)
                e.put(builder.fmul(builder.load(sums), share), y, builder.add(at, o), mask)

        by_kind(builder, row, KINDS, windows)
        return context.get_dummy_value()

    arguments = y, types.intp, shares, y.dtype, x, types.intp, offsets, types.intp, types.intp, row
    return types.void(*arguments), emit
