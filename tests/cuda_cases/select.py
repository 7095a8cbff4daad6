"""Choosing and bounding elements."""

import numpy as np
from helpers import poison

from . import case

N = 70


def cases(rng, dtype):
    a, b, dy = rng.standard_normal((3, N)).astype(dtype)
    condition, none = rng.random(N) < 0.5, np.empty(0, dtype)
    yield case("select.where_forward", poison(N, dtype), condition, a, b)
    yield case("select.where_forward", poison(N, np.bool_), condition, a > 0, b > 0, name="bool")
    yield case("select.where_forward", poison(0, dtype), condition[:0], a[:0], b[:0])
    for da, db in ((poison(N, dtype), poison(N, dtype)), (poison(N, dtype), none), (none, poison(N, dtype))):
        yield case("select.where_backward", da, db, dy, condition)
    yield case("select.masked_fill_forward", poison(N, dtype), a, condition, -3.25)
    yield case("select.masked_fill_forward", poison(N, np.int64), np.arange(N), condition, -3.0, name="int")
    yield from _maps(a, b, dy)
    for shape in ((2, 5, 7), (1, 8, 8), (3, 1, 1), (1, 0, 4)):
        x = rng.standard_normal(shape).astype(dtype)
        for diagonal in (0, 2, -3, 100):
            yield case("select.tril_forward", poison(shape, dtype), x, diagonal)
            yield case("select.triu_forward", poison(shape, dtype), x, diagonal)


def _maps(a, b, dy):
    n, dtype = a.size, a.dtype
    for low, high in ((-0.5, 0.75), (-np.inf, 0.25), (0.5, -0.5)):
        yield case("select.clamp_forward", poison(n, dtype), a, low, high)
        yield case("select.clamp_backward", poison(n, dtype), dy, a, low, high)
    yield case("select.lerp_forward", poison(n, dtype), a, b, 0.3)


def half_cases(rng, dtype):
    a, b, dy = rng.standard_normal((3, N)).astype(dtype)
    condition = rng.random(N) < 0.5
    yield case("select.where_forward", poison(N, dtype), condition, a, b)
    yield case("select.where_backward", poison(N, dtype), poison(N, dtype), dy, condition)
    yield case("select.masked_fill_forward", poison(N, dtype), a, condition, 0.3)
    yield from _maps(a, b, dy)
    yield case("select.tril_forward", poison((2, 3, 5), dtype), a[:30].reshape(2, 3, 5), 0)
