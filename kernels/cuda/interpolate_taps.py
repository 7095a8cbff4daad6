"""Tables of resampling: a thread for each result, in the arithmetic of the weights' dtype and not otherwise.

A product that a sum follows is rounded by itself where it decides about an element; steps are made on the host.
"""

import math

import numpy as np

from ..interpolate_modes import CUBIC, CUBIC_ANTIALIAS, LINEAR, LINEAR_ANTIALIAS, NEAREST, NEAREST_EXACT, TAPS
from .maps import computed
from .ptx import narrow, rounded_product
from .target import cuda, device, jit, kernel, spread


@device
def _cubic(x, a):
    """Keys' kernel at distances 0 .. 2."""
    F = type(x)
    if x <= F(1):
        return ((a + F(2)) * x - (a + F(3))) * x * x + F(1)
    return ((a * x - F(5) * a) * x + F(8) * a) * x - F(4) * a


@jit
def _taps(taps, weights, size, step, mode, align_corners):
    F, O = type(step), taps.shape[1]
    zero, one, half = F(0), F(1), F(0.5)
    for o in range(cuda.grid(1), O, cuda.gridsize(1)):
        if align_corners or mode == NEAREST:
            place = rounded_product(step, F(o))
        else:
            place = rounded_product(step, F(o) + half) - half
        if mode != CUBIC:
            place = max(place, zero)
        # torch rounds to float32 before it rounds down
        index = min(np.int64(math.floor(np.float32(place + half if mode == NEAREST_EXACT else place))), size - 1)
        rest = min(max(place - F(index), zero), one)
        if mode <= NEAREST_EXACT:
            taps[0, o], weights[0, o] = index, narrow(weights, one)
        elif mode == LINEAR:
            following = min(index + 1, size - 1)
            if size == O:
                index, following, rest = o, o, zero
            taps[0, o], taps[1, o] = index, following
            weights[0, o], weights[1, o] = narrow(weights, one - rest), narrow(weights, rest)
        else:
            for k in range(4):
                taps[k, o] = min(max(index + k - 1, 0), size - 1)
            a = F(-0.75)
            weights[0, o], weights[1, o] = narrow(weights, _cubic(rest + one, a)), narrow(weights, _cubic(rest, a))
            weights[2, o] = narrow(weights, _cubic(one - rest, a))
            weights[3, o] = narrow(weights, _cubic((one - rest) + one, a))


@device
def _filter(k, first, centre, shrink, cubic):
    F = type(centre)
    x = abs((F(first + k) - centre + F(0.5)) * shrink)
    if cubic:
        return _cubic(x, F(-0.5)) if x < F(2) else F(0)
    return max(F(1) - x, F(0))


@jit
def _antialias(taps, weights, size, step, cubic):
    F, K = type(step), taps.shape[0]
    one, half = F(1), F(0.5)
    wide = max(step, one)
    reach, shrink = (F(2) if cubic else one) * wide, one / wide
    for o in range(cuda.grid(1), taps.shape[1], cuda.gridsize(1)):
        centre = rounded_product(step, F(o) + half)
        first = max(int(centre - reach + half), 0)
        n = min(max(min(int(centre + reach + half), size) - first, 0), K)
        total = F(0)
        for k in range(n):
            total += _filter(k, first, centre, shrink, cubic)
        for k in range(K):
            w = F(0)
            if k < n:
                w = _filter(k, first, centre, shrink, cubic)
                if total != F(0):
                    w /= total
            taps[k, o], weights[k, o] = first + k if k < n else size, narrow(weights, w)


@kernel(half=True)
def interpolate_taps_forward(taps, weights, size, scale, mode, align_corners, stream=0):
    """One launch."""
    K, O = taps.shape
    if size < 1 or not NEAREST <= mode <= CUBIC_ANTIALIAS or TAPS.get(mode, K) != K or K < 1:
        raise ValueError("interpolate: expected a size of at least 1, a mode of 0 .. 5 and its number of taps")
    F = computed(weights.dtype)
    if align_corners:
        step = F(size - 1) / F(O - 1) if O > 1 else F(0)
    else:
        step = F(1 / scale) if scale > 0 else F(size) / F(max(1, O))
    if mode >= LINEAR_ANTIALIAS:
        spread(_antialias, O, stream, taps, weights, size, step, mode == CUBIC_ANTIALIAS)
    else:
        spread(_taps, O, stream, taps, weights, size, step, mode, align_corners)
