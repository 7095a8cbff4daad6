"""Dropout: kernels against the reference, layers against torch's statistics and rules."""

import numpy as np
import pytest
from helpers import agree, finite_difference, poison

STATE = np.array([99, 2**40], np.uint64)
SHAPES = [(0,), (1,), (3,), (61,), (5, 7), (2049,), (16384 + 17,)]
MATRICES = [(0, 3), (3, 0), (1, 1), (7, 5), (61, 17), (2051, 3), (9, 5003)]
ELEMENTWISE = ["dropout", "alpha_dropout"]
ROWWISE = ["feature_dropout", "feature_alpha_dropout"]


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9, 1.0], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("op", ELEMENTWISE)
def test_elementwise(backend, dtype, rng, op, shape, p):
    x = rng.standard_normal(shape).astype(dtype)
    agree(backend, f"dropout.{op}_forward", poison(shape, dtype), x, STATE, p)
    agree(backend, f"dropout.{op}_backward", poison(shape, dtype), x, STATE, p)


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0], ids=str)
@pytest.mark.parametrize("shape", MATRICES, ids=str)
@pytest.mark.parametrize("op", ROWWISE)
def test_rowwise(backend, dtype, rng, op, shape, p):
    x = rng.standard_normal(shape).astype(dtype)
    agree(backend, f"dropout.{op}_forward", poison(shape, dtype), x, STATE, p)
    agree(backend, f"dropout.{op}_backward", poison(shape, dtype), x, STATE, p)


@pytest.mark.parametrize("op", ELEMENTWISE + ROWWISE)
def test_gradient(rng, op):
    from hotloop.kernels.ref import dropout as ref

    x, dy, y, dx = (rng.standard_normal((6, 5)) for _ in range(4))

    def loss():
        getattr(ref, f"{op}_forward")(y, x, STATE, 0.4)
        return (y * dy).sum()

    getattr(ref, f"{op}_backward")(dx, dy, STATE, 0.4)
    assert np.allclose(dx, finite_difference(loss, x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("op", ELEMENTWISE + ROWWISE)
def test_dropped_whatever_it_held(backend, op):
    """A dropped element does not pass on NaN or infinity; a kept one does."""
    x = np.full((40, 3), np.nan, np.float32)
    y = poison((40, 3), np.float32)
    backend(f"dropout.{op}_forward", y, x, STATE, 0.5)
    assert 0 < np.isfinite(y).sum() < y.size
    with np.errstate(invalid="ignore"):
        backend(f"dropout.{op}_forward", y, np.full_like(x, np.inf), STATE, 1.0)
    assert (y == 0).all()


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan], ids=str)
@pytest.mark.parametrize("op", ELEMENTWISE + ROWWISE)
def test_bad_probability(backend, op, p):
    x = np.ones((3, 3))
    with pytest.raises(ValueError, match="probability"):
        backend(f"dropout.{op}_forward", x.copy(), x, STATE, p)


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_statistics(dtype, rng, op):
    """The share that is dropped, and the mean (alpha: and variance) that stay."""
    from hotloop.kernels.cpu import dropout as cpu

    n, p = 100_000, 0.3
    x = rng.standard_normal(n).astype(dtype)
    y = np.empty_like(x)
    getattr(cpu, f"{op}_forward")(y, x, STATE, p)
    value, count = np.unique(y, return_counts=True)
    dropped = count.max()
    assert value[count.argmax()] == 0 or op == "alpha_dropout"
    assert abs(dropped - n * p) < 5 * np.sqrt(n * p * (1 - p))
    assert abs(y.mean(dtype=np.float64)) < 5 * y.std() / np.sqrt(n)
    if op == "alpha_dropout":
        assert abs(y.var(dtype=np.float64) - 1) < 0.05
