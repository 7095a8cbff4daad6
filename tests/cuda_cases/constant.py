"""Arithmetic and comparisons between an array and one number."""

import numpy as np
from helpers import poison
from hotloop.kernels.formulas import COMPARISON, CONSTANT

from . import case

N = 70
# integers are compared with a float64
DOUBLE = {f"_number_{name}" for name in COMPARISON}


def cases(rng, dtype):
    x, dy = rng.uniform(-2, 2, (2, N)).astype(dtype)
    whole = rng.integers(-5, 6, 12)
    for name, (_, gradient) in CONSTANT.items():
        given = np.abs(x) if name in ("pow", "rpow", "div", "rdiv") else x
        given = given + dtype.type(0.25)
        yield case(f"constant.{name}_forward", poison(N, dtype), given, 1.5, tol=1e-5)
        for value in (2.0, 3.0) if name == "pow" else ():
            yield case("constant.pow_forward", poison(N, dtype), x, value)
        if name not in ("div", "rdiv", "pow", "rpow"):  # they are computed in float64
            yield case(f"constant.{name}_forward", poison(12, np.int64), whole, 3.0, name="int")
        if gradient:
            for value in (1.5, 0.0, *((2.0, 3.0) if name == "pow" else ())):
                yield case(f"constant.{name}_backward", poison(N, dtype), dy, given, value, tol=1e-5)
    for name in COMPARISON:
        yield case(f"constant.{name}_forward", poison(N, np.bool_), x, 0.5)
        yield case(f"constant.{name}_forward", poison(12, np.bool_), whole, 2.5, name="int")
    yield case("constant.mul_forward", poison((0, 4), dtype), x[:0].reshape(0, 4), 2.0)


def half_cases(rng, dtype):
    x, dy = rng.uniform(0.5, 2, (2, N)).astype(dtype)
    for name in ("add", "mul", "rdiv", "maximum"):
        yield case(f"constant.{name}_forward", poison(N, dtype), x, 1.3)
    yield case("constant.rdiv_backward", poison(N, dtype), dy, x, 1.5)
    yield case("constant.gt_forward", poison(N, np.bool_), x, 1.0)
