"""Loops over a row of scores, written as LLVM vectors: whole ones, then one with a mask for what is left.

A row is short, a few vectors. LLVM's own loop would do its last 1 .. 63 numbers one by one, each exponential as slow as
a vector of them.

exp(x) = 2^n 2^r with n + r = x log2(e), n whole: r in one part, for what the constant lacks counts n times, but against
a weight of 2^n. 2^r = 1 + r P(r), a weighted least squares fit on Chebyshev points of |r| <= 1/2, largest error 1e-7
(float64: 6e-18); 1 is exact. Weights below the normal numbers are 0.
"""

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..jit import exact
from .tile import Emitter

_i32, _i64 = ir.IntType(32), ir.IntType(64)

# by bytes of a number: bits of its mantissa, bias of its exponent, exp is 0 below, P
_EXP = {
    4: (23, 127, -87.9, (0.6931468844, 0.2402223796, 0.0555085763, 0.009671716, 0.0013228676)),
    8: (
        52,
        1023,
        -709.0,
        (
            0.6931471805599453,
            0.24022650695910133,
            0.05550410866482225,
            0.00961812910759346,
            0.0013333558146384743,
            0.00015403530457847796,
            1.5252733801459978e-05,
            1.3215434946269564e-06,
            1.0178088421666688e-07,
            7.073837398929362e-09,
            4.449718696733232e-10,
        ),
    ),
}


class _Row(Emitter):
    """What loops over rows share."""

    def constant(self, value):
        return ir.Constant(self.vector, [value] * self.lanes)

    def larger(self, a, b):
        """The larger of both; b where either is NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def exp(self, x):
        """exp(x) for x <= 0, or a little more; NaN of NaN."""
        builder, fma = self.builder, self.fma
        mantissa, bias, low, polynomial = _EXP[self.itemsize]
        log2_e, rounder = self.constant(math.log2(math.e)), self.constant(1.5 * 2.0**mantissa + bias)
        x = self.larger(self.constant(low), x)
        t = builder.call(fma, [x, log2_e, rounder])
        n = builder.fsub(t, rounder)
        r = builder.call(fma, [x, log2_e, builder.fneg(n)])
        sum = self.constant(polynomial[-1])
        for c in (*polynomial[-2::-1], 1.0):
            sum = builder.call(fma, [sum, r, self.constant(c)])
        # the bits of 1.5 * 2^m leave at the top
        kind = ir.VectorType(ir.IntType(self.itemsize * 8), self.lanes)
        bits = builder.shl(builder.bitcast(t, kind), ir.Constant(kind, [mantissa] * self.lanes))
        return builder.fmul(sum, builder.bitcast(bits, self.vector))

    def place(self, address, offset):
        return self.at(self.builder.add(address, self.bytes(offset)))

    def loop(self, n, start, step):
        """accumulator = step(accumulator, offset, mask) from `start` on, over vectors of n elements."""
        builder = self.builder
        head, body, tail, last, end = map(builder.append_basic_block, ("head", "body", "tail", "last", "end"))
        whole = builder.and_(n, ir.Constant(_i64, -self.lanes))
        origin = builder.block
        builder.branch(head)
        builder.position_at_end(head)
        offset, sum = builder.phi(_i64), builder.phi(self.vector)
        offset.add_incoming(ir.Constant(_i64, 0), origin)
        sum.add_incoming(start, origin)
        builder.cbranch(builder.icmp_signed("<", offset, whole), body, tail)
        builder.position_at_end(body)
        sum.add_incoming(step(sum, offset, None), builder.block)
        offset.add_incoming(builder.add(offset, ir.Constant(_i64, self.lanes)), builder.block)
        builder.branch(head)
        builder.position_at_end(tail)
        builder.cbranch(builder.icmp_signed("<", whole, n), last, end)
        builder.position_at_end(last)
        masked = step(sum, whole, self.lanes_below(builder.sub(n, whole)))
        masked_from = builder.block
        builder.branch(end)
        builder.position_at_end(end)
        result = builder.phi(self.vector)
        result.add_incoming(sum, tail)
        result.add_incoming(masked, masked_from)
        return result

    def reduce(self, vector, combine):
        span = self.lanes // 2
        while span:
            lanes = [(i + span) % self.lanes for i in range(self.lanes)]
            vector = combine(vector, self.shuffle(vector, vector, lanes))
            span //= 2
        return self.builder.extract_element(vector, ir.Constant(_i32, 0))


@intrinsic
def row_max(typingctx, like, address, n):
    """The largest of n numbers of like's type; a NaN may be passed over."""

    def codegen(context, builder, signature, args):
        e = _Row(builder, like)
        lowest = e.constant(-math.inf)

        def step(top, offset, mask):
            return e.larger(e.load(e.place(args[1], offset), mask, lowest), top)

        return e.reduce(e.loop(args[2], lowest, step), e.larger)

    return like(like, types.intp, types.intp), codegen


@intrinsic
def _row_exp(typingctx, shift, address, n):

    def codegen(context, builder, signature, args):
        e = _Row(builder, shift)
        shifts, lowest = e.splat(args[0], e.vector), e.constant(-math.inf)

        def step(sum, offset, mask):
            place = e.place(args[1], offset)
            weights = e.exp(builder.fsub(e.load(place, mask, lowest), shifts))
            e.store(weights, place, mask)
            return builder.fadd(sum, weights)

        return e.reduce(e.loop(args[2], e.zero, step), builder.fadd)

    return shift(shift, types.intp, types.intp), codegen


@exact
def row_exp(shift, address, n):
    """n numbers become exp(number - shift), in place; gives their sum."""
    # exact: a licence to reorder sums would take t - R for t, and the remainder for nothing
    return _row_exp(shift, address, n)


@intrinsic
def row_copy(typingctx, factor, target, source, n):
    """target = factor * source."""

    def codegen(context, builder, signature, args):
        e = _Row(builder, factor)
        factors = e.splat(args[0], e.vector)

        def step(nothing, offset, mask):
            value = builder.fmul(factors, e.load(e.place(args[2], offset), mask))
            e.store(value, e.place(args[1], offset), mask)
            return nothing

        e.loop(args[3], e.zero, step)
        return context.get_dummy_value()

    return types.void(factor, types.intp, types.intp, types.intp), codegen


@intrinsic
def row_dot(typingctx, like, a, b, n):
    """The sum of a times b, n numbers of like's type."""

    def codegen(context, builder, signature, args):
        e = _Row(builder, like)

        def step(sum, offset, mask):
            a, b = (e.load(e.place(address, offset), mask) for address in args[1:3])
            return builder.call(e.fma, [a, b, sum])

        return e.reduce(e.loop(args[3], e.zero, step), builder.fadd)

    return like(like, types.intp, types.intp, types.intp), codegen


@intrinsic
def row_copy_dot(typingctx, like, target, a, b, n):
    """target = a, and the sum of a times b."""

    def codegen(context, builder, signature, args):
        e = _Row(builder, like)

        def step(sum, offset, mask):
            a, b = (e.load(e.place(address, offset), mask) for address in args[2:4])
            e.store(a, e.place(args[1], offset), mask)
            return builder.call(e.fma, [a, b, sum])

        return e.reduce(e.loop(args[4], e.zero, step), builder.fadd)

    return like(like, types.intp, types.intp, types.intp, types.intp), codegen


@intrinsic
def row_gradient(typingctx, delta, weights, slopes, n):
    """slopes = weights * (slopes - delta)."""

    def codegen(context, builder, signature, args):
        e = _Row(builder, delta)
        deltas = e.splat(args[0], e.vector)

        def step(nothing, offset, mask):
            place = e.place(args[2], offset)
            rest = builder.fsub(e.load(place, mask), deltas)
            e.store(builder.fmul(e.load(e.place(args[1], offset), mask), rest), place, mask)
            return nothing

        e.loop(args[3], e.zero, step)
        return context.get_dummy_value()

    return types.void(delta, types.intp, types.intp, types.intp), codegen
