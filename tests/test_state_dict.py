"""State by name: into the same memory, all of it or none, and both ways with torch."""

import numpy as np
import pytest
from hotloop import nn
from nets import Net, torch_net


def test_state_goes_both_ways_with_torch(rng):
    torch, theirs = torch_net()
    ours = Net()
    x = rng.standard_normal((5, 3)).astype(np.float32)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    theirs.load_state_dict({name: torch.from_numpy(t.numpy().copy()) for name, t in Net().state_dict().items()})
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    half = {name: t.bfloat16() for name, t in theirs.state_dict().items()}
    ours.load_state_dict(half)
    assert np.array_equal(ours.first.weight.numpy(), half["first.weight"].float().numpy())


def full_state(value=1.0):
    return {name: np.full(t.shape, value, np.float32) for name, t in Net().state_dict().items()}


def test_into_the_same_storage():
    net = Net()
    weight, array = net.first.weight, net.first.weight.numpy()
    result = net.load_state_dict(full_state(2.0))
    assert str(result) == "<All keys matched successfully>"
    assert net.first.weight is weight
    assert (array == 2).all()
    assert (net.mean.numpy() == 2).all()


def test_strictness():
    net, state = Net(), full_state()
    del state["scale"]
    state["stranger"] = np.zeros(1)
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"stranger"(.|\n)*Missing key.*"scale"'):
        net.load_state_dict(state)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale"]
    assert result.unexpected_keys == ["stranger"]
    assert (net.first.weight.numpy() == 1).all()
    assert (net.scale.numpy() == 1).all()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "bad, message",
    [
        (np.ones((4, 4), np.float32), r'"rest.0.bias": expected shape \(4,\), got \(4, 4\)'),
        (np.ones(4, np.complex64), '"rest.0.bias".*complex64'),
        (np.array(["a"] * 4), '"rest.0.bias"'),
        (object(), '"rest.0.bias"'),
    ],
    ids=["shape", "complex", "text", "object"],
)
def test_nothing_changes_when_something_is_wrong(bad, message, strict):
    net = Net()
    before = {name: t.numpy().copy() for name, t in net.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        net.load_state_dict({**full_state(), "rest.0.bias": bad}, strict=strict)
    for name, t in net.state_dict().items():
        assert np.array_equal(t.numpy(), before[name]), name


def test_dtypes():
    net = Net()
    net.register_buffer("steps", nn.Tensor(np.array(3)))
    net.load_state_dict({**{k: v.astype(np.float64) for k, v in full_state().items()}, "steps": np.array([5])})
    assert net.first.weight.dtype == np.float32
    assert net.steps.item() == 5
    with pytest.raises(ValueError, match=r'"steps": expected int64, got float32'):
        net.load_state_dict({**full_state(), "steps": np.float32(1)})
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1, 2])


def test_states_made_of_the_module_itself():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    a, b = (layer.weight.numpy().copy() for layer in net)
    state = net.state_dict()
    net.load_state_dict(state)
    assert np.array_equal(net[0].weight.numpy(), a)
    state["0.weight"], state["1.weight"] = state["1.weight"], state["0.weight"]
    net.load_state_dict(state)
    assert np.array_equal(net[0].weight.numpy(), b)
    assert np.array_equal(net[1].weight.numpy(), a)


def test_read_only_memory_is_refused():
    net = Net()
    frozen = np.zeros(2, np.float32)
    frozen.flags.writeable = False
    net.mean = nn.Tensor(frozen)
    before = net.first.weight.numpy().copy()
    with pytest.raises(ValueError, match=r'"mean".*read-only'):
        net.load_state_dict(full_state())
    assert np.array_equal(net.first.weight.numpy(), before)


def test_state_shares_memory():
    net = Net()
    state = net.state_dict()
    net.load_state_dict(full_state(3.0))
    assert (state["first.weight"].numpy() == 3).all()
    assert not state["first.weight"].requires_grad
    assert net.state_dict(keep_vars=True)["first.weight"] is net.first.weight
    assert list(net.first.state_dict(prefix="a.")) == ["a.weight", "a.bias"]


def test_parameters_as_a_vector(rng):
    net = Net()
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (sum(p.numel() for p in net.parameters()),)
    assert np.array_equal(vector.numpy()[2:14], net.first.weight.numpy().ravel())
    weights = rng.standard_normal(vector.shape).astype(np.float32)
    vector.backward(weights)
    assert np.array_equal(np.asarray(net.first.weight.grad).ravel(), weights[2:14])
    array = net.first.weight.numpy()
    nn.utils.vector_to_parameters(nn.Tensor(weights), net.parameters())
    assert np.array_equal(array.ravel(), weights[2:14])
    assert np.array_equal(nn.utils.parameters_to_vector(net.parameters()).numpy(), weights)
    with pytest.raises(ValueError, match=r"shape \(46,\), got \(3,\)"):
        nn.utils.vector_to_parameters(nn.Tensor(weights[:3]), net.parameters())
    with pytest.raises(ValueError, match="at least one"):
        nn.utils.parameters_to_vector([])
