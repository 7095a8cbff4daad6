"""Rotary positions: vectors and single numbers, whole rows and part of them, views of a projection."""

import numpy as np
from helpers import poison

from . import case

# (N, L, H, D), pairs
SHAPES = (((2, 3, 2, 16), 8), ((1, 5, 3, 12), 4), ((2, 3, 2, 7), 3), ((3, 2, 1, 5), 0), ((2, 0, 2, 4), 2))


def cases(rng, dtype):
    table = np.float32 if dtype.itemsize == 2 else dtype
    for shape, pairs in SHAPES:
        n, length, heads, width = shape
        x = rng.standard_normal((n, length, 2, heads, width)).astype(dtype)
        for samples in (1, n):
            angles = rng.uniform(-3, 3, (samples, length, pairs))
            tables = np.cos(angles).astype(table), np.sin(angles).astype(table)
            for interleaved in (False, True):
                for name in ("rotary_forward", "rotary_backward"):
                    yield case(f"rotary.{name}", poison(shape, dtype), x[:, :, samples % 2], *tables, interleaved)


half_cases = cases
