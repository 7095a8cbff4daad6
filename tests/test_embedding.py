"""Tables of rows by id: look-ups, gradients of rows, norms of rows, on every backend."""

import numpy as np
import pytest
from helpers import agree, poison, same
from hotloop.kernels import cpu, threads

# rows, columns, how many ids
CASES = [(1, 1, 1), (7, 3, 0), (0, 3, 0), (5, 0, 4), (9, 17, 40), (3, 300, 61), (65, 128, 500), (5000, 5, 33)]


def draw(rng, V, K):
    """Ids that come several times, and some that never do."""
    return rng.integers(0, max(1, V), K) // 2 * 2 % max(1, V)


@pytest.mark.parametrize("V, D, K", CASES, ids=str)
def test_embedding(backend, dtype, rng, V, D, K):
    w, dy, ids = rng.standard_normal((V, D)).astype(dtype), rng.standard_normal((K, D)).astype(dtype), draw(rng, V, K)
    agree(backend, "embedding.embedding_forward", poison((K, D), dtype), w, ids)
    for padding, by_frequency in ((-1, False), (2, False), (0, True)):
        options = padding, by_frequency
        agree(backend, "embedding.embedding_backward", poison((V, D), dtype), dy, ids, *options, False)
        agree(backend, "embedding.embedding_backward", w, dy, ids, *options, True)


@pytest.mark.parametrize("odd", [0, 1])
def test_gradients_that_no_cache_holds(rng, odd):
    """Zeros go past the caches; wherever the array begins."""
    V, D, ids = 70_001, 67, np.array([0, 3, 69_999, 3])
    dy, memory = rng.standard_normal((4, D)).astype(np.float32), poison(V * D + 32, np.float32)
    dw = memory[odd : odd + V * D].reshape(V, D)
    cpu.embedding.embedding_backward(dw, dy, ids, -1, False, False)
    assert np.flatnonzero(dw.any(1)).tolist() == [0, 3, 69_999]
    np.testing.assert_array_equal(dw[[0, 69_999]], dy[[0, 2]])
    assert np.isnan(memory[:odd]).all() and np.isnan(memory[odd + V * D :]).all()


@pytest.mark.parametrize("V, D, K", CASES, ids=str)
def test_rows_of_the_gradient(backend, dtype, rng, V, D, K):
    dy, ids = rng.standard_normal((K, D)).astype(dtype), draw(rng, V, K)
    for padding in (-1, 2):
        rows, values, count = poison(K, np.int64), poison((K, D), dtype), poison(1, np.int64)
        backend("embedding.embedding_rows_backward", rows, values, count, dy, ids, V, padding)
        n = int(count[0])
        assert rows[:n].tolist() == sorted(set(ids.tolist()) - {padding})
        dense = np.zeros((V, D), dtype)
        agree(backend, "embedding.embedding_backward", dense, dy, ids, padding, False, False)
        backend("embedding.embedding_backward", dense, dy, ids, padding, False, False)
        # the same sums in the same order
        assert same(values[:n], dense[rows[:n]])


@pytest.mark.parametrize("order", [2.0, 1.0, 3.5, np.inf, 0.0])
def test_renorm(backend, dtype, rng, order):
    for V, D, K in ((9, 17, 40), (3, 0, 2), (5, 1, 0), (700, 130, 90)):
        w, ids = rng.standard_normal((V, D)).astype(dtype), draw(rng, V, K)
        norms = np.linalg.norm(w, order, 1) if D else np.zeros(V)
        # half of the rows are too long; powers are of another library
        agree(backend, "embedding.embedding_renorm_update", w, ids, float(np.median(norms)), order, tol=1e-6)


# the arguments of each kernel, whose first writes; of 4 rows of 2
REFUSALS = {
    "embedding_forward": lambda out, ids: (out[:3], np.ones((4, 2)), ids),
    "embedding_backward": lambda out, ids: (out, np.ones((3, 2)), ids, -1, False, False),
    "embedding_rows_backward": lambda out, ids: (ids * 0, out[:3], ids[:1] * 0, np.ones((3, 2)), ids, 4, -1),
    "embedding_renorm_update": lambda out, ids: (out, ids, 0.1, 2.0),
}


@pytest.mark.parametrize("bad", [4, -1, 2**40, -(2**62)])
@pytest.mark.parametrize("name", REFUSALS)
def test_an_id_out_of_range_moves_nothing(backend, name, bad):
    out = np.ones((4, 2))
    # on CUDA what is in range moves: what is wrong is told afterwards, and not which
    cuda = backend.name == "cuda"
    with pytest.raises(IndexError, match="id is out" if cuda else rf"id {bad} is out of range: expected 0 \.\. 3"):
        backend(f"embedding.{name}", *REFUSALS[name](out, np.array([0, bad, 1])))
    assert cuda or (out == 1).all()


def test_ids_of_an_empty_table_are_refused(backend, dtype):
    with pytest.raises(IndexError):
        backend("embedding.embedding_forward", np.empty((1, 2), dtype), np.empty((0, 2), dtype), np.zeros(1, int))


@pytest.mark.parametrize("ids", ["one", "two", "many"])
def test_bits_do_not_depend_on_threads(rng, ids):
    """Whether all ids are the same one or hardly any two: a sum is made by one thread, in the order of the ids."""
    V, D, K = 900, 300, 3000
    ids = {"one": np.full(K, 7), "two": rng.integers(0, 2, K), "many": rng.integers(0, V, K)}[ids]
    dy, dw = rng.standard_normal((K, D)).astype(np.float32), rng.standard_normal((V, D)).astype(np.float32)
    before = threads.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3, 7):
            threads.set_num_threads(count)
            for accumulate in (False, True):
                out = dw.copy()
                cpu.embedding.embedding_backward(out, dy, ids, -1, False, accumulate)
                results.append(out)
    finally:
        threads.set_num_threads(before)
    for i, out in enumerate(results):
        assert same(out, results[i % 2])
