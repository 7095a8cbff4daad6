"""Order along the last dimension: equals, rows of one tile and of several."""

import numpy as np
from helpers import poison

from . import SIMULATED, case


def cases(rng, dtype):
    for N, R in ((3, 5), (2, 37), (1, 16), (5, 1), (0, 4), (3, 0)):
        few = rng.integers(-2, 3, (N, R))
        for x in (few.astype(dtype) / 2, rng.standard_normal((N, R)).astype(dtype)):
            for descending in (False, True):
                yield case("sort.sort_forward", poison(x.shape, dtype), poison(x.shape, np.int64), x, descending)
                for K in sorted({0, min(1, R), min(2, R), R}):
                    out = poison((N, K), dtype), poison((N, K), np.int64)
                    yield case("sort.topk_forward", *out, x, descending)
    for other in (np.int64, np.int32, np.uint8, np.bool_):
        x = rng.integers(-5, 5, (2, 19)).astype(other)
        yield case("sort.sort_forward", poison(x.shape, other), poison(x.shape, np.int64), x, False)
    x = rng.integers(-(2**62), 2**62, (2, 19))
    yield case("sort.topk_forward", poison((2, 2), np.int64), poison((2, 2), np.int64), x, True)
    if not SIMULATED:
        # several tiles of 2048
        x = rng.integers(-999, 999, (3, 9001)).astype(dtype)
        for K in (9001, 700, 50):
            yield case("sort.topk_forward", poison((3, K), dtype), poison((3, K), np.int64), x, True)
