"""The sums of the CTC loss, on numbers of any size: written once and compiled for each target.

A probability is a mantissa and an exponent, m 2^e, both in the dtype of the array, e a whole number: what a path of a
thousand steps has is far below the smallest float, and logarithms, the other way out, cost an exponential for each
term, a logarithm for each sum, and digits: at a logarithm of -300 a float32 tells 3e-5. Here a sum costs a few cheap
operations and has float32's full precision.

Whole numbers are exact up to 2^24 in float32: paths down to exp(-1e7), where logarithms tell no more than 1. Beyond,
the CPU takes from each step what all paths lose there and sums once more. What is rounded even then, and on CUDA, may
be off, but stays finite.

m is 0 or in [1/sqrt(2), sqrt(2)) (on CUDA: [1/2, 1)); NaN stays in m. e is LEAST or more; 0 is (0, LEAST), so that e is
no bound on a sum with it. These names are the target's, by kernels/binding.py:

    power(e)                    2^e for whole e <= 2, exactly; 0 far below, and for -inf
    mantissa(m), exponent(m)    m = mantissa 2^exponent, for m > 0
    exp_parts(x)                (m, n): exp(x) = m 2^n, n whole and m near 1
"""

from math import frexp

# an exponent so small that its number adds nothing to any other; no sum of two overflows
LEAST = -(2.0**127)
# no logarithm of a probability is finite and that far from 0
FAR = 1e38


def power(e):
    return 2.0**e


def mantissa(m):
    return frexp(m)[0]


def exponent(m):
    return frexp(m)[1]


def exp_parts(x):
    raise NotImplementedError


def probability(x):
    """exp(x), which -inf makes 0."""
    c = type(x)
    m, n = exp_parts(x)
    return c(0) if x < c(-FAR) else m, n if abs(x) < c(FAR) else c(0)


def larger(a, b):
    return b if b > a else a


def normal(m, e):
    """m 2^e in normal form."""
    c = type(m)
    some = m > c(0)
    return (mantissa(m) if some else m), larger(e + exponent(m), c(LEAST)) if some else c(LEAST)


def two(m0, e0, m1, e1):
    """The sum of two numbers, not in normal form."""
    top = larger(e0, e1)
    return m0 * power(e0 - top) + m1 * power(e1 - top), top


def three(m0, e0, m1, e1, m2, e2):
    """Of three; e2 may be -inf: then the third is left out."""
    top = larger(larger(e0, e1), e2)
    return m0 * power(e0 - top) + m1 * power(e1 - top) + m2 * power(e2 - top), top
