"""Bags of rows: sums, means, maxima and their gradients, on every backend."""

import numpy as np
import pytest
from helpers import absent, agree, finite_difference, poison, same
from hotloop.kernels import cpu, ref, threads

SUM, MEAN, MAX = 0, 1, 2
NONE = absent(np.int64)

# rows, columns, ids, bags, offsets: empty bags first, last and between, ends that are given, and what lies behind
CASES = {
    "equal": (9, 17, 40, 8, NONE),
    "offsets": (9, 130, 41, 6, np.array([0, 0, 7, 7, 30, 41])),
    "end": (5, 3, 20, 3, np.array([0, 4, 4, 20])),
    "rest": (5, 3, 20, 3, np.array([0, 4, 4, 17])),
    "one": (65, 300, 500, 1, np.array([0])),
    "many": (3000, 5, 400, 100, np.arange(100) * 4),
    "no ids": (4, 3, 0, 2, np.array([0, 0])),
    "no bags": (4, 3, 0, 0, NONE),
    "no bags, ids": (4, 3, 2, 0, np.array([0])),
    "no columns": (4, 0, 6, 2, NONE),
}
MODES = [SUM, MEAN, MAX]


def draw(rng, dtype, case):
    """The table, ids of which many come again, and gradients of the bags."""
    V, D, K, B, offsets = CASES[case]
    w, dy = rng.standard_normal((V, D)).astype(dtype), rng.standard_normal((B, D)).astype(dtype)
    return w, dy, rng.integers(0, V, K) // 2 * 2, offsets


@pytest.mark.parametrize("mode", MODES, ids=["sum", "mean", "max"])
@pytest.mark.parametrize("case", CASES)
def test_embedding_bag(backend, dtype, rng, case, mode):
    w, dy, ids, offsets = draw(rng, dtype, case)
    for padding in (-1, 2):
        largest = poison(dy.shape if mode == MAX else 0, np.int64)
        y, nothing = poison(dy.shape, dtype), absent(dtype)
        largest = agree(
            backend, "embedding_bag.embedding_bag_forward", y, largest, w, ids, offsets, nothing, mode, padding
        )[1]
        agree(backend, "embedding_bag.embedding_bag_forward", y, NONE, w, ids, offsets, nothing, mode, padding)
        for by_frequency in {False, mode != MAX}:
            for dw, accumulate in ((poison(w.shape, dtype), False), (w, True)):
                args = dw, nothing, dy, w, ids, offsets, nothing, largest, mode, padding, by_frequency, accumulate
                agree(backend, "embedding_bag.embedding_bag_backward", *args)


@pytest.mark.parametrize("case", CASES)
def test_weights(backend, dtype, rng, case):
    w, dy, ids, offsets = draw(rng, dtype, case)
    weights = rng.standard_normal(ids.size).astype(dtype)
    agree(
        backend, "embedding_bag.embedding_bag_forward", poison(dy.shape, dtype), NONE, w, ids, offsets, weights, SUM, 2
    )
    for dw in (poison(w.shape, dtype), absent(dtype)):
        args = dw, poison(ids.size, dtype), dy, w, ids, offsets, weights, NONE, SUM, 2, False, False
        agree(backend, "embedding_bag.embedding_bag_backward", *args)


@pytest.mark.parametrize("mode", [SUM, MEAN], ids=["sum", "mean"])
@pytest.mark.parametrize("case", CASES)
def test_rows_of_the_gradient(backend, dtype, rng, case, mode):
    w, dy, ids, offsets = draw(rng, dtype, case)
    weights = rng.standard_normal(ids.size).astype(dtype) if mode == SUM else absent(dtype)
    rows, values, count = poison(ids.size, np.int64), poison((ids.size, w.shape[1]), dtype), poison(1, np.int64)
    options = ids, offsets, weights
    backend("embedding_bag.embedding_bag_rows_backward", rows, values, count, dy, *options, w.shape[0], mode, 2)
    n, dense = int(count[0]), poison(w.shape, dtype)
    backend(
        "embedding_bag.embedding_bag_backward",
        *(dense, absent(dtype), dy, w, *options, NONE, mode, 2, False, False),
    )
    assert (np.diff(rows[:n]) > 0).all() and 2 not in rows[:n]
    rest = np.setdiff1d(np.arange(w.shape[0]), rows[:n])
    assert same(values[:n], dense[rows[:n]]) and not dense[rest].any()


@pytest.mark.parametrize("mode", MODES, ids=["sum", "mean", "max"])
def test_by_finite_differences(rng, mode):
    w, ids, offsets = rng.standard_normal((5, 3)), rng.integers(0, 5, 12), np.array([0, 5, 5, 9])
    weights = rng.standard_normal(12) if mode == SUM else np.empty(0)
    y, dy = np.empty((4, 3)), rng.standard_normal((4, 3))
    largest = np.empty((4, 3) if mode == MAX else 0, np.int64)

    def loss():
        ref.embedding_bag.embedding_bag_forward(y, largest, w, ids, offsets, weights, mode, 1)
        return (y * dy).sum()

    wanted = finite_difference(loss, w), finite_difference(loss, weights)
    loss()
    dw, dweights = np.empty_like(w), np.empty_like(weights)
    args = dw, dweights, dy, w, ids, offsets, weights, largest, mode, 1, False, False
    ref.embedding_bag.embedding_bag_backward(*args)
    for got, want in zip((dw, dweights), wanted, strict=True):
        # row 1 is padding: it counts neither forward nor backward
        np.testing.assert_allclose(got, want, atol=1e-9)


def test_a_maximum_of_nan_is_nan(backend, dtype):
    w = np.zeros((3, 40), dtype)
    w[0, 3] = w[2, 5] = np.nan
    for ids in ([0, 1, 2], [2, 1, 0]):
        for largest in (poison((1, 40), np.int64), NONE):
            y = poison((1, 40), dtype)
            backend("embedding_bag.embedding_bag_forward", y, largest, w, np.array(ids), NONE, absent(dtype), MAX, -1)
            assert np.flatnonzero(np.isnan(y[0])).tolist() == [3, 5]
            if largest.size:
                assert (largest[0, 3], largest[0, 5]) == (0, 2)


REFUSALS = {
    "begin": (np.array([1, 2]), MEAN, "first to be 0"),
    "descends": (np.array([0, 3, 2]), MEAN, "not to descend"),
    "beyond": (np.array([0, 5]), MEAN, "no more than there are ids"),
    "too many": (np.array([0, 1, 2, 3]), MEAN, "one a bag"),
    "too few": (np.array([0]), MEAN, "one a bag"),
    "unequal": (NONE, MEAN, "as many in each bag"),
    "mode": (np.array([0, 3]), 3, "mode: expected"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(backend, name):
    offsets, mode, match = REFUSALS[name]
    y, w, ids, nothing = np.ones((2, 3)), np.ones((4, 3)), np.arange(3), np.empty(0)
    with pytest.raises(ValueError, match=match):
        backend("embedding_bag.embedding_bag_forward", y, NONE, w, ids, offsets, nothing, mode, -1)
    with pytest.raises(ValueError, match=match):
        path = "embedding_bag.embedding_bag_backward"
        backend(path, w, nothing, y, w * 1, ids, offsets, nothing, NONE, mode, -1, False, False)
    # on CUDA what is in range moves: what is wrong is told afterwards
    assert backend.name == "cuda" or ((y == 1).all() and (w == 1).all())


def test_ids_and_weights_are_refused(backend):
    y, w, offsets, nothing = np.ones((2, 3)), np.ones((4, 3)), np.array([0, 2]), np.empty(0)
    for bad in (4, -1):
        words = "id is out" if backend.name == "cuda" else rf"id {bad} is out of range: expected 0 \.\. 3"
        with pytest.raises(IndexError, match=words):
            ids = np.array([0, bad, 1])
            backend("embedding_bag.embedding_bag_forward", y, NONE, w, ids, offsets, nothing, MEAN, -1)
    with pytest.raises(ValueError, match="for the mode sum only"):
        ids = np.arange(3)
        backend("embedding_bag.embedding_bag_forward", y, NONE, w, ids, offsets, np.ones(3), MEAN, -1)
    with pytest.raises(IndexError, match="id is out" if backend.name == "cuda" else "id 4"):
        largest = np.full((2, 3), 4)
        path = "embedding_bag.embedding_bag_backward"
        backend(path, w, nothing, y, w * 1, np.arange(3), offsets, nothing, largest, MAX, -1, False, True)
    # on CUDA what is in range moves: what is wrong is told afterwards
    assert backend.name == "cuda" or ((y == 1).all() and (w == 1).all())


@pytest.mark.parametrize("mode", MODES, ids=["sum", "mean", "max"])
def test_bits_do_not_depend_on_threads(rng, mode):
    V, D, K, B = 900, 300, 6000, 100
    w, dy = rng.standard_normal((V, D)).astype(np.float32), rng.standard_normal((B, D)).astype(np.float32)
    ids, offsets = rng.integers(0, V, K), np.sort(rng.integers(0, K, B))
    offsets[0] = 0
    nothing = absent()
    before = threads.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            y, dw, largest = np.empty_like(dy), np.empty_like(w), np.empty((B, D) if mode == MAX else 0, np.int64)
            cpu.embedding_bag.embedding_bag_forward(y, largest, w, ids, offsets, nothing, mode, -1)
            args = dw, nothing, dy, w, ids, offsets, nothing, largest, mode, -1, False, False
            cpu.embedding_bag.embedding_bag_backward(*args)
            results.append((y, dw))
    finally:
        threads.set_num_threads(before)
    assert all(same(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
