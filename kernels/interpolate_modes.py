"""Codes of the ways to resample, and how many elements each looks at."""

import math

NEAREST, NEAREST_EXACT, LINEAR, CUBIC, LINEAR_ANTIALIAS, CUBIC_ANTIALIAS = range(6)
TAPS = {NEAREST: 1, NEAREST_EXACT: 1, LINEAR: 2, CUBIC: 4}
# half the width of a filter that is as wide as the steps between results are
HALF = {LINEAR_ANTIALIAS: 1, CUBIC_ANTIALIAS: 2}


def taps_of(mode, size, count, scale, align_corners):
    """The most elements that one of `count` results looks at; arguments as of interpolate_taps_forward."""
    if mode in TAPS:
        return TAPS[mode]
    if align_corners:
        step = (size - 1) / (count - 1) if count > 1 else 0.0
    else:
        step = 1 / scale if scale > 0 else size / max(1, count)
    return 2 * math.ceil(HALF[mode] * max(1.0, step)) + 1
