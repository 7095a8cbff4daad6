"""Small steps that vector math is made of: one instruction or a handful each, the same for a scalar and for a vector.

Numba promotes small integers to int64 and has no bit casts, so what touches the bits of a float is written here in LLVM
IR. Everything works on float32 and float64, is free of branches and of undefined results for any bits, and uses only
what AVX2 and NEON have as vector instructions too (no arithmetic shift of int64, no conversion from it).

    constant(single, double)      C(x): a number in x's type
    polynomial(single, double)    P(x): c[0] + c[1] x + c[2] x^2 ..., Horner's rule in fused multiply-adds
    fma(a, b, c), copysign(size, sign)
    order(x), from_order(k)       an integer that is larger where x is larger, and back; NaN lies beyond the infinities.
                                  The largest integer of a loop is found in vectors, the largest float is not
    at_most(x, y), at_least(x, y) the smaller, the larger of both; x if x is NaN (one instruction)
    rounder(x)                    R, so large that t = v + R has in its low bits the integer n nearest to v plus the
                                  bias of exponents; t - R is n
    power_of_two(t)               2^n of that t, for exponents of normal numbers; 0 for the one below them
    significand(x), exponent(x)   x = significand 2^exponent, significand in [sqrt(1/2), sqrt(2)), for normal x > 0
"""

import struct

from llvmlite import ir
from numba.core import types

from ..jit import intrinsic

_FORMATS = {
    # bits of the mantissa, exponent bias, LLVM's float and integer types, bits of sqrt(1/2)
    types.float32: (23, 127, ir.FloatType(), ir.IntType(32), struct.unpack("<I", struct.pack("<f", 0.5**0.5))[0]),
    types.float64: (52, 1023, ir.DoubleType(), ir.IntType(64), struct.unpack("<Q", struct.pack("<d", 0.5**0.5))[0]),
}


def _of_one_type(emit, arity):
    """The typing of an intrinsic whose arguments and result are of one floating type."""

    def signature(kinds):
        if len(set(kinds)) == 1 and kinds[0] in _FORMATS:
            return kinds[0](*kinds)
        return None  # Numba then says which types it tried

    def generate(context, builder, sig, args):
        return emit(builder, _FORMATS[sig.return_type], *args)

    if arity == 1:
        return lambda typing, a: (signature((a,)), generate)
    if arity == 2:
        return lambda typing, a, b: (signature((a, b)), generate)
    return lambda typing, a, b, c: (signature((a, b, c)), generate)


def constant(single, double):
    """An intrinsic C(x): the number `single` where x is float32, `double` where it is float64."""

    def emit(builder, format, x):
        return ir.Constant(x.type, single if x.type == ir.FloatType() else double)

    return intrinsic(_of_one_type(emit, 1))


def polynomial(single, double):
    """An intrinsic P(x): the polynomial with these coefficients, lowest power first, for x's type."""

    def emit(builder, format, x):
        *lower, sum = [ir.Constant(x.type, c) for c in (single if x.type == ir.FloatType() else double)]
        for c in reversed(lower):
            sum = builder.fma(sum, x, c)
        return sum

    return intrinsic(_of_one_type(emit, 1))


def _fma(builder, format, a, b, c):
    return builder.fma(a, b, c)


def _copysign(builder, format, size, sign):
    of_type = ir.FunctionType(size.type, [size.type, size.type])
    return builder.call(builder.module.declare_intrinsic("llvm.copysign", [size.type], of_type), [size, sign])


def _at_most(builder, format, x, limit):
    # the operands in the order of x86's min and max, which give the second one where either is NaN
    return builder.select(builder.fcmp_ordered("<", limit, x), limit, x)


def _at_least(builder, format, x, limit):
    return builder.select(builder.fcmp_ordered(">", limit, x), limit, x)


def _rounder(builder, format, x):
    mantissa, bias = format[:2]
    return ir.Constant(x.type, 1.5 * 2.0**mantissa + bias)


def _power_of_two(builder, format, t):
    mantissa, _, real, integer, _ = format
    # the bits of 1.5 * 2^m leave at the top
    return builder.bitcast(builder.shl(builder.bitcast(t, integer), integer(mantissa)), real)


def _above_root(builder, format, x):
    # bits of x over those of sqrt(1/2), kept positive: the biased exponent of x / sqrt(1/2), then bits of its mantissa
    mantissa, bias, _, integer, root = format
    return builder.add(builder.bitcast(x, integer), integer((bias << mantissa) - root))


def _significand(builder, format, x):
    mantissa, _, real, integer, root = format
    rest = builder.and_(_above_root(builder, format, x), integer((1 << mantissa) - 1))
    return builder.bitcast(builder.add(rest, integer(root)), real)


def _exponent(builder, format, x):
    mantissa, bias, real, integer, _ = format
    biased = builder.lshr(_above_root(builder, format, x), integer(mantissa))
    # an integer below 2^m, put under the exponent of 2^m, reads as 2^m + integer
    shell = ir.Constant(real, 2.0**mantissa).bitcast(integer)
    return builder.fsub(builder.bitcast(builder.or_(biased, shell), real), ir.Constant(real, 2.0**mantissa + bias))


def _order(builder, bits):
    # negative numbers count down: all their bits but the sign turned. It is its own inverse
    sign = builder.ashr(bits, bits.type(bits.type.width - 1))
    return builder.xor(bits, builder.and_(sign, bits.type((1 << (bits.type.width - 1)) - 1)))


@intrinsic
def order(typing, x):
    if x not in _FORMATS:
        return None

    def generate(context, builder, sig, args):
        return _order(builder, builder.bitcast(args[0], _FORMATS[x][3]))

    return (types.int32 if x == types.float32 else types.int64)(x), generate


@intrinsic
def from_order(typing, k):
    if k not in (types.int32, types.int64):
        return None
    x = types.float32 if k == types.int32 else types.float64

    def generate(context, builder, sig, args):
        return builder.bitcast(_order(builder, args[0]), _FORMATS[x][2])

    return x(k), generate


fma = intrinsic(_of_one_type(_fma, 3))
copysign = intrinsic(_of_one_type(_copysign, 2))
at_most = intrinsic(_of_one_type(_at_most, 2))
at_least = intrinsic(_of_one_type(_at_least, 2))
rounder = intrinsic(_of_one_type(_rounder, 1))
power_of_two = intrinsic(_of_one_type(_power_of_two, 1))
significand = intrinsic(_of_one_type(_significand, 1))
exponent = intrinsic(_of_one_type(_exponent, 1))
