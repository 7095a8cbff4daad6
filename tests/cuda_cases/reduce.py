"""Reductions of the middle dimension: rows and columns, short, and long enough for chunks."""

import numpy as np
from helpers import poison

from . import SIMULATED, case

SHAPES = ((3, 5, 1), (2, 40, 1), (1, 100, 1), (2, 3, 3), (1, 70, 2), (0, 3, 2), (2, 0, 3), (2, 0, 1), (40, 1, 1))
if not SIMULATED:
    # whole blocks to a row, rows and columns in chunks, many columns
    SHAPES = (*SHAPES, (3, 5000, 1), (2, 40000, 1), (2, 5000, 3), (1, 40, 40000), (3, 900, 65))


def cases(rng, dtype):
    for O, R, I in SHAPES:
        x = rng.standard_normal((O, R, I)).astype(dtype)
        dy, dx = rng.standard_normal((O, I)).astype(dtype), poison((O, R, I), dtype)
        whole = rng.integers(-9, 9, (O, R, I))
        near = (1 + x / (8 + R)).astype(dtype)
        for name in ("sum", "prod"):
            yield case(f"reduce.{name}_forward", poison((O, I), dtype), near)
            yield case(f"reduce.{name}_forward", poison((O, I), np.int64), whole)
        yield case("reduce.sum_forward", poison((O, I), np.uint8), whole.astype(np.uint8))
        if R:
            yield case("reduce.mean_forward", poison((O, I), dtype), x)
        for odds in (0.0, 0.1, 1.0):
            some = rng.random((O, R, I)) < odds
            yield case("reduce.any_forward", poison((O, I), bool), some)
            yield case("reduce.all_forward", poison((O, I), bool), ~some)
        yield case("reduce.count_forward", poison(1, np.int64), whole.reshape(-1) > 0)
        yield case("reduce.cumsum_forward", dx, x)
        yield case("reduce.cumsum_forward", poison((O, R, I), np.int64), whole)
        yield case("reduce.cumsum_backward", dx, x)
        yield case("reduce.sum_backward", dx, dy)
        yield case("reduce.mean_backward", dx, dy)
        for zeros in range(3 if R < 10 else 0):
            near[:, : min(R, zeros)] = 0
            yield case("reduce.prod_backward", dx, dy, near.copy())
    # what is infinite or large takes nothing from the sums before it
    for large in (np.inf, 1e30):
        x = np.ones((2, 70, 1), dtype)
        x[:, 33:] = large
        for end in (34, 70):
            y = poison((2, end, 1), dtype)
            yield case("reduce.cumsum_forward", y, x[:, :end].copy(), name="large")
            yield case("reduce.cumsum_backward", y, x[:, end - 1 :: -1].copy(), name="large")
