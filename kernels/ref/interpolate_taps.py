"""Which elements a resampled one is made of along a dimension, in the arithmetic of the weights' dtype, as in torch."""

import numpy as np

from ..interpolate_modes import CUBIC, CUBIC_ANTIALIAS, HALF, LINEAR, NEAREST, NEAREST_EXACT, TAPS


def _step(count, size, scale, align_corners, F):
    """Elements from one result to the next."""
    if align_corners:
        return F(size - 1) / F(count - 1) if count > 1 else F(0)
    return F(1 / scale) if scale > 0 else F(size) / F(max(1, count))


def _cubic(x, a):
    """Keys' kernel at distances 0 .. 2."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.where(x <= 1, near, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a)


def _floor(x):
    # torch rounds to float32 before it rounds down
    return np.floor(x.astype(np.float32)).astype(np.int64)


def _antialias(taps, weights, size, step, mode):
    F, half, K = weights.dtype.type, HALF[mode], taps.shape[0]
    reach, shrink = F(half) * max(step, F(1)), F(1) / max(step, F(1))
    for o in range(taps.shape[1]):
        centre = step * F(o + 0.5)
        first = max(int(centre - reach + F(0.5)), 0)
        n = min(max(min(int(centre + reach + F(0.5)), size) - first, 0), K)
        x = np.abs((np.arange(first, first + n, dtype=F) - centre + F(0.5)) * shrink)
        w = np.where(x < 2, _cubic(x, F(-0.5)), 0) if mode == CUBIC_ANTIALIAS else np.maximum(1 - x, 0)
        taps[:, o], weights[:, o] = size, 0
        taps[:n, o], weights[:n, o] = range(first, first + n), w / w.sum() if w.sum() else w


def interpolate_taps_forward(taps, weights, size, scale, mode, align_corners):
    """Result o is the sum of weights[k, o] times element taps[k, o]; at place (o + 1/2) step - 1/2, or o step

    taps           (K, O) int64 [out]  0 .. size-1; size: none
    weights        (K, O) [out]
    size           int                 elements; at least 1
    scale          float               results for each element, 1 / step; 0: O / size
    mode           int                 interpolate_modes: 0 nearest, 1 nearest-exact (K = 1), 2 linear (K = 2), 3 cubic
                                       (K = 4), 4 and 5 the same with antialias (K = taps_of(...))
    align_corners  bool                the first and the last result stand on the first and the last element

    Raises ValueError for sizes, modes and K that do not fit.
    Source: Keys 1981 with a = -0.75, antialias as in Pillow with a = -0.5; as torch.nn.functional.interpolate.
    """
    K, O = taps.shape
    if size < 1 or not 0 <= mode <= CUBIC_ANTIALIAS or K != TAPS.get(mode, K) or K < 1:
        raise ValueError("interpolate: expected a size of at least 1, a mode of 0 .. 5 and its number of taps")
    F = weights.dtype.type
    step, o = _step(O, size, scale, align_corners, F), np.arange(O, dtype=weights.dtype)
    if mode in HALF:
        _antialias(taps, weights, size, step, mode)
        return
    place = step * o if align_corners or mode == NEAREST else step * (o + F(0.5)) - F(0.5)
    if mode != CUBIC:
        place = np.maximum(place, 0)
    index = np.minimum(_floor(place + F(0.5) if mode == NEAREST_EXACT else place), size - 1)
    rest = np.clip(place - index.astype(F), 0, 1)
    if mode in (NEAREST, NEAREST_EXACT):
        taps[0], weights[0] = index, 1
    elif mode == LINEAR:
        if size == O:
            index, rest = np.arange(O), F(0)
        taps[0], taps[1] = index, np.minimum(index + (size != O), size - 1)
        weights[0], weights[1] = 1 - rest, rest
    else:
        for k, distance in enumerate((rest + 1, rest, 1 - rest, (1 - rest) + 1)):
            taps[k], weights[k] = np.clip(index + (k - 1), 0, size - 1), _cubic(distance, F(-0.75))
