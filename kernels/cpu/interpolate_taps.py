"""Tables of resampling: a few numbers for each result, in the arithmetic of the weights' dtype and not otherwise."""

import math

import numpy as np

from ..interpolate_modes import (
    CUBIC,
    CUBIC_ANTIALIAS,
    LINEAR,
    LINEAR_ANTIALIAS,
    NEAREST,
    NEAREST_EXACT,
)
from ..jit import exact, kernel


@exact
def _step(O, size, scale, align_corners, F):
    if align_corners:
        return F(size - 1) / F(O - 1) if O > 1 else F(0)
    return F(1 / scale) if scale > 0 else F(size) / F(O)


@exact
def _cubic(x, a):
    """Keys' kernel at distances 0 .. 2."""
    F = type(x)
    if x <= F(1):
        return ((a + F(2)) * x - (a + F(3))) * x * x + F(1)
    return ((a * x - F(5) * a) * x + F(8) * a) * x - F(4) * a


@exact
def _antialias(taps, weights, size, step, mode):
    F = weights.dtype.type
    K, zero, one, half = taps.shape[0], F(0), F(1), F(0.5)
    wide = max(step, one)
    reach, shrink = (F(2) if mode == CUBIC_ANTIALIAS else one) * wide, one / wide
    for o in range(taps.shape[1]):
        centre = step * F(o + 0.5)
        first = max(int(centre - reach + half), 0)
        n = min(max(min(int(centre + reach + half), size) - first, 0), K)
        total = zero
        for k in range(K):
            x = abs((F(first + k) - centre + half) * shrink)
            w = zero
            if k < n:
                if mode == CUBIC_ANTIALIAS:
                    w = _cubic(x, F(-0.5)) if x < F(2) else zero
                else:
                    w = max(one - x, zero)
            taps[k, o], weights[k, o] = first + k if k < n else size, w
            total += w
        if total != zero:
            for k in range(n):
                weights[k, o] /= total


@kernel
def interpolate_taps_forward(taps, weights, size, scale, mode, align_corners):
    """Serial: there are few numbers."""
    K, O = taps.shape
    known = 1 if mode <= NEAREST_EXACT else 2 if mode == LINEAR else 4 if mode == CUBIC else K
    if size < 1 or mode < NEAREST or mode > CUBIC_ANTIALIAS or K != known or K < 1:
        raise ValueError("interpolate: expected a size of at least 1, a mode of 0 .. 5 and its number of taps")
    if O == 0:
        return
    F = weights.dtype.type
    zero, one, half = F(0), F(1), F(0.5)
    step = _step(O, size, scale, align_corners, F)
    if mode >= LINEAR_ANTIALIAS:
        _antialias(taps, weights, size, step, mode)
        return
    for o in range(O):
        place = step * F(o) if align_corners or mode == NEAREST else step * (F(o) + half) - half
        if mode != CUBIC:
            place = max(place, zero)
        # torch rounds to float32 before it rounds down
        index = math.floor(np.float32(place + half if mode == NEAREST_EXACT else place))
        index = min(index, size - 1)
        rest = min(max(place - F(index), zero), one)
        if mode <= NEAREST_EXACT:
            taps[0, o], weights[0, o] = index, one
        elif mode == LINEAR:
            if size == O:
                index, rest = o, zero
            taps[0, o], taps[1, o] = index, index if size == O else min(index + 1, size - 1)
            weights[0, o], weights[1, o] = one - rest, rest
        else:
            for k in range(4):
                taps[k, o] = min(max(index + k - 1, 0), size - 1)
            weights[0, o], weights[1, o] = _cubic(rest + one, F(-0.75)), _cubic(rest, F(-0.75))
            weights[2, o], weights[3, o] = _cubic(one - rest, F(-0.75)), _cubic((one - rest) + one, F(-0.75))
