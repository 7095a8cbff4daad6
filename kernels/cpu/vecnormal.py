"""GELU and its gradient on the normal distribution's upper tail, without erf: one exponential, no branch.

Both want absolute accuracy only (about a unit in the last place of 1, times |x|), which erf's two sides do not need.
The polynomials are minimax fits to that, made like vecmath's.
"""

from ..jit import leaf
from .vecbits import at_least, at_most, constant, copysign, fma, polynomial, power_of_two, rounder

# log2 of the tail at a in 0 .. 5.5 (float64: 9); beyond, it falls to minus infinity faster than the tail's does
_LOG2_TAIL = (
    (
        -1.0,
        -1.1511059999465942,
        -0.45919859409332275,
        -0.05253276973962784,
        0.00712575064972043,
        -0.00019090708519797772,
        -0.00016160582890734076,
        3.380044290679507e-05,
        -2.339956381547381e-06,
    ),
    (
        -1.0,
        -1.1511040990721786,
        -0.45922409426277816,
        -0.05242119333391031,
        0.006899128908938538,
        5.335222939335943e-05,
        -0.00030589073124111216,
        7.525965870649024e-05,
        -2.354264266699353e-06,
        -4.075427169087736e-06,
        1.2928686322182652e-06,
        -6.206257766215888e-08,
        -9.964829137376119e-08,
        4.943132333499891e-08,
        -1.4277365380837498e-08,
        2.980434946475527e-09,
        -4.752950506001003e-10,
        5.876940437692213e-11,
        -5.621880114420376e-12,
        4.1096207019749133e-13,
        -2.2486502987770714e-14,
        8.926720627047977e-16,
        -2.4414081273635666e-17,
        4.1402864708652547e-19,
        -3.2863390473501085e-21,
    ),
)
# the even and the odd powers, side by side: twice as many steps are in flight
_EVEN = polynomial(*(c[0::2] for c in _LOG2_TAIL))
_ODD = polynomial(*(c[1::2] for c in _LOG2_TAIL))

# (2^f - 1) / f on |f| <= 1/2
_EXP2 = polynomial(
    (0.6931470036506653, 0.24022240936756134, 0.055507004261016846, 0.009671631269156933, 0.001327448757365346),
    (
        0.6931471805599453,
        0.2402265069591011,
        0.05550410866482171,
        0.009618129107600473,
        0.0013333558146548328,
        0.00015403530450479457,
        1.525273363406457e-05,
        1.3215438107472284e-06,
        1.0178159144632797e-07,
        7.073359904067941e-09,
        4.439122081093141e-10,
    ),
)

# tail(a) exp(a^2 / 2) / s by s = 1 / (1 + k a)
_MILLS_SCALE = constant(0.4, 0.3)
_MILLS = polynomial(
    (
        0.15711161494255066,
        0.1860414296388626,
        0.020098216831684113,
        0.3308506906032562,
        -0.24908047914505005,
        0.05497855320572853,
    ),
    (
        0.11967130574349819,
        0.11992438548118274,
        0.10656135244655313,
        0.10114475767823698,
        0.004113267493928311,
        0.17212602452676087,
        -0.2690972514601749,
        0.29497554758065075,
        -0.1220561504957463,
        -0.3197069915785017,
        0.6722889774695083,
        -0.6397045218675177,
        0.36476481842463987,
        -0.12897768332094062,
        0.02638055105610582,
        -0.0024083891781838287,
    ),
)

# sqrt(log2(e) / 2): the square of a times it is the exponent of the density
_DENSITY_SCALE = constant(0.84932180028801907, 0.84932180028801907)
# the density at 0
_PEAK = constant(0.3989422804014327, 0.3989422804014327)
# 2^-it is 0, as power_of_two has it
_ZERO_POWER = constant(127.0, 1023.0)
# the tail is 0 from here on; a product of it with infinity would be NaN, as it is for minus infinity in PyTorch
_FAR = constant(30.0, 60.0)


@leaf
def _exp2(n, f):
    """2^(n + f), n as rounder makes it, |f| <= 1/2."""
    return fma(_EXP2(f), f, type(f)(1)) * power_of_two(n)


@leaf
def gelu(x):
    # x cdf(x) = max(x, 0) - |x| tail(|x|)
    a = at_most(abs(x), _FAR(x))
    z = a * a
    v = at_least(fma(_ODD(z), a, _EVEN(z)), -_ZERO_POWER(x))
    t = v + rounder(v)
    tail = copysign(_exp2(t, v - (t - rounder(v))), x)
    return fma(-at_most(x, _FAR(x)), tail, at_least(x, type(x)(0)))


@leaf
def gelu_grad(dy, x):
    # cdf(x) + x density(x) = tail - a density where x < 0, else 1 less that; the density is a factor of both
    a, one = abs(x), type(x)(1)
    w = a * _DENSITY_SCALE(x)
    v = at_most(w * w, _ZERO_POWER(x))
    t = rounder(v) - v
    s = one / fma(a, _MILLS_SCALE(x), one)
    u = fma(-_PEAK(x), a, _MILLS(s) * s) * _exp2(t, (rounder(v) - t) - v)
    return dy * (u if x < type(x)(0) else one - u)
