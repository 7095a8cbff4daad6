"""Activation layers and functions: against PyTorch, in place, RReLU's noise, refusals."""

import inspect

import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import activation_functions as functions
from hotloop.nn import activations as layers

# arguments that are not the defaults
LAYERS = {
    "CELU": (2.0,),
    "ELU": (1.3,),
    "GELU": ("tanh",),
    "GLU": (1,),
    "Hardshrink": (0.4,),
    "Hardsigmoid": (),
    "Hardswish": (),
    "Hardtanh": (-2, 3),
    "LeakyReLU": (0.2,),
    "LogSigmoid": (),
    "Mish": (),
    "PReLU": (6, 0.3),
    "RReLU": (0.1, 0.3),
    "ReLU": (),
    "ReLU6": (),
    "SELU": (),
    "SiLU": (),
    "Sigmoid": (),
    "Softplus": (2, 10),
    "Softshrink": (0.4,),
    "Softsign": (),
    "Tanh": (),
    "Tanhshrink": (),
    "Threshold": (0.1, 20),
}


@pytest.mark.parametrize("name", sorted(LAYERS))
@pytest.mark.parametrize("given", ["arguments", "defaults"])
def test_layers_as_torch(dtype, rng, name, given):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    arguments = LAYERS[name] if given == "arguments" or name == "Threshold" else ()
    layer, theirs = getattr(layers, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert repr(layer) == repr(theirs)
    layer.eval()
    theirs.eval()
    if name == "PReLU" and dtype == np.float64:
        layer.double()
        theirs.double()
    x = (3 * rng.standard_normal((4, 6, 5, 2))).astype(dtype)
    here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, want = layer(here), theirs(there)
    dy = rng.standard_normal(want.shape).astype(dtype)
    y.backward(dy)
    want.backward(torch.tensor(dy))
    # torch's formulas in float32, and its float32 constants in float64
    tol = 2e-6 if dtype == np.float32 else 1e-7
    np.testing.assert_allclose(y.numpy(), want.detach().numpy(), rtol=tol, atol=tol)
    np.testing.assert_allclose(here.grad, there.grad.numpy(), rtol=tol, atol=tol)
    for ours, other in zip(layer.parameters(), theirs.parameters(), strict=True):
        # a sum of 40 products
        np.testing.assert_allclose(ours.grad, other.grad.numpy(), rtol=1e-5, atol=1e-5)


IN_PLACE = [name for name in sorted(LAYERS) if "inplace" in inspect.signature(getattr(layers, name)).parameters]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(rng, name):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    want = getattr(layers, name)(*LAYERS[name]).eval()(x.copy()).numpy()
    layer = getattr(layers, name)(*LAYERS[name], inplace=True).eval()
    assert repr(layer).endswith("inplace=True)")
    plain = nn.Tensor(x.copy())
    assert layer(plain) is plain
    close(plain.numpy(), want, 0.0)
    # a recorded input keeps its values for backward; the result is the same
    recorded = nn.Tensor(x.copy(), requires_grad=True)
    close(layer(recorded).numpy(), want, 0.0)
    close(recorded.numpy(), x, 0.0)


def test_rrelu_layer_draws_slopes_and_keeps_them(rng):
    x = nn.Tensor(rng.standard_normal(1000).astype(np.float32), requires_grad=True)
    layer = layers.RReLU(0.1, 0.3)
    y = layer(x)
    y.backward(np.ones(1000, np.float32))
    negative = x.numpy() <= 0
    slope = y.numpy()[negative] / x.numpy()[negative]
    assert slope.min() >= 0.0999 and slope.max() <= 0.3001
    assert slope.std() > 0.05  # uniform: 0.2 / sqrt(12) = 0.058
    close(x.grad[negative], slope, 1e-6)
    assert (x.grad[~negative] == 1).all() and (y.numpy()[~negative] == x.numpy()[~negative]).all()
    assert (layer(x).numpy() != y.numpy()).any()


def test_wrong_arguments_are_refused():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="even"):
        functions.glu(x)
    with pytest.raises(IndexError, match="dim"):
        functions.glu(x, 2)
    with pytest.raises(ValueError, match="approximate"):
        functions.gelu(x, "erf")
    with pytest.raises(ValueError, match="weight"):
        functions.prelu(x, np.ones(2, np.float32))
    with pytest.raises(ValueError, match="max_val"):
        layers.Hardtanh(1.0, -1.0)
    with pytest.raises(ValueError, match="lower"):
        functions.rrelu(x, 0.5, 0.1)
    with pytest.raises(ValueError, match="lambd"):
        functions.softshrink(x, -1.0)
