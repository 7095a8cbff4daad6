"""Reductions of the middle dimension: sums, products, moments, extremes; every backend, float32 and float64."""

import numpy as np
import pytest
from helpers import agree, finite_difference, poison
from hotloop.kernels import ref

# (O, R, I): nothing, one, rows, columns, both; several chunks and a remainder of each kind
SHAPES = [
    (0, 3, 2),
    (2, 3, 0),
    (1, 1, 1),
    (1, 17, 1),
    (5, 7, 1),
    (3, 300, 1),
    (1, 9001, 1),
    (4, 5, 6),
    (1, 700, 10),
    (2, 129, 1100),
]
EMPTY = [(3, 0, 2), (1, 0, 1), (0, 0, 3)]
FOLDS = ("sum", "mean", "prod")


def result_shape(shape):
    return shape[0], shape[2]


@pytest.mark.parametrize("shape", SHAPES + EMPTY, ids=str)
@pytest.mark.parametrize("name", FOLDS)
def test_folds(backend, dtype, rng, name, shape):
    if name == "mean" and shape in EMPTY:
        shape = (0, 1, 0)  # the mean of nothing has a test of its own
    # near 1, so that products of many neither vanish nor overflow
    x = rng.uniform(0.9, 1.1, shape) if name == "prod" else rng.standard_normal(shape)
    tol = 3e-5 if (name, dtype) == ("prod", np.float32) else None  # a product of R factors has R roundings
    agree(backend, f"reduce.{name}_forward", poison(result_shape(shape), dtype), x.astype(dtype), tol=tol)


def test_the_mean_of_nothing_is_nan(backend, dtype):
    y = np.zeros((2, 3), dtype)
    backend("reduce.mean_forward", y, np.empty((2, 0, 3), dtype))
    assert np.isnan(y).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_fold_gradients(backend, dtype, rng, name, shape):
    dy = rng.standard_normal(result_shape(shape)).astype(dtype)
    agree(backend, f"reduce.{name}_backward", poison(shape, dtype), dy)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_prod_gradient_with_zeros(backend, dtype, rng, zeros):
    x = rng.uniform(0.5, 2, (2, 5, 3)).astype(dtype)
    x[:, :zeros] = 0
    dy = rng.standard_normal((2, 3)).astype(dtype)
    agree(backend, "reduce.prod_backward", poison(x.shape, dtype), dy, x)


def test_a_long_sum_keeps_its_digits(backend):
    x = np.full((1, 1 << 22, 1), 0.1, np.float32)
    y = np.empty((1, 1), np.float32)
    backend("reduce.sum_forward", y, x)
    # one rounding after another would be off by a part in a hundred
    assert abs(y[0, 0] / (0.1 * (1 << 22)) - 1) < 1e-6


@pytest.mark.parametrize("integer", [np.int64, np.int32], ids=lambda t: t.__name__)
@pytest.mark.parametrize("shape", [(1, 9001, 1), (4, 5, 6), (3, 0, 2)], ids=str)
def test_integers(backend, rng, integer, shape):
    x = rng.integers(-3, 4, shape).astype(integer)
    for name in ("sum", "prod"):
        agree(backend, f"reduce.{name}_forward", poison(result_shape(shape), integer), x)
    agree(backend, "reduce.cumsum_forward", poison(shape, integer), x)


@pytest.mark.parametrize("shape", SHAPES + EMPTY, ids=str)
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.999, 1.0])
def test_truth(backend, rng, shape, rate):
    x = rng.random(shape) < rate
    for name in ("any", "all"):
        agree(backend, f"reduce.{name}_forward", poison(result_shape(shape), bool), x)
    agree(backend, "reduce.count_forward", poison(1, np.int64), x.reshape(-1))


@pytest.mark.parametrize("shape", SHAPES[:8], ids=str)
def test_cumsum(backend, dtype, rng, shape):
    x = rng.standard_normal(shape).astype(dtype)
    tol = 2e-5 if dtype == np.float32 else None  # running sums cannot be blocked
    agree(backend, "reduce.cumsum_forward", poison(shape, dtype), x, tol=tol)
    agree(backend, "reduce.cumsum_backward", poison(shape, dtype), x, tol=tol)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes(backend, dtype, rng, name, shape):
    # few distinct values: ties are common
    x = rng.integers(-4, 5, shape).astype(dtype)
    result = result_shape(shape)
    y, indices, _ = agree(backend, f"extreme.{name}_forward", poison(result, dtype), poison(result, np.int64), x)
    agree(backend, f"extreme.{name}_forward", poison(result, dtype), np.empty((0, 0), np.int64), x)
    dy = rng.standard_normal(result).astype(dtype)
    agree(backend, "extreme.max_backward", poison(shape, dtype), dy, indices)
    agree(backend, "extreme.amax_backward", poison(shape, dtype), dy, x, y)


@pytest.mark.parametrize("shape", [(2, 9, 1), (2, 700, 1), (2, 9, 5)], ids=str)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_of_nan(backend, dtype, rng, name, shape):
    x = rng.standard_normal(shape).astype(dtype)
    x[1, 3:5] = np.nan
    result = result_shape(shape)
    y, indices = poison(result, dtype), poison(result, np.int64)
    backend(f"extreme.{name}_forward", y, indices, x)
    assert np.isnan(y[1]).all() and (indices[1] == 3).all() and not np.isnan(y[0]).any()
    backend(f"extreme.{name}_forward", y, np.empty((0, 0), np.int64), x)
    assert np.isnan(y[1]).all() and not np.isnan(y[0]).any()


def test_extremes_of_nothing(backend, dtype):
    for name in ("max", "min"):
        with pytest.raises(ValueError, match="no elements"):
            none = np.empty((0, 0), np.int64)
            backend(f"extreme.{name}_forward", np.empty((2, 3), dtype), none, np.empty((2, 0, 3), dtype))


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[1] > 1], ids=str)
def test_moments(backend, dtype, rng, shape):
    x = (rng.standard_normal(shape) + 3).astype(dtype)
    result = result_shape(shape)
    dy = rng.standard_normal(result).astype(dtype)
    out = poison(result, dtype)
    for correction in (0.0, 1.0):
        y, mean, *_ = agree(backend, "moments.var_forward", out, out.copy(), x, correction)
        # the gradient subtracts nearly equal numbers: x is rounded at 3, x - mean at 1
        agree(backend, "moments.var_backward", poison(shape, dtype), dy, x, mean, correction)
    agree(backend, "moments.std_backward", out, dy, np.sqrt(y))
    y, _ = agree(backend, "moments.norm_forward", out, x)
    agree(backend, "moments.norm_backward", poison(shape, dtype), dy, x, y)
    y, _ = agree(backend, "moments.logsumexp_forward", out, x)
    # errors of y pass into the exponent
    tol = 2e-5 if dtype == np.float32 else 2e-13
    agree(backend, "moments.logsumexp_backward", poison(shape, dtype), dy, x, y, tol=tol)


def test_moments_at_the_edges(backend, dtype):
    y, mean = poison((1, 1), dtype), poison((1, 1), dtype)
    backend("moments.var_forward", y, mean, np.ones((1, 1, 1), dtype), 1.0)
    assert np.isnan(y).all()
    backend("moments.norm_forward", y, np.empty((1, 0, 1), dtype))
    assert y[0, 0] == 0
    dx = poison((1, 3, 1), dtype)
    backend("moments.norm_backward", dx, np.ones((1, 1), dtype), np.zeros((1, 3, 1), dtype), np.zeros((1, 1), dtype))
    assert (dx == 0).all()
    for values, want in [([], -np.inf), ([-np.inf] * 3, -np.inf), ([1, np.inf], np.inf), ([1, np.nan], np.nan)]:
        backend("moments.logsumexp_forward", y, np.array(values, dtype).reshape(1, -1, 1))
        np.testing.assert_array_equal(y, [[want]])
    backend("moments.logsumexp_forward", y, np.full((1, 2, 1), 1e4, dtype))
    np.testing.assert_allclose(y, [[1e4 + np.log(2)]], rtol=1e-6)


def gradient_cases():
    s = (2, 4, 3)
    return {
        "sum": (ref.reduce.sum_forward, lambda dx, dy, x, y: ref.reduce.sum_backward(dx, dy)),
        "mean": (ref.reduce.mean_forward, lambda dx, dy, x, y: ref.reduce.mean_backward(dx, dy)),
        "prod": (ref.reduce.prod_forward, lambda dx, dy, x, y: ref.reduce.prod_backward(dx, dy, x)),
        "norm": (ref.moments.norm_forward, lambda dx, dy, x, y: ref.moments.norm_backward(dx, dy, x, y)),
        "logsumexp": (ref.moments.logsumexp_forward, lambda dx, dy, x, y: ref.moments.logsumexp_backward(dx, dy, x, y)),
        "var": (
            lambda y, x: ref.moments.var_forward(y, np.empty((2, 3)), x, 1.0),
            lambda dx, dy, x, y: ref.moments.var_backward(dx, dy, x, x.mean(1), 1.0),
        ),
        "amax": (
            lambda y, x: ref.extreme.max_forward(y, np.empty((0, 0), np.int64), x),
            lambda dx, dy, x, y: ref.extreme.amax_backward(dx, dy, x, y),
        ),
    }, s


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "norm", "logsumexp", "var", "amax"])
def test_gradient_is_the_slope(rng, name):
    cases, shape = gradient_cases()
    forward, backward = cases[name]
    x, dy, y = rng.standard_normal(shape), rng.standard_normal((2, 3)), np.empty((2, 3))

    def total():
        forward(y, x)
        return float((y * dy).sum())

    want = finite_difference(total, x)
    total()
    dx = np.empty(shape)
    backward(dx, dy, x, y)
    np.testing.assert_allclose(dx, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 100_003, 1), (1, 50_000, 3), (64, 1000, 1)], ids=str)
def test_the_same_bits_for_any_number_of_threads(rng, shape):
    from hotloop.kernels import cpu
    from hotloop.kernels.threads import get_num_threads, set_num_threads

    x = rng.standard_normal(shape).astype(np.float32)
    before, results = get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            y, z = np.empty(result_shape(shape), np.float32), np.empty(result_shape(shape), np.float32)
            cpu.reduce.sum_forward(y, x)
            cpu.moments.logsumexp_forward(z, x)
            results.append((y.tobytes(), z.tobytes()))
    finally:
        set_num_threads(before)
    assert results[0] == results[1] == results[2]
