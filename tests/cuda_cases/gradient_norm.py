"""Norms of gradients, and what is clipped by them."""

import numpy as np

from . import case

# a norm is a float64, and its sums are
DOUBLE = {"_squares", "_sizes", "_counts", "_powers", "_add_up", "_extremes", "_root", "_scale", "_clip"}


def cases(rng, dtype):
    for n in (130, 7, 0):
        x = rng.standard_normal(n).astype(dtype)
        x[::5] = 0
        for p in (2.0, 1.0, 0.0, 3.0, np.inf, -np.inf):
            yield case("gradient_norm.gradient_norm_forward", np.array([0.5]), x, p)
    for p in (2.0, 3.0, 0.0, np.inf):
        yield case("gradient_norm.gradient_norm_root_forward", np.full(1, np.nan), np.array([5.0]), p)
    for norm in (0.5, 7.0):
        yield case("gradient_norm.gradient_scale_forward", np.full(1, np.nan), np.array([norm]), 2.0)
        for n in (0, 5, 70):
            x = rng.standard_normal(n).astype(dtype)
            yield case("gradient_norm.gradient_clip_forward", x, np.array([norm]), 2.0)
