"""One step of the CTC loss by the threads of a block: the sums of all places from those of the step before.

A row of sums in shared memory has four fields of `width` numbers: mantissas of blanks, their exponents, mantissas of
labels, their exponents. Forwards, label k is one further on in its row, behind a label that is none.
"""

import math

import numpy as np

from .. import ctc_formulas
from ..binding import bind
from .functions import exp, rint
from .target import SIMULATOR, cuda, device

# 2^e is nothing
NOTHING = -1100
# log(2) in two parts, of which the first has zeros behind for a product with a small whole number
LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.693145751953125, 1.4286068203094172e-06

if SIMULATOR:

    def _mantissa(m):
        return type(m)(math.frexp(m)[0])

    def _exponent(m):
        return type(m)(math.frexp(m)[1])

    def power(e):
        # beside NaN, e may be anything
        return type(e)(math.ldexp(1, int(min(max(e, NOTHING), -NOTHING // 2))))

else:

    @device
    def _mantissa(m):
        return math.frexp(m)[0]

    @device
    def _exponent(m):
        return type(m)(math.frexp(m)[1])

    @device
    def power(e):
        c = type(e)
        return math.ldexp(c(1), np.int32(e if e > c(NOTHING) else c(NOTHING)))


@device
def _exp_parts(x):
    c = type(x)
    n = rint(x * c(LOG2_E))
    r = (x - n * c(LN2_HIGH)) - n * c(LN2_LOW)
    # where whole numbers are no longer told apart, n is not the nearest
    r = c(-0.35) if r < c(-0.35) else r
    r = c(0.35) if r > c(0.35) else r
    return exp(r), n


formulas = bind(ctc_formulas, device, power=power, mantissa=_mantissa, exponent=_exponent, exp_parts=_exp_parts)
probability, normal, two, three = formulas.probability, formulas.normal, formulas.two, formulas.three


@device
def _keep(out, at, columns, k, m0, e0, m1, e1):
    out[at + k], out[at + columns + k] = m0, e0
    out[at + 2 * columns + k], out[at + 3 * columns + k] = m1, e1


@device
def step_forwards(room, old, new, ahead, symbols, width, count, out, at):
    """A step: paths that end in a place."""
    blank_m, blank_e = room[symbols + count + 1], room[symbols + width + count + 1]
    k = cuda.threadIdx.x
    while k <= count:
        m0, e0 = room[old + k], room[old + width + k]
        m1, e1 = room[old + 2 * width + k + 1], room[old + 3 * width + k + 1]
        m2, e2 = room[old + 2 * width + k], room[old + 3 * width + k]
        m, e = two(m0, e0, m2, e2)
        b, be = normal(m * blank_m, e + blank_e)
        m, e = three(m0, e0, m1, e1, m2, e2 + room[ahead + k])
        g, ge = normal(m * room[symbols + k], e + room[symbols + width + k])
        room[new + k], room[new + width + k] = b, be
        room[new + 2 * width + k + 1], room[new + 3 * width + k + 1] = g, ge
        if out.size > 0:
            _keep(out, at, width - 1, k, b, be, g, ge)
        k += cuda.blockDim.x


@device
def step_backwards(room, old, new, ahead, symbols, width, count, out, at):
    """A step: paths that go on from a place. Kept is what follows it; in the row is its own class, too."""
    blank_m, blank_e = room[symbols + count + 1], room[symbols + width + count + 1]
    k = cuda.threadIdx.x
    while k <= count:
        m0, e0 = room[old + k], room[old + width + k]
        m1, e1 = room[old + 2 * width + k], room[old + 3 * width + k]
        m2, e2 = room[old + k + 1], room[old + width + k + 1]
        m3, e3 = room[old + 2 * width + k + 1], room[old + 3 * width + k + 1]
        b, be = two(m0, e0, m1, e1)
        g, ge = three(m1, e1, m2, e2, m3, e3 + room[ahead + k])
        _keep(out, at, width - 1, k, b, be, g, ge)
        b, be = normal(b * blank_m, be + blank_e)
        g, ge = normal(g * room[symbols + k], ge + room[symbols + width + k])
        room[new + k], room[new + width + k] = b, be
        room[new + 2 * width + k], room[new + 3 * width + k] = g, ge
        k += cuda.blockDim.x
