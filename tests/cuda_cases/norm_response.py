"""Local response norm: windows narrower than a block's run of channels, and wider than all of them."""

import numpy as np
from helpers import poison

from . import case


def cases(rng, dtype):
    for shape, size in (
        ((0, 3, 4), 2),
        ((2, 1, 5), 3),
        ((2, 7, 1), 1),
        ((1, 5, 6), 2),
        ((3, 4, 3), 5),
        ((1, 8, 2), 20),
    ):
        x, dy = (rng.standard_normal((2, *shape)) * 2).astype(dtype)
        scale = (1.5 + rng.random(shape)).astype(dtype)
        path = "norm_response.local_response_norm"
        yield case(f"{path}_forward", poison(shape, dtype), poison(shape, dtype), x, size, 0.7, 0.75, 1.5)
        # differences of two terms of like size
        tol = 8e-6 if dtype == np.float32 else 8e-14
        yield case(f"{path}_backward", poison(shape, dtype), dy, x, scale, size, 0.7, 0.75, tol=tol)
