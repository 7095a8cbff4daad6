"""Rotary positions: pairs of numbers of each row turned by angles that belong to its step.

Arrays are given by strides, so that heads inside a projection, (N, L, 3, H, D) in memory, are read where they lie.
"""

import numpy as np

from ..rotary_checks import check


def rotary_forward(y, x, cos, sin, interleaved):
    """(y[i], y[j]) = (x[i] cos[p] - x[j] sin[p], x[j] cos[p] + x[i] sin[p]) for pair p of a row; the rest is copied

    y    (N, L, H, D)     [out] [strided]  result; x itself, or other memory than x
    x    (N, L, H, D)     [strided]        rows of D numbers, queries or keys: H heads at each of L steps
    cos  (B, L, P) any                     of the angles; B is N or 1: the same for all samples. 2 P is at most D
    sin  (B, L, P) any                     likewise
    interleaved  bool                      pairs are (0, 1), (2, 3) ..; otherwise (0, P), (1, P + 1) ..

    A row of x and of y in memory has its numbers side by side. cos and sin have the dtype of x, float32 for 16-bit
    numbers. Raises ValueError for a row that is not contiguous, for B or P that do not fit and for tables of another
    dtype.
    Source: Su et al. 2021, "RoFormer"; halves as pairs: GPT-NeoX.
    """
    check(y, x, cos, sin)
    turn(y, x, cos, sin, interleaved)


def rotary_backward(dx, dy, cos, sin, interleaved):
    """The gradient of rotary_forward: dy turned back, the rest copied.

    dx   (N, L, H, D)     [out] [strided]  gradient of x; dy itself, or other memory than dy
    dy   (N, L, H, D)     [strided]        gradient of y
    cos  (B, L, P) any                     as rotary_forward had it
    sin  (B, L, P) any                     as rotary_forward had it
    interleaved  bool                      as rotary_forward had it

    Raises ValueError as rotary_forward.
    """
    check(dx, dy, cos, sin)
    turn(dx, dy, cos, -sin, interleaved)


def turn(y, x, cos, sin, interleaved):
    pairs = cos.shape[2]
    if interleaved:
        first, second = np.s_[..., 0 : 2 * pairs : 2], np.s_[..., 1 : 2 * pairs : 2]
    else:
        first, second = np.s_[..., :pairs], np.s_[..., pairs : 2 * pairs]
    c, s = cos[:, :, None], sin[:, :, None]
    y[first], y[second] = x[first] * c - x[second] * s, x[second] * c + x[first] * s
    y[..., 2 * pairs :] = x[..., 2 * pairs :]
