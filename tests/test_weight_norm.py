"""kernels/*/weight_norm.py and nn.utils.weight_norm: directions and lengths, and their gradients, as torch's."""

import copy

import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference, poison
from hotloop import nn, optim
from hotloop.kernels.ref import weight_norm as ref
from hotloop.nn.utils import parametrizations, parametrize, remove_weight_norm, spectral_norm, weight_norm
from reparametrized import LAYERS, as_torch

SHAPES = [
    (1, 7, 5),
    (1, 1, 1),
    (3, 1, 17),
    (5, 67, 1),
    (700, 131, 1),
    (3, 5, 9),
    (1, 41, 1031),
    (1, 1, 30000),
    (2, 0, 3),
    (0, 3, 2),
]


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0]], ids=str)
def test_forward(backend, dtype, rng, shape):
    v, g = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape[1]).astype(dtype)
    agree(backend, "weight_norm.weight_norm_forward", v.copy(), poison(shape[1], np.float64), v, g)


# a slice of a single number has no direction: its gradient is 0 but for rounding
@pytest.mark.parametrize("shape", [s for s in SHAPES if s != (1, 1, 1)], ids=str)
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, shape, accumulate):
    v, dw, dv = (rng.standard_normal(shape).astype(dtype) for _ in range(3))
    g, dg = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    norm = np.sqrt((v.astype(np.float64) ** 2).sum((0, 2))) if shape[0] else np.ones(shape[1])
    if not accumulate:
        dv, dg = poison(shape, dtype), poison(shape[1], dtype)
    agree(backend, "weight_norm.weight_norm_backward", dv, dg, dw, v, g, norm, accumulate)


@pytest.mark.parametrize("wanted", [0, 1], ids=["dv", "dg"])
def test_each_gradient_alone(backend, dtype, rng, wanted):
    v, dw = (rng.standard_normal((3, 5, 9)).astype(dtype) for _ in range(2))
    g = rng.standard_normal(5).astype(dtype)
    gradients = [poison(a.shape, dtype) if i == wanted else absent(dtype) for i, a in enumerate((v, g))]
    norm = np.sqrt((v.astype(np.float64) ** 2).sum((0, 2)))
    agree(backend, "weight_norm.weight_norm_backward", *gradients, dw, v, g, norm, False)


def test_ref_against_finite_differences(rng):
    v, dw, w = (rng.standard_normal((2, 3, 4)) for _ in range(3))
    g, norm = rng.standard_normal(3), np.empty(3)

    def total():
        ref.weight_norm_forward(w, norm, v, g)
        return float((w * dw).sum())

    total()
    dv, dg = np.empty_like(v), np.empty_like(g)
    ref.weight_norm_backward(dv, dg, dw, v, g, norm, False)
    close(dg, finite_difference(total, g), 1e-8, "dg")
    close(dv, finite_difference(total, v), 1e-8, "dv")


def test_extremes_do_not_overflow(backend):
    v = np.full((1, 2, 4), 1e30, np.float32)
    written = agree(backend, "weight_norm.weight_norm_forward", v.copy(), np.zeros(2), v, np.ones(2, np.float32))
    assert np.allclose(written[0], 0.5)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dim", [0, 1, -1, -2, None], ids=str)
# torch's own are deprecated, not wrong
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_hook_as_torch(rng, name, dim):
    torch = pytest.importorskip("torch")
    sizes, shape = LAYERS[name]
    theirs = getattr(torch.nn, name)(*sizes)
    layer = getattr(nn, name)(*sizes)
    layer.load_state_dict(theirs.state_dict())
    theirs = torch.nn.utils.weight_norm(theirs, dim=dim)
    assert weight_norm(layer, dim=dim) is layer
    close(layer.weight_g.numpy(), theirs.weight_g.detach().numpy(), 1e-6)
    as_torch(torch, layer, theirs, shape, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    before = layer(x).numpy()
    assert remove_weight_norm(layer) is layer
    torch.nn.utils.remove_weight_norm(theirs)
    assert list(layer.state_dict()) == list(theirs.state_dict())
    assert isinstance(layer.weight, nn.Parameter)
    close(layer(x).numpy(), before, 1e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dim", [0, 1, -1, -2, None], ids=str)
def test_parametrization_as_torch(rng, name, dim):
    torch = pytest.importorskip("torch")
    sizes, shape = LAYERS[name]
    theirs = torch.nn.utils.parametrizations.weight_norm(getattr(torch.nn, name)(*sizes), dim=dim)
    layer = parametrizations.weight_norm(getattr(nn, name)(*sizes), dim=dim)
    as_torch(torch, layer, theirs, shape, rng)
    x = rng.standard_normal(shape).astype(np.float32)
    before = layer(x).numpy()
    parametrize.remove_parametrizations(layer, "weight")
    torch.nn.utils.parametrize.remove_parametrizations(theirs, "weight")
    assert list(layer.state_dict()) == list(theirs.state_dict()) and type(layer) is getattr(nn, name)
    close(layer(x).numpy(), before, 1e-6)


def test_it_trains_and_keeps_the_length_apart(rng):
    layer = weight_norm(nn.Linear(4, 3))
    optimizer = optim.SGD([layer.weight_g], lr=0.1)
    x = rng.standard_normal((8, 4)).astype(np.float32)
    direction = layer.weight_v.numpy().copy()
    first = float(layer(x).square().mean().item())
    for _ in range(20):
        optimizer.zero_grad()
        loss = layer(x).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < first
    assert np.array_equal(layer.weight_v.numpy(), direction)
    layer(x)
    norms = np.linalg.norm(layer.weight.detach().numpy(), axis=1)
    np.testing.assert_allclose(norms, np.abs(layer.weight_g.numpy().ravel()), rtol=1e-5)


def test_a_copy_has_a_weight_of_its_own(rng):
    for make in (weight_norm, parametrizations.weight_norm):
        layer = make(nn.Linear(4, 3))
        twin = copy.deepcopy(layer)
        x = rng.standard_normal((2, 4)).astype(np.float32)
        before = layer(x).numpy()
        for p in twin.parameters():
            p.data = p.data * 2
        assert np.array_equal(layer(x).numpy(), before)
        assert not np.array_equal(twin(x).numpy(), before)


def test_a_weight_of_no_elements_has_lengths_of_0():
    for make, name in ((weight_norm, "weight_g"), (parametrizations.weight_norm, "parametrizations.weight.original0")):
        layer = make(nn.Linear(0, 3))
        assert layer.state_dict()[name].numpy().tolist() == [[0], [0], [0]]
        assert layer(np.ones((2, 0), np.float32)).shape == (2, 3)


def test_errors():
    layer = weight_norm(nn.Linear(4, 3))
    with pytest.raises(RuntimeError, match="two weight_norm hooks on the same parameter weight"):
        weight_norm(layer)
    with pytest.raises(ValueError, match="weight_norm of 'bias' not found"):
        remove_weight_norm(layer, "bias")
    with pytest.raises(ValueError, match="uninitialized"):
        weight_norm(nn.LazyLinear(4))
    with pytest.raises(IndexError, match=r"dim: expected -2 .. 1 or None, got 2"):
        weight_norm(nn.Linear(4, 3), dim=2)
    for make in (weight_norm, spectral_norm):
        with pytest.raises(ValueError, match=r"bias of .* is None"):
            make(nn.Linear(4, 3, bias=False), "bias")
    for make in (parametrizations.weight_norm, parametrizations.spectral_norm):
        with pytest.raises(ValueError, match="a parameter or a buffer of the module, got 'bias'"):
            make(nn.Linear(4, 3, bias=False), "bias")
    with pytest.raises(AttributeError, match="gain"):
        weight_norm(nn.Linear(4, 3), "gain")
