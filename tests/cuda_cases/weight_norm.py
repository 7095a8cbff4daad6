"""Weights as a direction and a length: slices of one line and of many, or all of them one."""

import numpy as np
from helpers import absent, poison

from . import case

# sums in float64, as on the CPU
DOUBLE = {"_dots", "_lengths", "_weight_gradients", "_gather_slices", "_no_lengths", "_no_slopes"}
# (O, R, I)
SHAPES = [(0, 3, 2), (1, 5, 24), (1, 3, 13), (5, 3, 1), (9, 3, 1), (2, 3, 7), (1, 1, 264), (1, 2, 132)]


def cases(rng, dtype):
    for shape in SHAPES:
        v, dw, dv = rng.standard_normal((3, *shape)).astype(dtype)
        g, dg = rng.uniform(0.5, 2, (2, shape[1])).astype(dtype)
        norm, nothing = np.sqrt((v.astype(np.float64) ** 2).sum((0, 2))), absent(dtype)
        yield case("weight_norm.weight_norm_forward", poison(shape, dtype), norm, v, g)
        path = "weight_norm.weight_norm_backward"
        if not v.size:
            yield case(path, nothing, dg, dw, v, g, norm + 1, True)
        else:
            yield case(path, dv, dg, dw, v, g, norm, True)
            yield case(path, dv, nothing, dw, v, g, norm, False)
            yield case(path, nothing, dg, dw, v, g, norm, False)
