"""Rows of a table by id, and their gradients."""

import numpy as np
from helpers import poison

from . import SIMULATED, case

# norms of rows are made in float64
DOUBLE = {"_renorm"}
SHAPES = ((5, 8, 13), (7, 3, 23), (3, 1, 4), (4, 4, 0), (1, 2, 11))
if not SIMULATED:
    SHAPES = (*SHAPES, (50, 68, 9000))


def tables(rng, dtype):
    for V, D, K in SHAPES:
        indices = rng.integers(0, V, K)
        # one id in many chunks
        indices[K // 4 : K // 4 + 7] = V // 2
        w, dy = rng.standard_normal((V, D)).astype(dtype), rng.standard_normal((K, D)).astype(dtype)
        yield w, dy, indices


def half_cases(rng, dtype):
    for w, dy, indices in tables(rng, dtype):
        yield case("embedding.embedding_forward", poison(dy.shape, dtype), w, indices)
        for padding_idx in (-1, w.shape[0] // 2):
            for accumulate in (False, True):
                args = (w, dy, indices, padding_idx, not accumulate, accumulate)
                yield case("embedding.embedding_backward", *args)
        distinct = rng.permutation(max(1, 2 * len(indices)))[: len(indices)]
        rows, values, count = poison(len(indices), np.int64), poison(dy.shape, dtype), poison(1, np.int64)
        size = 2 * len(indices)
        yield case("embedding.embedding_rows_backward", rows, values, count, dy, distinct, size, -1)


def cases(rng, dtype):
    yield from half_cases(rng, dtype)
    for w, _, indices in tables(rng, dtype):
        for order in (2.0, 1.0, 0.0, 3.0, np.inf):
            yield case("embedding.embedding_renorm_update", w, indices, 1.5, order)
