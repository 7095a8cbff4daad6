"""Dropout with a ReLU before it or a sum after it: kernels against the reference, and in place."""

import importlib

import numpy as np
import pytest
from helpers import agree, finite_difference, poison

STATE = np.array([99, 2**40], np.uint64)
SHAPES = [(0,), (1,), (3,), (5, 7), (2049,), (16384 + 17,)]


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_as_the_reference(backend, dtype, rng, shape, p):
    x, other = rng.standard_normal((2, *shape)).astype(dtype)
    agree(backend, "dropout_fused.dropout_add_forward", poison(shape, dtype), other, x, STATE, p)
    (y, *_) = agree(backend, "dropout_fused.relu_dropout_forward", poison(shape, dtype), x, STATE, p)
    agree(backend, "dropout_fused.relu_dropout_backward", poison(shape, dtype), other, y, p)


def test_as_its_parts(backend, rng):
    """The masks are dropout's own, and the gradient behind a ReLU is that of both one after the other."""
    x, other, dropped, y, dx, want = rng.standard_normal((6, 3000)).astype(np.float32)
    backend("dropout.dropout_forward", dropped, x, STATE, 0.3)
    backend("dropout_fused.dropout_add_forward", y, other, x, STATE, 0.3)
    assert np.allclose(y, other + dropped, rtol=1e-6, atol=1e-6)
    backend("dropout_fused.relu_dropout_forward", y, x, STATE, 0.3)
    assert np.array_equal(y, np.maximum(dropped, 0))
    backend("dropout_fused.relu_dropout_backward", dx, other, y, 0.3)
    backend("dropout.dropout_backward", want, other, STATE, 0.3)
    assert np.array_equal(dx, np.where(x > 0, want, 0))


def test_gradient(rng):
    from hotloop.kernels.ref import dropout_fused as ref

    x, dy, y, dx = (rng.standard_normal((6, 5)) for _ in range(4))

    def loss():
        ref.relu_dropout_forward(y, x, STATE, 0.4)
        return (y * dy).sum()

    loss()
    ref.relu_dropout_backward(dx, dy, y, 0.4)
    assert np.allclose(dx, finite_difference(loss, x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kernels", ["cpu", "ref"])
def test_in_place(rng, kernels):
    run = importlib.import_module(f"hotloop.kernels.{kernels}.dropout_fused")
    x, other, y = rng.standard_normal((3, 5000)).astype(np.float32)
    given, slope = x.copy(), other.copy()
    run.relu_dropout_forward(y, x, STATE, 0.3)
    run.relu_dropout_forward(given, given, STATE, 0.3)
    assert np.array_equal(given, y)
    run.relu_dropout_backward(x, other, y, 0.3)
    run.relu_dropout_backward(slope, slope, y, 0.3)
    assert np.array_equal(slope, x)


def test_nan_and_infinity(backend):
    """A dropped element passes on nothing of what it held; a kept one does, and so does its gradient."""
    x, r, y, dx = np.full(200, np.nan, np.float32), np.ones(200, np.float32), *poison((2, 200), np.float32)
    backend("dropout_fused.dropout_add_forward", y, r, x, STATE, 0.5)
    kept = np.isnan(y)
    assert 0 < kept.sum() < y.size
    assert (y[~kept] == 1).all()
    # NumPy warns where a comparison meets NaN
    with np.errstate(invalid="ignore"):
        backend("dropout_fused.relu_dropout_forward", y, x, STATE, 0.5)
        assert np.array_equal(np.isnan(y), kept)
        backend("dropout_fused.relu_dropout_backward", dx, r, y, 0.5)
        assert np.array_equal(dx, np.where(kept, 2, 0))
        backend("dropout_fused.relu_dropout_forward", y, np.full_like(x, np.inf), STATE, 1.0)
    assert (y == 0).all()


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan], ids=str)
def test_bad_probability(backend, p):
    x = np.ones((3, 3))
    given = {"dropout_add_forward": (x, x, STATE), "relu_dropout_forward": (x, STATE), "relu_dropout_backward": (x, x)}
    for name, rest in given.items():
        with pytest.raises(ValueError, match="probability"):
            backend(f"dropout_fused.{name}", x.copy(), *rest, p)
