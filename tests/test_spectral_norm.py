"""nn.utils.spectral_norm, as a hook and as a parametrization: weights, vectors, gradients and states as torch's."""

import copy
import pickle

import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn.utils import parametrizations, parametrize, remove_spectral_norm, spectral_norm, weight_norm
from reparametrized import LAYERS, as_torch


def pair(torch, name, sizes):
    theirs, ours = getattr(torch.nn, name)(*sizes), getattr(nn, name)(*sizes)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def hooked(torch, name, sizes, **options):
    ours, theirs = pair(torch, name, sizes)
    theirs = torch.nn.utils.spectral_norm(theirs, **options)
    assert spectral_norm(ours, **options) is ours
    return ours, theirs


def parametrized(torch, name, sizes, **options):
    ours, theirs = pair(torch, name, sizes)
    theirs = torch.nn.utils.parametrizations.spectral_norm(theirs, **options)
    return parametrizations.spectral_norm(ours, **options), theirs


STYLES = pytest.mark.parametrize("make", [hooked, parametrized])


@STYLES
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", [{}, dict(n_power_iterations=3, dim=1)], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
def test_as_torch(rng, make, name, options, training):
    torch = pytest.importorskip("torch")
    sizes, shape = LAYERS[name]
    ours, theirs = make(torch, name, sizes, **options)
    # both begin with torch's vectors, from here on they must stay together
    ours.train(training), theirs.train(training)
    as_torch(torch, ours, theirs, shape, rng)
    for _ in range(2):
        x = rng.standard_normal(shape).astype(np.float32)
        close(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), 1e-5)
    for key, value in theirs.state_dict().items():
        close(ours.state_dict()[key].numpy(), value.numpy(), 1e-5, key)


@STYLES
def test_the_outputs_of_a_transposed_convolution_are_dimension_1(make):
    torch = pytest.importorskip("torch")
    ours, theirs = make(torch, "ConvTranspose1d", (3, 4, 3))
    assert [t.shape for t in ours.state_dict().values()] == [tuple(t.shape) for t in theirs.state_dict().values()]


@STYLES
def test_the_largest_singular_value_becomes_one(rng, make):
    torch = pytest.importorskip("torch")
    ours, _ = make(torch, "Linear", (6, 5), n_power_iterations=50)
    x = rng.standard_normal((2, 6)).astype(np.float32)
    ours(x)
    values = np.linalg.svd(ours.eval().weight.detach().numpy(), compute_uv=False)
    assert abs(values[0] - 1) < 1e-3


@STYLES
def test_two_forwards_before_one_backward(rng, make):
    """What a discriminator does with real and invented images."""
    torch = pytest.importorskip("torch")
    ours, theirs = make(torch, "Linear", (5, 3))
    ours.load_state_dict(theirs.state_dict())
    a, b = (rng.standard_normal((4, 5)).astype(np.float32) for _ in range(2))
    (ours(a).sum() - ours(b).square().sum()).backward()
    (theirs(torch.from_numpy(a)).sum() - theirs(torch.from_numpy(b)).square().sum()).backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(np.asarray(p.grad), q.grad.numpy(), 2e-5, name)


def test_a_removed_norm_leaves_the_weight(rng):
    x = rng.standard_normal((2, 5)).astype(np.float32)
    layer = spectral_norm(nn.Linear(5, 3))
    before = layer.eval()(x).numpy()
    assert remove_spectral_norm(layer) is layer and list(layer.state_dict()) == ["bias", "weight"]
    assert np.array_equal(layer(x).numpy(), before) and isinstance(layer.weight, nn.Parameter)
    layer = parametrizations.spectral_norm(nn.Linear(5, 3)).eval()
    before = layer(x).numpy()
    assert parametrize.remove_parametrizations(layer, "weight") is layer and type(layer) is nn.Linear
    assert np.array_equal(layer(x).numpy(), before) and isinstance(layer.weight, nn.Parameter)


def test_a_vector_is_divided_by_its_norm():
    layer = parametrizations.spectral_norm(nn.Linear(5, 3), "bias")
    assert abs(np.linalg.norm(layer.bias.detach().numpy()) - 1) < 1e-6


def test_a_copy_iterates_alone(rng):
    x = rng.standard_normal((2, 5)).astype(np.float32)
    layer = parametrizations.spectral_norm(nn.Linear(5, 3))
    twin = copy.deepcopy(layer)
    before = layer.parametrizations.weight[0]._u.numpy().copy()
    twin(x)
    assert np.array_equal(layer.parametrizations.weight[0]._u.numpy(), before)


@pytest.mark.parametrize("make", [weight_norm, spectral_norm], ids=lambda make: make.__name__)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "pickle"])
def test_a_copy_after_a_forward(rng, make, copied):
    layer, x = make(nn.Linear(4, 3)), rng.standard_normal((2, 4)).astype(np.float32)
    y = layer(x)
    twin = copied(layer)
    assert not twin.weight.requires_grad
    np.testing.assert_array_equal(twin.weight.numpy(), layer.weight.numpy())
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    assert all(p.grad is None for p in twin.parameters())
    np.testing.assert_array_equal(twin.eval()(x).numpy(), layer.eval()(x).numpy())
    twin(x).sum().backward()
    assert all(p.grad is not None for p in twin.parameters())


def test_errors():
    layer = spectral_norm(nn.Linear(5, 3))
    with pytest.raises(RuntimeError, match="two spectral_norm hooks on the same parameter weight"):
        spectral_norm(layer)
    with pytest.raises(ValueError, match="spectral_norm of 'bias' not found"):
        remove_spectral_norm(layer, "bias")
    for make in (spectral_norm, parametrizations.spectral_norm):
        with pytest.raises(ValueError, match="n_power_iterations to be positive, but got n_power_iterations=0"):
            make(nn.Linear(5, 3), n_power_iterations=0)
        with pytest.raises(IndexError):
            make(nn.Linear(5, 3), dim=2)
        with pytest.raises(ValueError, match="uninitialized"):
            make(nn.LazyLinear(3))
