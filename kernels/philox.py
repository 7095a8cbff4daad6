"""The random-number formulas that every target compiles: leaves on 64-bit words that hold 32 bits each.

kernels/ref/random.py says what they compute. Words are kept in 64-bit lanes because a product of two of them is then
one vector multiply, and its halves a shift and a mask.
"""

import numpy as np

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_MASK, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

# radians in a quarter of a turn
_QUARTER = 1.5707963267948966


def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds of Philox4x32: four random words of a counter (c0 .. c3) under a key (k0, k1)."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _MASK, (p0 >> _HALF) ^ c3 ^ k1, p0 & _MASK
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def high_product(a, b):
    """The upper 64 of the 128 bits of a * b."""
    a0, a1 = a & _MASK, a >> _HALF
    b0, b1 = b & _MASK, b >> _HALF
    cross = a1 * b0
    middle = (a0 * b0 >> _HALF) + (cross & _MASK) + a0 * b1
    return a1 * b1 + (cross >> _HALF) + (middle >> _HALF)


def sincos_turn(v):
    """(sin, cos) of v turns, v in [0, 1], in float64: by polynomials (Cephes) on an eighth of a turn."""
    quarter = np.int32(4.0 * v + 0.5)
    x = (4.0 * v - np.float64(quarter)) * _QUARTER
    z = x * x
    s = 1.58969099521155010221e-10
    s = s * z - 2.50507602534068634195e-08
    s = s * z + 2.75573137070700676789e-06
    s = s * z - 1.98412698298579493134e-04
    s = s * z + 8.33333333332248946124e-03
    s = s * z - 1.66666666666666324348e-01
    s = x + x * z * s
    c = -1.13596475577881948265e-11
    c = c * z + 2.08757232129817482790e-09
    c = c * z - 2.75573143513906633035e-07
    c = c * z + 2.48015872894767294178e-05
    c = c * z - 1.38888888888741095749e-03
    c = c * z + 4.16666666666666019037e-02
    c = 1.0 - 0.5 * z + z * z * c
    odd = (quarter == 1) | (quarter == 3)
    sine, cosine = c if odd else s, s if odd else c
    return -sine if (quarter == 2) | (quarter == 3) else sine, -cosine if (quarter == 1) | (quarter == 2) else cosine
