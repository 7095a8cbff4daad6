"""Functions of one array."""

import numpy as np
from helpers import poison
from hotloop.kernels.formulas import UNARY
from hotloop.kernels.ref import unary as ref

from . import case

# more than a block; a block has 8 threads with two vectors of four in the simulator
N = 70
# what is defined for integers as well
ANY = ("neg", "abs", "sign", "square")
# libdevice reduces large angles in float64
DOUBLE = {"_sin", "_sin_gradient", "_cos", "_cos_gradient", "_tan"}


def cases(rng, dtype):
    x, dy = rng.standard_normal((2, N)).astype(dtype)
    positive = np.abs(x) + dtype.type(0.25)
    for name, (_, gradient, kept) in UNARY.items():
        given = positive if name in ("sqrt", "rsqrt", "log", "log2", "log10", "log1p") else x
        yield case(f"unary.{name}_forward", poison(N, dtype), given)
        if gradient:
            y = poison(N, np.float64)
            getattr(ref, f"{name}_forward")(y, given.astype(np.float64))
            yield case(f"unary.{name}_backward", poison(N, dtype), dy, given if kept == "x" else y.astype(dtype))
    yield case("unary.exp_forward", poison(0, dtype), x[:0])
    for name in ANY:
        yield case(f"unary.{name}_forward", poison((3, 3), np.int64), rng.integers(-3, 3, (3, 3)), name="int")


def half_cases(rng, dtype):
    x, dy = rng.uniform(0.5, 2, (2, N)).astype(dtype)
    for name in ("neg", "exp"):
        yield case(f"unary.{name}_forward", poison(N, dtype), x)
    yield case("unary.tanh_backward", poison(N, dtype), dy, np.tanh(x))
