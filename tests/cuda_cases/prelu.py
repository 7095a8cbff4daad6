"""Rectifiers with slopes that are data."""

import numpy as np
from helpers import poison

from . import case


def cases(rng, dtype):
    none = np.empty(0, dtype)
    for shape in ((4, 3, 9), (5, 1, 6), (20, 6, 1), (3, 4, 2), (0, 3, 2), (2, 3, 0), (70, 1, 1)):
        x, dy = rng.standard_normal((2, *shape)).astype(dtype)
        w = rng.uniform(0.1, 0.5, shape[1]).astype(dtype)
        yield case("prelu.prelu_forward", poison(shape, dtype), x, w)
        for accumulate in (False, True):
            dw = rng.standard_normal(shape[1]).astype(dtype)
            yield case("prelu.prelu_backward", poison(shape, dtype), dw, dy, x, w, accumulate, tol=1e-5)
    yield case("prelu.prelu_backward", none, dw, dy, x, w, False, tol=1e-5)
    yield case("prelu.prelu_backward", poison(shape, dtype), none, dy, x, w, False)
    yield from _rrelu(rng, dtype)


def _rrelu(rng, dtype):
    x, dy, slope = rng.standard_normal((3, 70)).astype(dtype)
    yield case("prelu.rrelu_forward", poison(70, dtype), x, slope)
    yield case("prelu.rrelu_backward", poison(70, dtype), dy, x, slope)


def half_cases(rng, dtype):
    for shape in ((20, 6, 1), (4, 3, 9)):
        x, dy = rng.standard_normal((2, *shape)).astype(dtype)
        w, dw = rng.uniform(0.1, 0.5, (2, shape[1])).astype(dtype)
        yield case("prelu.prelu_forward", poison(shape, dtype), x, w)
        yield case("prelu.prelu_backward", poison(shape, dtype), dw, dy, x, w, True)
    yield from _rrelu(rng, dtype)
