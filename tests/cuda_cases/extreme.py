"""Largest and smallest: equals, and rows and columns long enough for chunks."""

import numpy as np
from helpers import absent, poison

from . import case
from .reduce import SHAPES


def cases(rng, dtype):
    none = absent(np.int64).reshape(0, 0)
    for O, R, I in SHAPES:
        if R == 0 and O * I:
            continue
        # few values: many equals
        x = rng.integers(-3, 4, (O, R, I)).astype(dtype)
        dy, dx = rng.standard_normal((O, I)).astype(dtype), poison((O, R, I), dtype)
        for name in ("max", "min"):
            path = f"extreme.{name}_forward"
            yield case(path, poison((O, I), dtype), poison((O, I), np.int64), x)
            yield case(path, poison((O, I), dtype), none, x)
            yield case(path, poison((O, I), np.int64), poison((O, I), np.int64), x.astype(np.int64))
            yield case("extreme.amax_backward", dx, dy, x, getattr(x, name)(1) if R else dy)
        yield case("extreme.max_backward", dx, dy, x.argmax(1) if R else np.zeros((O, I), np.int64))
        few = x > 1
        yield case("extreme.max_forward", poison((O, I), bool), poison((O, I), np.int64), few)
        yield case("extreme.min_forward", poison((O, I), np.uint8), none, few.astype(np.uint8))
