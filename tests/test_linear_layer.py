"""Linear, LazyLinear, Bilinear and the layers that only reshape; numbers and shapes as torch.nn's."""

import copy
import pickle

import hotloop
import numpy as np
import pytest
from helpers import close, finite_difference
from hotloop import nn
from hotloop.nn import functional as F

ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "leaky_relu", "elu"]


def tensor(array, dtype=np.float32):
    return nn.Tensor(np.ascontiguousarray(array, dtype), requires_grad=True)


@pytest.mark.parametrize("lead", [(), (5,), (0,), (2, 3), (2, 0, 3), (1, 1, 1, 7)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
def test_linear_as_torch(rng, dtype, lead, bias):
    torch = pytest.importorskip("torch")
    ours = nn.Linear(6, 4, bias=bias, dtype=dtype)
    theirs = torch.nn.Linear(6, 4, bias=bias, dtype=torch.float32 if dtype == np.float32 else torch.float64)
    theirs.load_state_dict({name: torch.from_numpy(t.numpy().copy()) for name, t in ours.state_dict().items()})
    array = rng.standard_normal((*lead, 6)).astype(dtype)
    dy = rng.standard_normal((*lead, 4)).astype(dtype)
    x, their_x = tensor(array, dtype), torch.from_numpy(array.copy()).requires_grad_()
    y, their_y = ours(x), theirs(their_x)
    y.backward(dy)
    their_y.backward(torch.from_numpy(dy))
    tol = 1e-5 if dtype == np.float32 else 1e-13
    close(y.numpy(), their_y.detach().numpy(), tol, "y")
    close(np.asarray(x.grad), their_x.grad.numpy(), tol, "dx")
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(np.asarray(p.grad), q.grad.numpy(), tol, name)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activation(rng, activation):
    layer = nn.Linear(5, 7, dtype=np.float64, activation=activation)
    x = tensor(rng.standard_normal((3, 5)), np.float64)
    dy = rng.standard_normal((3, 7))
    layer(x).backward(dy)

    def weighted():
        return float((layer(x.numpy()).numpy() * dy).sum())

    for name, t in (("x", x), ("weight", layer.weight), ("bias", layer.bias)):
        close(np.asarray(t.grad), finite_difference(weighted, t.numpy()), 1e-7, name)
    assert f"activation='{activation}'" in repr(layer)
    same = F.linear(x, layer.weight, layer.bias, activation=activation)
    assert np.array_equal(same.numpy(), layer(x).numpy())
    with hotloop.no_grad():
        assert np.array_equal(layer(x).numpy(), same.numpy())


def test_gradients_accumulate(rng):
    layer = nn.Linear(3, 2)
    x = rng.standard_normal((4, 3)).astype(np.float32)
    layer(x).sum().backward()
    once = np.asarray(layer.weight.grad).copy()
    layer.bias.grad = None
    layer(x).sum().backward()
    close(np.asarray(layer.weight.grad), 2 * once, 1e-6, "weight")
    close(np.asarray(layer.bias.grad), np.full(2, 4.0), 1e-6, "bias")
    layer.zero_grad()
    # one layer twice in one graph
    (layer(x) + layer(2 * x)).sum().backward()
    close(np.asarray(layer.weight.grad), 3 * once, 1e-6, "weight")
    close(np.asarray(layer.bias.grad), np.full(2, 8.0), 1e-6, "bias")


def test_only_what_is_wanted(rng):
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    x = tensor(rng.standard_normal((4, 3)))
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert np.asarray(layer.bias.grad).tolist() == [4, 4]
    assert x.grad is not None


def test_strided_input(rng):
    layer = nn.Linear(3, 2)
    array = rng.standard_normal((3, 4)).astype(np.float32)
    assert np.array_equal(layer(array.T).numpy(), layer(np.ascontiguousarray(array.T)).numpy())
    x = tensor(array)
    layer(x.transpose(0, 1)).sum().backward()
    assert np.asarray(x.grad).shape == (3, 4)


def test_initial_values_as_torch():
    hotloop.manual_seed(0)
    layer = nn.Linear(64, 1000)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(values).max() <= 1 / 8
        assert abs(values).max() > 0.99 / 8
        assert abs(values.std() * 8 * np.sqrt(3) - 1) < 0.1
    assert nn.Linear(0, 3)(np.zeros((2, 0), np.float32)).numpy().tolist() == [[0] * 3] * 2
    again = [nn.Linear(4, 4).weight.numpy() for _ in range(2) if hotloop.manual_seed(3) is None]
    assert np.array_equal(*again)


def test_errors_say_expected_and_got():
    layer = nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"Linear: expected input \(\.\.\., 3\), got shape \(5, 4\)"):
        layer(np.zeros((5, 4), np.float32))
    with pytest.raises(ValueError, match=r"Linear: expected input \(\.\.\., 3\), got shape \(\)"):
        layer(np.float32(1))
    with pytest.raises(TypeError, match="float32, got float64"):
        layer(np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"expected weight \(out, in\), got shape \(3,\)"):
        F.linear(np.zeros((5, 3), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"expected bias \(2,\), got shape \(3,\)"):
        F.linear(np.zeros((5, 3), np.float32), np.zeros((2, 3), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="'swish'"):
        nn.Linear(3, 2, activation="swish")
    with pytest.raises((TypeError, ValueError), match="int64"):
        nn.Linear(3, 2, dtype=np.int64)
    with pytest.raises(ValueError, match="-3"):
        nn.Linear(-3, 2)


class TestLazy:
    def test_becomes_linear(self, rng):
        layer = nn.LazyLinear(4)
        assert repr(layer) == "LazyLinear(in_features=0, out_features=4, bias=True)"
        assert layer.has_uninitialized_params()
        with pytest.raises(RuntimeError, match="uninitialized"):
            _ = layer.weight.shape
        weight = layer.weight
        y = layer(rng.standard_normal((5, 3)).astype(np.float32))
        assert y.shape == (5, 4)
        assert type(layer) is nn.Linear
        assert layer.weight is weight
        assert type(weight) is nn.Parameter
        assert weight.shape == (4, 3)
        assert repr(layer) == "Linear(in_features=3, out_features=4, bias=True)"
        assert np.abs(weight.numpy()).max() <= 3**-0.5
        y.sum().backward()
        assert weight.grad is not None

    def test_conversion_copies_and_freezing_before_the_first_input(self, rng):
        x = rng.standard_normal((5, 3))
        assert nn.LazyLinear(4).double()(x).dtype == np.float64
        assert nn.LazyLinear(4, dtype=np.float64, bias=False)(x).dtype == np.float64
        for twin in (copy.deepcopy(nn.LazyLinear(4)), pickle.loads(pickle.dumps(nn.LazyLinear(4)))):
            assert twin(x.astype(np.float32)).shape == (5, 4)
        frozen = nn.LazyLinear(4).requires_grad_(False)
        frozen(x.astype(np.float32))
        assert not frozen.weight.requires_grad

    def test_state(self, rng):
        full, lazy = nn.Linear(3, 4), nn.LazyLinear(4)
        with pytest.raises(ValueError, match="uninitialized"):
            full.load_state_dict(lazy.state_dict())
        lazy.load_state_dict(full.state_dict())
        x = rng.standard_normal((5, 3)).astype(np.float32)
        assert np.array_equal(lazy(x).numpy(), full(x).numpy())
        assert lazy.in_features == 3


@pytest.mark.parametrize("lead", [(), (5,), (0,), (2, 3)], ids=str)
def test_bilinear_as_torch(rng, lead):
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Bilinear(3, 5, 4), torch.nn.Bilinear(3, 5, 4)
    ours.load_state_dict(theirs.state_dict())
    arrays = [rng.standard_normal((*lead, n)).astype(np.float32) for n in (3, 5, 4)]
    x1, x2 = tensor(arrays[0]), tensor(arrays[1])
    t1, t2 = (torch.from_numpy(a.copy()).requires_grad_() for a in arrays[:2])
    y, their_y = ours(x1, x2), theirs(t1, t2)
    y.backward(arrays[2])
    their_y.backward(torch.from_numpy(arrays[2]))
    close(y.numpy(), their_y.detach().numpy(), 1e-5, "y")
    pairs = [(x1, t1), (x2, t2), (ours.weight, theirs.weight), (ours.bias, theirs.bias)]
    for name, (a, b) in zip(("dx1", "dx2", "dw", "db"), pairs, strict=True):
        close(np.asarray(a.grad), b.grad.numpy(), 1e-5, name)
    assert repr(ours) == repr(theirs)


def test_bilinear_errors():
    layer = nn.Bilinear(3, 5, 4)
    good, other = np.zeros((2, 3), np.float32), np.zeros((2, 5), np.float32)
    with pytest.raises(ValueError, match=r"expected input2 \(\.\.\., 5\), got shape \(2, 3\)"):
        layer(good, good)
    with pytest.raises(ValueError, match="same dimensions but for the last"):
        layer(good, other[:1])
    with pytest.raises(TypeError, match="float64"):
        layer(good.astype(np.float64), other)
    with pytest.raises(ValueError, match="in1_features"):
        nn.Bilinear(0, 1, 1)


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4), (5,), ()], ids=str)
@pytest.mark.parametrize("dims", [(0, -1), (1, -1), (0, 1), (-2, -1)], ids=str)
def test_flatten_as_torch(rng, shape, dims):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal(shape).astype(np.float32)
    try:
        want = torch.from_numpy(np.array(x)).flatten(*dims).numpy()
    except (IndexError, RuntimeError):
        with pytest.raises((IndexError, ValueError)):
            nn.Flatten(*dims)(x)
        return
    got = F.flatten(x, *dims).numpy()
    assert got.shape == want.shape
    assert np.array_equal(got, want)
    assert np.array_equal(nn.Flatten(*dims)(x).numpy(), want)


def test_reshaping_layers_pass_gradients(rng):
    x = tensor(rng.standard_normal((2, 12)))
    nn.Sequential(nn.Unflatten(1, (3, -1)), nn.Flatten(), nn.Identity("anything", a=1))(x).sum().backward()
    assert np.asarray(x.grad).tolist() == np.ones((2, 12)).tolist()


def test_unflatten_errors():
    x = np.zeros((2, 12), np.float32)
    assert nn.Unflatten(-1, [2, -1, 3])(x).shape == (2, 2, 2, 3)
    for sizes in ((5, 2), (5, -1), (-1, -1), ()):
        with pytest.raises(ValueError, match="12"):
            nn.Unflatten(1, sizes)(x)
    with pytest.raises(IndexError):
        nn.Unflatten(2, (1, 2))(x)
    with pytest.raises(TypeError):
        nn.Unflatten("C", (1, 2))
    with pytest.raises(TypeError):
        nn.Unflatten(1, 12)
