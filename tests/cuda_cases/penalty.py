"""The elastic-net penalty."""

import numpy as np
from helpers import poison

from . import case

# its sums are made in float64
DOUBLE = {"_penalty", "_add_up"}


def cases(rng, dtype):
    for n in (130, 7, 0):
        w = rng.standard_normal(n).astype(dtype)
        yield case("penalty.penalty_forward", poison(1, dtype), w, 0.3, 0.7)
        w[: n // 3] = 0
        for accumulate in (False, True):
            dw = rng.standard_normal(n).astype(dtype)
            dvalue = np.array([1.5], dtype)
            yield case("penalty.penalty_backward", dw, dvalue, w, 0.3, 0.7, accumulate)


def half_cases(rng, dtype):
    w, dw = rng.standard_normal((2, 70)).astype(dtype)
    for accumulate in (False, True):
        yield case("penalty.penalty_backward", dw, np.array([1.5], dtype), w, 0.3, 0.7, accumulate)
