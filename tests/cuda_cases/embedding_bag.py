"""Bags of rows: with and without offsets, weights and padding; empty bags, and ids that are in none."""

import numpy as np
from helpers import absent, poison

from . import SIMULATED, case

SHAPES = ((3, 4, 2, 12), (2, 5, 9, 7), (4, 3, 3, 0), (0, 3, 3, 0))
if not SIMULATED:
    SHAPES = (*SHAPES, (60, 50, 33, 6000))


def bags_of(rng, dtype, shapes):
    none, no_ids = absent(dtype), absent(np.int64)
    for bags, V, D, K in shapes:
        w, dy = rng.standard_normal((V, D)).astype(dtype), rng.standard_normal((bags, D)).astype(dtype)
        indices, weights = rng.integers(0, V, K), rng.standard_normal(K).astype(dtype)
        cuts = np.sort(rng.integers(0, K + 1, max(0, bags - 1)))
        begins = np.concatenate([[0], cuts])[:bags]
        every = (begins, np.concatenate([begins, [max(0, K - 2)]])) if bags else (no_ids,)
        if bags and every[1][-1] < begins[-1]:
            every = every[:1]
        if bags and K % bags == 0:
            every = (*every, no_ids)
        for offsets in every:
            for mode, factors, paddings in ((0, weights, (1,)), (0, none, (-1,)), (1, none, (-1, 1)), (2, none, (1,))):
                for padding in paddings:
                    y, largest = poison((bags, D), dtype), poison((bags, D), np.int64)
                    path = "embedding_bag.embedding_bag_forward"
                    yield case(path, y, largest, w, indices, offsets, factors, mode, padding)
                    yield case(path, y, no_ids.reshape(0, 0), w, indices, offsets, factors, mode, padding)
                    largest = rng.integers(-1, V, (bags, D))
                    dweights = poison(K if mode == 0 else 0, dtype)
                    args = (dy, w, indices, offsets, factors, largest, mode, padding)
                    path = "embedding_bag.embedding_bag_backward"
                    yield case(path, w, dweights, *args, mode != 2, False)
                    yield case(path, w, none, *args, False, True)
                    if mode == 0:
                        yield case(path, none.reshape(0, 0), dweights, *args, False, False)
                if mode < 2 and offsets.size != bags + 1 and K <= 12:
                    distinct = rng.permutation(2 * K)[:K]
                    out = poison(K, np.int64), poison((K, D), dtype), poison(1, np.int64)
                    path = "embedding_bag.embedding_bag_rows_backward"
                    yield case(path, *out, dy, distinct, offsets, factors, 2 * K, mode, -1)


def cases(rng, dtype):
    yield from bags_of(rng, dtype, SHAPES)


def half_cases(rng, dtype):
    yield from bags_of(rng, dtype, SHAPES[:1])
