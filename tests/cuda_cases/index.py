"""Reading and writing at positions, some of them negative, many of them twice."""

import numpy as np
from helpers import poison

from . import SIMULATED, case

SHAPES = (
    (1, 4, 13, 1),
    (2, 5, 3, 3),
    (1, 3, 17, 2),
    (9, 4, 7, 2),
    (3, 2, 0, 2),
    (0, 3, 2, 1),
    (2, 4, 1, 4),
    (1, 1, 9, 8),
)
if not SIMULATED:
    # a sort of several tiles; many columns
    SHAPES = (*SHAPES, (1, 30, 9000, 2), (3, 20, 70, 12000))


def cases(rng, dtype):
    for O, R, K, I in SHAPES:
        indices = rng.integers(-R, R, K)
        own = rng.integers(-R, R, (O, K, I))
        for kind in (dtype, np.dtype(np.int64)) if I < 4 else (dtype,):
            x, dy = (rng.standard_normal((O, n, I)) * 9 for n in (R, K))
            x, dy = x.astype(kind), dy.astype(kind)
            out = poison(dy.shape, kind)
            yield case("index.select_forward", out, x, indices)
            yield case("index.gather_forward", out, x, own)
            for accumulate in (False, True):
                yield case("index.put_forward", x, dy, indices, accumulate)
                yield case("index.scatter_forward", x, dy, own, accumulate)
                if kind == dtype:
                    yield case("index.select_backward", x, dy, indices, accumulate)
                    yield case("index.gather_backward", x, dy, own, accumulate)
            if O == 1:
                yield case("index.gather_rows_forward", out[0], x[0], indices)
    for other in (np.uint8, np.int32, np.bool_):
        x = rng.integers(0, 2, (5, 3)).astype(other)
        yield case("index.gather_rows_forward", poison((7, 3), other), x, rng.integers(-5, 5, 7))
        yield case("index.one_hot_forward", poison((6, 3), other), rng.integers(0, 3, 6))
        yield case("index.put_forward", x[None].copy(), x[None, :4], rng.integers(-5, 5, 4), False)
    yield case("index.one_hot_forward", poison((0, 3), dtype), np.zeros(0, np.int64))
    yield case("index.one_hot_forward", poison((3, 40), dtype), np.array([39, 0, 7]))
    y, at = rng.integers(0, 9, (3, 5)), rng.integers(-4, 4, (3, 5))
    yield case("index.offsets_forward", y, at, 4, 10)
    for n, odds in ((0, 0.5), (1, 1.0), (90, 0.3), (90, 0.0), (90, 1.0)) + ((100000, 0.5),) * (not SIMULATED):
        x = rng.random(n) < odds
        yield case("index.nonzero_forward", poison(x.sum(), np.int64), x)
