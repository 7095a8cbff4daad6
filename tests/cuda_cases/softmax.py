"""Softmax, softmin and log-softmax: lines of one chunk and of several, contiguous and side by side."""

import numpy as np
from helpers import poison

from . import case

# (O, C, I): nothing; part of a warp; a block, in vectors and one by one; chunks that are kept, and that are not; across
SHAPES = [
    (0, 3, 1),
    (3, 0, 2),
    (5, 3, 1),
    (3, 24, 1),
    (2, 40, 1),
    (2, 29, 1),
    (1, 200, 1),
    (1, 99, 1),
    (2, 3, 5),
    (1, 7, 3),
]
SHAPES += [(1, 40, 3)]


def cases(rng, dtype):
    for name in ("softmax", "softmin", "log_softmax"):
        for shape in SHAPES if name != "softmin" else SHAPES[2:4]:
            x, dy = (3 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
            yield case(f"softmax.{name}_forward", poison(shape, dtype), x)
            y = np.exp(x - x.max(1, keepdims=True, initial=-np.inf))
            y /= y.sum(1, keepdims=True)
            yield case(f"softmax.{name}_backward", poison(shape, dtype), dy, np.log(y) if "log" in name else y)
    for values in ([-np.inf, 1.0], [-np.inf, -1e30, *[-np.inf] * 70, 2.0]):
        x = np.array(values, dtype).reshape(1, -1, 1)
        yield case("softmax.softmax_forward", poison(x.shape, dtype), x, name="infinite")
