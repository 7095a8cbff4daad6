"""Copies, fills and arithmetic."""

import numpy as np
from helpers import poison

from . import case

DOUBLE = {"_fill", "_arange", "_copy"}  # numbers given as Python's


def cases(rng, dtype):
    a, b = rng.standard_normal((3, 7)).astype(dtype) * 9, rng.standard_normal((3, 7)).astype(dtype)
    for op in ("add", "sub", "mul"):
        yield case(f"elementwise.{op}_forward", poison(a.shape, dtype), a, b)
    yield case("elementwise.mul_backward", poison(a.shape, dtype), poison(a.shape, dtype), a, b, a)
    for other in (np.float32, np.float64, np.int64, np.uint8):
        yield case("elementwise.copy_forward", poison(a.shape, other), np.abs(a))
        yield case("elementwise.fill_forward", poison((2, 3), other), 3.0)
    yield case("elementwise.arange_forward", poison(9, dtype), 1.0, 0.5)
