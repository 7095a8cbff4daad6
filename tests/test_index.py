"""Reading and writing at positions, sorting: every backend."""

import numpy as np
import pytest
from helpers import agree, poison
from hotloop.kernels import ref

# (O, R, I) and how many positions
CASES = [
    ((1, 1, 1), 1),
    ((1, 9, 4), 6),
    ((3, 5, 1), 7),
    ((2, 6, 1030), 5),
    ((2, 4, 3), 0),
    ((0, 4, 3), 2),
    ((1, 500, 65), 300),
]


def draw(rng, shape, R):
    return rng.integers(-R, R, shape)


@pytest.mark.parametrize("shape, K", CASES, ids=str)
def test_select(backend, dtype, rng, shape, K):
    O, R, I = shape
    x, indices = rng.standard_normal(shape).astype(dtype), draw(rng, K, R)
    dy = rng.standard_normal((O, K, I)).astype(dtype)
    agree(backend, "index.select_forward", poison((O, K, I), dtype), x, indices)
    agree(backend, "index.select_backward", poison(shape, dtype), dy, indices, False)
    agree(backend, "index.select_backward", rng.standard_normal(shape).astype(dtype), dy, indices, True)
    for accumulate in (False, True):
        agree(backend, "index.put_forward", rng.standard_normal(shape).astype(dtype), dy, indices, accumulate)


@pytest.mark.parametrize("shape, K", CASES, ids=str)
def test_gather(backend, dtype, rng, shape, K):
    O, R, I = shape
    x, indices = rng.standard_normal(shape).astype(dtype), draw(rng, (O, K, I), R)
    dy = rng.standard_normal((O, K, I)).astype(dtype)
    agree(backend, "index.gather_forward", poison((O, K, I), dtype), x, indices)
    agree(backend, "index.gather_backward", poison(shape, dtype), dy, indices, False)
    agree(backend, "index.gather_backward", rng.standard_normal(shape).astype(dtype), dy, indices, True)
    for accumulate in (False, True):
        agree(backend, "index.scatter_forward", rng.standard_normal(shape).astype(dtype), dy, indices, accumulate)


@pytest.mark.parametrize(
    "kind", [np.float32, np.float64, np.int64, np.int32, np.uint8, bool], ids=lambda t: np.dtype(t).name
)
def test_rows_of_a_batch(backend, rng, kind):
    for R, D, K in [(7, 1, 3), (100, 785, 32), (5, 3, 0)]:
        x = rng.uniform(0, 200, (R, D)).astype(kind)
        agree(backend, "index.gather_rows_forward", poison((K, D), kind), x, draw(rng, K, R))


BAD = {
    "gather_rows": lambda i: (np.empty((3, 2)), np.ones((4, 2)), i),
    "select": lambda i: (np.empty((1, 3, 2)), np.ones((1, 4, 2)), i),
    "gather": lambda i: (np.empty((1, 3, 1)), np.ones((1, 4, 1)), i.reshape(1, 3, 1)),
    "put": lambda i: (np.empty((1, 4, 2)), np.ones((1, 3, 2)), i, True),
    "scatter": lambda i: (np.empty((1, 4, 1)), np.ones((1, 3, 1)), i.reshape(1, 3, 1), True),
    "offsets": lambda i: (np.zeros(3, np.int64), i, 4, 1),
    "one_hot": lambda i: (np.empty((3, 4), np.int64), i),
}


@pytest.mark.parametrize("bad", [4, -5, 2**40, -(2**62)])
@pytest.mark.parametrize("name", BAD)
def test_a_position_out_of_range_moves_nothing(backend, name, bad):
    args = BAD[name](np.array([0, bad, 1]))
    before = args[0].copy()
    with pytest.raises(IndexError):
        backend(f"index.{name}_forward", *args)
    # on CUDA what is in range moves: what is wrong is told afterwards
    if backend.name != "cuda":
        np.testing.assert_array_equal(args[0], before)


@pytest.mark.parametrize("name", ["select", "gather"])
def test_gradients_check_positions_too(backend, name):
    dx, indices = np.zeros((1, 4, 1)), np.array([0, 4])
    with pytest.raises(IndexError):
        shaped = indices if name == "select" else indices.reshape(1, 2, 1)
        backend(f"index.{name}_backward", dx, np.ones((1, 2, 1)), shaped, True)
    if backend.name != "cuda":
        assert (dx == 0).all()


def test_offsets(backend, rng):
    agree(backend, "index.offsets_forward", rng.integers(0, 9, (3, 4)), draw(rng, (3, 4), 6), 6, 5)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_nonzero(backend, rng, rate):
    x = rng.random(1000) < rate
    agree(backend, "index.nonzero_forward", poison(int(x.sum()), np.int64), x)
    with pytest.raises(ValueError, match="nonzero"):
        backend("index.nonzero_forward", np.empty(int(x.sum()) + 1, np.int64), x)


@pytest.mark.parametrize("kind", [np.int64, np.float32], ids=lambda t: t.__name__)
def test_one_hot(backend, rng, kind):
    for N, C in [(0, 3), (1, 1), (50, 10)]:
        agree(backend, "index.one_hot_forward", poison((N, C), kind), rng.integers(0, C, N))


@pytest.mark.parametrize("first", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 2), (4, 17), (5, 100), (2, 1025)], ids=str)
def test_sort(backend, dtype, rng, shape, first):
    # ties keep their order
    x = rng.integers(-9, 10, shape).astype(dtype)
    agree(backend, "sort.sort_forward", poison(shape, dtype), poison(shape, np.int64), x, first)
    for K in {0, 1, shape[1] // 2, shape[1]}:
        out = poison((shape[0], K), dtype)
        agree(backend, "sort.topk_forward", out, poison(out.shape, np.int64), x, first)


@pytest.mark.parametrize("first", [False, True], ids=["ascending", "descending"])
def test_sort_puts_nan_at_the_large_end(backend, dtype, rng, first):
    x = rng.standard_normal((1, 90)).astype(dtype)
    x[0, [3, 40, 41]] = np.nan
    for K in (90, 5, 70):
        y, indices = poison((1, K), dtype), poison((1, K), np.int64)
        backend("sort.topk_forward", y, indices, x, first)
        want = np.sort(x)[0]  # NaN last
        want = np.concatenate([want[-3:], want[:-3][::-1]]) if first else want
        np.testing.assert_array_equal(y[0], want[:K])
        np.testing.assert_array_equal(x[0, indices[0]], y[0])


def test_sort_integers(backend, rng):
    x = rng.integers(-50, 50, (3, 77))
    agree(backend, "sort.sort_forward", poison(x.shape, np.int64), poison(x.shape, np.int64), x, True)


def test_topk_wants_enough(backend, dtype):
    with pytest.raises(ValueError, match="topk"):
        x = np.ones((2, 3), dtype)
        backend("sort.topk_forward", np.empty((2, 4), dtype), np.empty((2, 4), np.int64), x, True)


def test_gather_is_the_transpose_of_scatter(rng):
    x, indices = rng.standard_normal((2, 5, 3)), rng.integers(0, 5, (2, 4, 3))
    y, dy, dx = np.empty((2, 4, 3)), rng.standard_normal((2, 4, 3)), np.empty((2, 5, 3))
    ref.index.gather_forward(y, x, indices)
    ref.index.gather_backward(dx, dy, indices, False)
    np.testing.assert_allclose((y * dy).sum(), (x * dx).sum())
