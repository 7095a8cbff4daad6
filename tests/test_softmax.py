"""Softmax, softmin, log-softmax: kernels against ref, ref against finite differences, layers against PyTorch."""

import numpy as np
import pytest
from helpers import Backend, agree, close, finite_difference, poison
from hotloop import nn
from hotloop.nn import softmax as layers

NAMES = ("softmax", "softmin", "log_softmax")
# (O, C, I): empty, one, lines along the last dimension, tiles of 128 lines across it with a remainder, several chunks
SHAPES = [
    (0, 3, 1),
    (3, 0, 1),
    (3, 0, 4),
    (2, 3, 0),
    (1, 1, 1),
    (5, 7, 1),
    (61, 1000, 1),
    (1, 20011, 1),
    (1, 5, 7),
    (3, 17, 128),
    (2, 3, 300),
    (70, 11, 131),
]


def log_or_not(name, shape, rng, dtype):
    """A result that the forward may have left."""
    y = np.empty(shape, dtype)
    Backend("ref")(f"softmax.{name}_forward", y, (3 * rng.standard_normal(shape)).astype(dtype))
    return y


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward(backend, dtype, rng, name, shape):
    agree(backend, f"softmax.{name}_forward", poison(shape, dtype), (3 * rng.standard_normal(shape)).astype(dtype))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward(backend, dtype, rng, name, shape):
    y, dy = log_or_not(name, shape, rng, dtype), rng.standard_normal(shape).astype(dtype)
    agree(backend, f"softmax.{name}_backward", poison(shape, dtype), dy, y)


@pytest.mark.parametrize("name", NAMES)
def test_ref_gradient_is_the_slope(rng, name):
    ref = Backend("ref")
    x, dy, y = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 5, 3)), np.empty((2, 5, 3))

    def loss():
        ref(f"softmax.{name}_forward", y, x)
        return float((dy * y).sum())

    want, dx = finite_difference(loss, x), poison(x.shape, np.float64)
    loss()
    ref(f"softmax.{name}_backward", dx, dy, y)
    # central differences with a step of 1e-5: 1e-10 of the third derivative, 1e-11 by cancellation
    close(dx, want, 1e-8, name)


@pytest.mark.parametrize("shape", [(1, 4, 1), (1, 4, 3)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_large_values_lose_nothing(backend, dtype, name, shape):
    """What is added to all of a line cancels exactly, far beyond where exp overflows."""
    x = np.arange(4, dtype=dtype).reshape(1, 4, 1) * np.ones(shape, dtype)
    near, far = poison(shape, dtype), poison(shape, dtype)
    backend(f"softmax.{name}_forward", near, x)
    backend(f"softmax.{name}_forward", far, x + dtype.type(2**20))
    # x + 2**20 - max is exactly x - max: what remains is the order in which a compiler may subtract
    close(far, near, 1e-6 if dtype == np.float32 else 1e-14, name)


@pytest.mark.parametrize("line", [2, 1], ids=["last dimension", "middle dimension"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "values", [[-np.inf, -np.inf], [-np.inf, 1.0], [np.inf, 1.0], [np.nan, 1.0], [-np.inf, 0.0, np.inf]], ids=str
)
def test_special_values_as_torch(backend, dtype, name, values, line):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.repeat(np.array(values, dtype).reshape(1, -1, 1), 3 - line, axis=2)
    y, dx = poison(x.shape, dtype), poison(x.shape, dtype)
    backend(f"softmax.{name}_forward", y, x)
    backend(f"softmax.{name}_backward", dx, np.ones_like(y), y)
    there = torch.tensor(x, requires_grad=True)
    want = getattr(torch.nn.functional, name)(there, dim=1)
    want.sum().backward()
    np.testing.assert_allclose(y, want.detach().numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(dx, there.grad.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("shape", "dim"), [((), 0), ((5,), 0), ((4, 6), -1), ((4, 6), 0), ((2, 3, 4, 5), 1)], ids=str)
@pytest.mark.parametrize("name", ["Softmax", "Softmin", "LogSoftmax"])
def test_layers_as_torch(dtype, rng, name, shape, dim):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer, theirs = getattr(layers, name)(dim), getattr(torch.nn, name)(dim)
    assert repr(layer) == repr(theirs)
    x, dy = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, want = layer(here), theirs(there)
    y.backward(dy)
    want.backward(torch.tensor(dy))
    tol = 1e-5 if dtype == np.float32 else 1e-13  # two sums of a few exponentials, in different orders
    np.testing.assert_allclose(y.numpy(), want.detach().numpy(), rtol=tol, atol=tol)
    np.testing.assert_allclose(here.grad, there.grad.numpy(), rtol=tol, atol=tol)


def test_softmax2d_is_over_channels(rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    close(layers.Softmax2d()(x).numpy(), layers.softmax(x, 1).numpy())
    close(layers.Softmax2d()(x[0]).numpy(), layers.softmax(x[0], 0).numpy())
    with pytest.raises(ValueError, match="Softmax2d"):
        layers.Softmax2d()(x[0, 0])


def test_dim_is_checked_and_dtype_casts():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(IndexError, match=r"-2 \.\. 1, got 2"):
        layers.softmax(x, 2)
    with pytest.warns(UserWarning, match="dim=1"):
        layers.softmax(x)
    assert layers.softmax(x, 1, dtype=np.float64).numpy().dtype == np.float64
