"""nn.utils.parametrize: tensors that are computed from others, as torch.nn.utils.parametrize."""

import copy
import pickle

import hotloop
import numpy as np
import pytest
from helpers import close
from hotloop import nn, optim
from hotloop.nn.utils import parametrize
from hotloop.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations


class Doubled(nn.Module):
    def forward(self, x):
        return x * 2

    def right_inverse(self, x):
        return x / 2


class Product(nn.Module):
    """Of two tensors."""

    calls = 0

    def forward(self, a, b):
        type(self).calls += 1
        return a * b

    def right_inverse(self, x):
        return x, x * 0 + 1


class Shorter(nn.Module):
    def forward(self, x):
        return x[1:]


class Wrong(nn.Module):
    def forward(self, x):
        return x.double()


def test_the_value_stays_and_the_original_is_what_is_trained(rng):
    layer = nn.Linear(4, 3)
    weight, before = layer.weight, layer.weight.numpy().copy()
    assert register_parametrization(layer, "weight", Doubled()) is layer
    assert layer.parametrizations.weight.original is weight
    assert np.array_equal(layer.weight.detach().numpy(), before) and np.array_equal(weight.numpy(), before / 2)
    assert isinstance(layer, nn.Linear) and parametrize.type_before_parametrizations(layer) is nn.Linear
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer(rng.standard_normal((5, 4)).astype(np.float32)).square().sum().backward()
    optimizer.step()
    close(layer.weight.detach().numpy(), 2 * weight.numpy(), 1e-7)
    assert not np.array_equal(weight.numpy(), before / 2)


def test_assigning_goes_through_right_inverse():
    layer = register_parametrization(nn.Linear(4, 3), "weight", Doubled())
    layer.weight = hotloop.full((3, 4), 6.0)
    assert (layer.parametrizations.weight.original.numpy() == 3).all() and (layer.weight.numpy() == 6).all()


def test_one_after_another_and_several_tensors():
    layer = nn.Linear(4, 3)
    before = layer.weight.numpy().copy()
    register_parametrization(layer, "weight", Product())
    register_parametrization(layer, "weight", Doubled())
    register_parametrization(layer, "bias", Doubled())
    # right_inverse of the last comes first: the value is what it was
    close(layer.weight.detach().numpy(), before, 1e-7)
    names = [name for name, _ in layer.named_parameters()]
    assert names == [f"parametrizations.{name}" for name in ("weight.original0", "weight.original1", "bias.original")]
    assert is_parametrized(layer) and is_parametrized(layer, "bias") and not is_parametrized(layer, "gain")
    with pytest.raises(ValueError, match="sequence of tensors"):
        remove_parametrizations(layer, "weight", leave_parametrized=False)
    remove_parametrizations(layer, "weight")
    assert is_parametrized(layer, "bias") and not is_parametrized(layer, "weight")
    close(layer.weight.numpy(), before, 1e-7)
    bias = layer.parametrizations.bias.original.numpy().copy()
    remove_parametrizations(layer, "bias", leave_parametrized=False)
    assert type(layer) is nn.Linear and not hasattr(layer, "parametrizations")
    assert np.array_equal(layer.bias.numpy(), bias) and layer.bias.requires_grad


def test_a_buffer(rng):
    layer = register_parametrization(nn.BatchNorm1d(3), "running_var", Doubled())
    assert (layer.running_var.numpy() == 1).all()
    assert "parametrizations.running_var.original" in layer.state_dict()


def test_cached_computes_once():
    layer = register_parametrization(nn.Linear(4, 3), "weight", Product())
    Product.calls = 0
    with parametrize.cached():
        assert layer.weight is layer.weight
        with parametrize.cached():
            assert layer.weight is layer.weight
    assert Product.calls == 1
    assert layer.weight is not layer.weight and Product.calls == 3


def test_cached_is_not_stale():
    with parametrize.cached():
        layer = register_parametrization(nn.Linear(4, 3), "weight", Doubled())
        assert layer.weight.shape == (3, 4)
        layer.weight = hotloop.Tensor(np.full((3, 4), 6, np.float32))
        assert (layer.weight.numpy() == 6).all()
        # a module in the place of one that is gone
        for size in range(1, 9):
            layer = register_parametrization(nn.Linear(size, 3), "weight", Doubled())
            assert layer.weight.shape == (3, size)


def test_copies_pickles_and_modes(rng):
    layer = register_parametrization(nn.Sequential(nn.Linear(4, 3))[0], "weight", Doubled())
    x = rng.standard_normal((2, 4)).astype(np.float32)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is type(layer) and np.array_equal(twin(x).numpy(), layer(x).numpy())
        assert twin.parametrizations.weight.original is not layer.parametrizations.weight.original
    layer.eval()
    assert not layer.parametrizations.weight[0].training
    assert layer.double().weight.dtype == np.float64
    state = layer.state_dict()
    other = register_parametrization(nn.Linear(4, 3, dtype=np.float64), "weight", Doubled())
    other.load_state_dict(state)
    assert np.array_equal(other.weight.detach().numpy(), layer.weight.detach().numpy())


def test_printed_as_torch():
    torch = pytest.importorskip("torch")

    class Same(torch.nn.Module):
        def forward(self, x):
            return x

    theirs = torch.nn.utils.parametrize.register_parametrization(torch.nn.Linear(4, 3), "weight", Same())
    ours = register_parametrization(nn.Linear(4, 3), "weight", Doubled())
    assert repr(ours) == repr(theirs).replace("Same", "Doubled")


def test_errors():
    with pytest.raises(ValueError, match=r"of shape \(3, 4\), got \(2, 4\)"):
        register_parametrization(nn.Linear(4, 3), "weight", Shorter())
    with pytest.raises(ValueError, match="dtype float32, got float64"):
        register_parametrization(nn.Linear(4, 3), "weight", Wrong())
    assert register_parametrization(nn.Linear(4, 3), "weight", Shorter(), unsafe=True).weight.shape == (2, 4)
    with pytest.raises(ValueError, match="a parameter or a buffer of the module, got 'gain'"):
        register_parametrization(nn.Linear(4, 3), "gain", Doubled())
    with pytest.raises(ValueError, match="uninitialized"):
        register_parametrization(nn.LazyLinear(3), "weight", Doubled())
    with pytest.raises(ValueError, match="a parametrized tensor of the module, got 'weight'"):
        remove_parametrizations(nn.Linear(4, 3), "weight")
    layer = register_parametrization(nn.Linear(4, 3), "weight", Doubled())
    with pytest.raises(ValueError, match=r"of shape \(3, 4\), got \(2, 4\)"):
        register_parametrization(layer, "weight", Shorter())
