"""Vector math: exp, expm1, log, log1p, erf, tanh, sigmoid of one float32 or float64, for use inside compiled loops.

exp_below and expm1_below are exp and expm1 where the argument is known not to be positive.

Each is a straight line of multiplications, additions, blends and bit operations, so that LLVM turns a loop over it into
whole vectors; both sides of a choice are computed. NaN, infinities, -0.0 and denormal numbers in and out are as in
IEEE 754's recommended functions. Largest errors seen, in ulp: log and exp 0.9, erf 1.0, log1p 1.4, expm1 1.7, tanh and
sigmoid 2.6.

What bounds a loop is the number of multiplications and multiply-adds (AVX-512: one vector a cycle, a division counts as
six), then that of all operations (two a cycle): additions, comparisons and bit operations are almost free.

The polynomials are minimax fits (weighted least squares on Chebyshev points in 60 digits, each coefficient rounded and
the rest fitted again) to the functions in the comments.
"""

import math

from ..jit import leaf
from .vecbits import (
    at_least,
    at_most,
    constant,
    copysign,
    exponent,
    fma,
    polynomial,
    power_of_two,
    rounder,
    significand,
)

_LOG2_E = constant(1.4426950408889634, 1.4426950408889634)
# log(2) in two parts
_LN2_HIGH = constant(0.693147182464599609375, 0.6931471805599453)
_LN2_LOW = constant(-1.9046542e-09, 2.3190468138462996e-17)

# twice log2(e), half log(2)
_LOG2_E_TWICE = constant(2.8853900817779268, 2.8853900817779268)
_LN2_HALF = constant(0.34657359123229980469, 0.34657359027997264)

# 2^n of a denormal or an infinite result is no normal number: 2^(n + shift) times 2^-shift is
_SHIFT = constant(64.0, 512.0)
_UP = constant(2.0**64, 2.0**512)
_DOWN = constant(2.0**-64, 2.0**-512)

# beyond: exp is 0 (half the smallest denormal), exp is infinite, expm1 is -1 to the last bit, tanh is 1
_EXP_LOW = constant(-104.0, -746.0)
_EXP_HIGH = constant(89.0, 710.0)
_EXPM1_LOW = constant(-18.0, -38.0)
_TANH_HIGH = constant(9.1, 19.1)
_ERF_HIGH = constant(4.0, 6.0)

_INFINITY = constant(math.inf, math.inf)
_NAN = constant(math.nan, math.nan)
_SMALLEST_NORMAL = constant(2.0**-126, 2.0**-1022)
_LIFT = constant(2.0**24, 2.0**54)
_LIFT_EXPONENT = constant(24.0, 54.0)

# (exp(r) - 1 - r) / r^2 on |r| <= log(2) / 2
_EXP = polynomial(
    (0.5, 0.16666540503501892, 0.04166647791862488, 0.008366838097572327, 0.0013933710288256407),
    (
        0.5000000000000006,
        0.16666666666666677,
        0.041666666666573364,
        0.008333333333321428,
        0.001388888893250904,
        0.00019841269886631242,
        2.4801504252362964e-05,
        2.7557243702649166e-06,
        2.76264147580722e-07,
        2.510921428216453e-08,
    ),
)

# c = r coth(r / 2) by z = r^2 on the same r: exp(r) = (c + r) / (c - r), half the multiplications if one divides anyway
_COTH = polynomial(
    (2.0, 0.166666179895401, -0.002766001969575882),
    (
        2.0,
        0.16666666666666552,
        -0.002777777777667602,
        6.61375624516813e-05,
        -1.6533832248968906e-06,
        4.135876992466866e-08,
    ),
)

# r coth(r) by z = r^2 on |r| <= log(2) / 4
_COTH_HALF = polynomial(
    (1.0, 0.33333250880241394, -0.022133702412247658),
    (
        1.0,
        0.33333333333333204,
        -0.02222222222160874,
        0.002116402022311253,
        -0.00021163392009663733,
        2.1186792989696508e-05,
    ),
)

# (2 atanh(s) - 2 s) / s^3 by z = s^2, where log(1 + f) = 2 atanh(s), s = f / (2 + f), sqrt(1/2) <= 1 + f <= sqrt(2)
_LOG = polynomial(
    (0.6666677594184875, 0.39977583289146423, 0.2987082898616791),
    (
        0.6666666666666736,
        0.39999999999405156,
        0.2857142874418559,
        0.2222219840933695,
        0.18183572112183605,
        0.15313864671160687,
        0.14797711076316572,
    ),
)

# erf(x) / x - 1 by z = x^2 on |x| <= 1
_ERF = polynomial(
    (
        0.12837916612625122,
        -0.3761262595653534,
        0.1128358244895935,
        -0.026853643357753754,
        0.005187962669879198,
        -0.0008006793214008212,
        7.842288323445246e-05,
    ),
    (
        0.12837916709551256,
        -0.37612638903183454,
        0.11283791670942442,
        -0.02686617064289931,
        0.005223977604689966,
        -0.0008548325870703971,
        0.00012055292035174393,
        -1.4924685750072198e-05,
        1.6446833684025832e-06,
        -1.6204216644959769e-07,
        1.370256913134439e-08,
        -7.764805895007783e-10,
    ),
)

# log(1 - erf(1 + w)) on 0 <= w <= 3 (float64: 5); its error counts less and less as erf nears 1
_LOG_ERFC = polynomial(
    (
        -1.8496055603027344,
        -2.638965606689453,
        -0.8431265354156494,
        -0.04148197919130325,
        0.009882060810923576,
        -0.0018444301094859838,
        0.00020707273506559432,
        -6.2268181864055805e-06,
    ),
    (
        -1.8496055099332485,
        -2.638967514234723,
        -0.8431072563622767,
        -0.04156109796499042,
        0.010033824533055876,
        -0.001977897114208009,
        0.00023729971199278117,
        2.634253198021274e-05,
        -2.728860780886499e-05,
        9.796292993143562e-06,
        -2.2586680012162563e-06,
        2.988585392046293e-07,
        7.150045812105918e-09,
        -1.3627355235408797e-08,
        3.158138756682315e-09,
        -3.579299975372783e-10,
        1.716306690739468e-11,
    ),
)


@leaf
def _reduced(x, n):
    """x - n log(2), to more than the last place."""
    return fma(-n, _LN2_LOW(x), fma(-n, _LN2_HIGH(x), x))


@leaf
def _exp_reduced(r):
    one = type(r)(1)
    return fma(fma(_EXP(r), r, one), r, one)


@leaf
def exp(x):
    negative = x < type(x)(0)
    x = at_most(at_least(x, _EXP_LOW(x)), _EXP_HIGH(x))
    R = rounder(x) + (_SHIFT(x) if negative else -_SHIFT(x))
    t = fma(x, _LOG2_E(x), R)
    # the last step alone rounds where the result is denormal, or overflows
    return _exp_reduced(_reduced(x, t - R)) * power_of_two(t) * (_DOWN(x) if negative else _UP(x))


@leaf
def exp_below(x):
    """exp(x) where x <= 0 or NaN, for less; good for nothing where x > 40."""
    x = at_least(x, _EXP_LOW(x))
    R = rounder(x) + _SHIFT(x)
    t = fma(x, _LOG2_E(x), R)
    return _exp_reduced(_reduced(x, t - R)) * power_of_two(t) * _DOWN(x)


@leaf
def _exp_normal(x):
    """exp where neither x nor the result leaves the normal numbers."""
    t = fma(x, _LOG2_E(x), rounder(x))
    return _exp_reduced(_reduced(x, t - rounder(x))) * power_of_two(t)


@leaf
def exp_parts(x):
    """(m, n): exp(x) = m 2^n, n a whole number, m in [sqrt(1/2), sqrt(2)]; x may be far outside of exp's range."""
    n = fma(x, _LOG2_E(x), rounder(x)) - rounder(x)
    # where whole numbers are no longer told apart, n is not the nearest
    r = at_most(at_least(_reduced(x, n), -_LN2_HALF(x)), _LN2_HALF(x))
    return _exp_reduced(r), n


@leaf
def expm1(x):
    one, sign, large = type(x)(1), x, x > type(x)(1)
    x = at_most(at_least(x, _EXPM1_LOW(x)), _EXP_HIGH(x))
    R = rounder(x) - (_SHIFT(x) if large else type(x)(0))
    t = fma(x, _LOG2_E(x), R)
    scale = power_of_two(t)
    r = _reduced(x, t - R)
    # the large part of exp(r) - 1 first, while it is still exact
    y = fma(_EXP(r) * r * r, scale, fma(r, scale, scale - (_DOWN(x) if large else one)))
    return copysign(y * (_UP(x) if large else one), sign)


@leaf
def expm1_below(x):
    """expm1(x) where x <= 0 or NaN, for less and with 0 for -0; good for nothing where x > 40."""
    x = at_least(x, _EXPM1_LOW(x))
    t = fma(x, _LOG2_E(x), rounder(x))
    scale = power_of_two(t)
    # log(2) in one part: what it lacks counts n times, but against 1, not against 2^n
    r = fma(rounder(x) - t, _LN2_HIGH(x), x)
    return fma(fma(_EXP(r) * r, r, r), scale, scale - type(x)(1))


@leaf
def _log_of(f, e):
    """log((1 + f) 2^e)."""
    s = f / (type(f)(2) + f)
    z = s * s
    half_square = type(f)(0.5) * f * f
    tail = fma(s, fma(z, _LOG(z), half_square), e * _LN2_LOW(f))
    return fma(e, _LN2_HIGH(f), f - (half_square - tail))


@leaf
def log(x):
    zero = type(x)(0)
    tiny = x < _SMALLEST_NORMAL(x)
    lifted = x * _LIFT(x) if tiny else x
    e = exponent(lifted) - (_LIFT_EXPONENT(x) if tiny else zero)
    y = _log_of(significand(lifted) - type(x)(1), e)
    y = y if x < _INFINITY(x) else x
    y = -_INFINITY(x) if x == zero else y
    return _NAN(x) if x < zero else y


@leaf
def log1p(x):
    one = type(x)(1)
    # u + c = 1 + x exactly
    u = one + x
    b = u - one
    c = (one - (u - b)) + (x - b)
    e = exponent(u)
    # where 2^-e would leave the normal numbers, c no longer counts
    limit = type(x)(64)
    f = (significand(u) - one) + c * power_of_two(rounder(x) - at_most(e, limit))
    y = copysign(_log_of(f, e), x)
    y = y if x < _INFINITY(x) else x
    y = -_INFINITY(x) if x == -one else y
    return _NAN(x) if x < -one else y


@leaf
def tanh(x):
    one, a = type(x)(1), at_most(abs(x), _TANH_HIGH(x))
    t = fma(a, _LOG2_E_TWICE(x), rounder(x))
    r = fma(rounder(x) - t, _LN2_HALF(x), a)
    # exp(2 a) = 2^n (c + r) / (c - r) in (exp(2 a) - 1) / (exp(2 a) + 1); the numerator keeps the digits of a small r
    c, scale = _COTH_HALF(r * r), power_of_two(t)
    top = fma(r, scale + one, c * (scale - one))
    rest = c - r
    return copysign(top / (top + (rest + rest)), x)


@leaf
def sigmoid(x):
    # exp of a negative number: nothing overflows, and small results keep their digits
    a = at_least(-abs(x), _EXP_LOW(x))
    R = rounder(x) + _SHIFT(x)
    t = fma(a, _LOG2_E(x), R)
    r = _reduced(a, t - R)
    c = _COTH(r * r)
    # exp(a) = top / rest
    top, rest = (c + r) * power_of_two(t) * _DOWN(x), c - r
    return (top if x < type(x)(0) else rest) / (rest + top)


@leaf
def erf(x):
    a, one = abs(x), type(x)(1)
    near = fma(_ERF(x * x), x, x)
    w = at_most(a, _ERF_HIGH(x)) - one
    far = copysign(one - _exp_normal(_LOG_ERFC(w)), x)
    return near if a < one else far
