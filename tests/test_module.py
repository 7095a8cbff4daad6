"""Module: registration, walking, modes, hooks; side by side with torch.nn.Module where it is installed."""

import copy
import pickle
import timeit

import hotloop
import numpy as np
import pytest
from hotloop import nn
from nets import Net, torch_net


def names(pairs):
    return [name for name, _ in pairs]


def test_walks_like_torch():
    _, theirs = torch_net()
    ours = Net()
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert names(getattr(ours, method)()) == names(getattr(theirs, method)()), method
    for method in ("named_parameters", "named_buffers", "named_modules"):
        kwargs = {"prefix": "net", "remove_duplicate": False}
        assert names(getattr(ours, method)(**kwargs)) == names(getattr(theirs, method)(**kwargs)), method
    assert names(ours.named_parameters(recurse=False)) == ["scale"]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert repr(ours) == repr(theirs)
    assert len(list(ours.modules())) == len(list(theirs.modules()))
    assert names(ours._parameters.items()) == names(theirs._parameters.items())


def test_assignment_rules():
    net = Net()
    with pytest.raises(TypeError, match=r"cannot assign .* as parameter 'scale'"):
        net.scale = nn.Tensor(np.ones(2, np.float32))
    with pytest.raises(TypeError, match="as child module 'first'"):
        net.first = 3
    with pytest.raises(TypeError, match="as buffer 'mean'"):
        net.mean = np.zeros(2)
    net.mean = nn.Tensor(np.ones(2, np.float32))
    assert dict(net.named_buffers())["mean"] is net.mean
    net.scale = None
    assert "scale" not in names(net.named_parameters())
    assert "scale" in net._parameters
    net.note = "plain"
    net.note = nn.Parameter(nn.Tensor(np.ones(1, np.float32)))
    assert names(net.named_parameters(recurse=False)) == ["note"]
    net.first = nn.Linear(3, 1)
    assert net.first.weight.shape == (1, 3)
    assert net.again.weight.shape == (4, 3)
    del net.note, net.mean, net.first
    assert not hasattr(net, "note")
    assert not hasattr(net, "mean")
    assert names(net.named_children()) == ["rest", "again"]
    with pytest.raises(AttributeError):
        del net.note
    # a name that changes its meaning goes to the end of its new kind
    net.none = nn.Linear(1, 1)
    assert names(net.named_children()) == ["rest", "again", "none"]


def test_registration_refuses_bad_names_and_values():
    net = Net()
    parameter = nn.Parameter(nn.Tensor(np.ones(1, np.float32)))
    for name, error in (("a.b", KeyError), ("", KeyError), (3, TypeError), ("forward", KeyError), ("first", KeyError)):
        with pytest.raises(error):
            net.register_parameter(name, parameter)
    with pytest.raises(KeyError, match="'scale' already exists"):
        net.register_buffer("scale", nn.Tensor(np.ones(1, np.float32)))
    with pytest.raises(TypeError):
        net.register_parameter("p", np.ones(1))
    with pytest.raises(TypeError):
        net.register_buffer("b", np.ones(1))
    with pytest.raises(TypeError):
        net.add_module("m", 3)

    class Early(nn.Module):
        def __init__(self, value):
            self.value = value

    assert Early(3).value == 3
    for value in (parameter, net):
        with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
            Early(value)
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()()
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'nothing'"):
        _ = net.nothing


def test_get_by_dotted_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("rest.0") is net.rest[0]
    assert net.get_parameter("rest.0.weight") is net.rest[0].weight
    assert net.get_buffer("cache") is net.cache
    for call in (
        lambda: net.get_submodule("rest.9"),
        lambda: net.get_submodule("scale"),
        lambda: net.get_parameter("mean"),
        lambda: net.get_buffer("first.weight"),
        lambda: net.get_parameter("first.nothing"),
    ):
        with pytest.raises(AttributeError):
            call()


def test_modes_apply_and_requires_grad():
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train("yes")
    seen = []
    assert net.apply(seen.append) is net
    assert seen[-1] is net
    assert seen.index(net.rest[0]) < seen.index(net.rest)
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad(rng):
    net = Net()
    net(rng.standard_normal((5, 3)).astype(np.float32)).sum().backward()
    assert net.first.weight.grad is not None
    assert net.scale.grad is None
    net.zero_grad(set_to_none=False)
    assert not np.asarray(net.first.weight.grad).any()
    assert net.scale.grad is None
    net.zero_grad()
    assert net.first.weight.grad is None


def test_conversion(rng):
    net = Net()
    net.register_buffer("steps", nn.Tensor(np.array(3)))
    before = net.first.weight.numpy().copy()
    weight = net.first.weight
    net(rng.standard_normal((5, 3)).astype(np.float32)).sum().backward()
    assert net.double() is net
    assert net.first.weight is weight
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert net.mean.dtype == np.float64
    assert net.steps.dtype == np.int64
    assert np.asarray(net.first.weight.grad).dtype == np.float64
    assert np.array_equal(net.first.weight.numpy(), before)
    assert np.array_equal(net.float().first.weight.numpy(), before)
    assert net.to(hotloop.float64).first.weight.dtype == np.float64
    assert net.to("cpu", hotloop.float32).first.weight.dtype == np.float32
    assert net.to(nn.Tensor(np.zeros(1))).first.weight.dtype == np.float64
    assert net.to(device="cpu", dtype=np.float32).mean.dtype == np.float32
    with pytest.raises(TypeError, match="float32 or float64"):
        net.to(np.int64)
    with pytest.raises((TypeError, ValueError), match="quantum"):
        net.to("quantum")


def test_copies_are_independent():
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        assert twin.again is twin.first
        assert names(twin.named_parameters()) == names(net.named_parameters())
        twin.load_state_dict({name: np.full(t.shape, 7.0) for name, t in twin.state_dict().items()})
        assert not (net.first.weight.numpy() == 7).any()
    shallow = copy.copy(net)
    shallow.extra = nn.Linear(1, 1)
    assert shallow.first is net.first
    assert "extra" not in names(net.named_children())


class TestHooks:
    def test_forward(self):
        layer = nn.Identity()
        log = []
        one = nn.Tensor(np.ones(1, np.float32))
        layer.register_forward_hook(lambda m, args, y: log.append("after"))
        handle = layer.register_forward_pre_hook(lambda m, args: (log.append("before"), (args[0] + 1,))[1])
        layer.register_forward_pre_hook(lambda m, args: log.append("first"), prepend=True)
        assert layer(one).item() == 2
        assert log == ["first", "before", "after"]
        handle.remove()
        handle.remove()
        assert layer(one).item() == 1
        with layer.register_forward_hook(lambda m, args, y: y * 10):
            assert layer(one).item() == 10
        assert layer(one).item() == 1

    def test_forward_with_kwargs(self):
        class Add(nn.Module):
            def forward(self, x, other=0):
                return x + other

        add = Add()
        seen = []
        add.register_forward_pre_hook(lambda m, args, kwargs: (args, {"other": 5}), with_kwargs=True)
        add.register_forward_hook(lambda m, args, kwargs, y: seen.append(kwargs), with_kwargs=True)
        assert add(1) == 6
        assert seen == [{"other": 5}]
        add.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
        with pytest.raises(RuntimeError, match=r"\(args, kwargs\)"):
            add(1)

    def test_always_called(self):
        class Broken(nn.Module):
            def forward(self):
                raise OSError("broken")

        seen = []
        broken = Broken()
        broken.register_forward_hook(lambda m, args, y: seen.append("never"))
        broken.register_forward_hook(lambda m, args, y: seen.append(y), always_call=True)
        with pytest.raises(OSError, match="broken"):
            broken()
        assert seen == [None]

    def test_backward(self, rng):
        layer = nn.Linear(3, 2)
        x = nn.Tensor(rng.standard_normal((5, 3)).astype(np.float32), requires_grad=True)
        seen = []
        layer(x).sum().backward()
        plain = np.asarray(x.grad).copy()
        x.grad = None
        layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
        layer(x).sum().backward()
        (grad_input,), (grad_output,) = seen[0]
        assert np.array_equal(np.asarray(grad_output), np.ones((5, 2), np.float32))
        assert np.array_equal(np.asarray(grad_input), plain)
        assert np.array_equal(np.asarray(x.grad), plain)
        x.grad = None
        layer.register_full_backward_hook(lambda m, gi, go: (nn.Tensor(np.full((5, 3), 9, np.float32)),))
        layer(x).sum().backward()
        assert (np.asarray(x.grad) == 9).all()
        layer.register_full_backward_pre_hook(lambda m, go: (nn.Tensor(np.zeros((5, 2), np.float32)),))
        layer.weight.grad = None
        layer(x).sum().backward()
        assert not np.asarray(layer.weight.grad).any()

    def test_backward_without_input_gradients(self, rng):
        layer = nn.Linear(3, 2)
        seen = []
        layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0] is not None)))
        layer(rng.standard_normal((5, 3)).astype(np.float32)).sum().backward()
        assert seen == [((None,), True)]
        with hotloop.no_grad():
            layer(rng.standard_normal((5, 3)).astype(np.float32))
        assert len(seen) == 1


def test_lean_call():
    class Nothing(nn.Module):
        def forward(self, x):
            return x

    nothing = Nothing()
    forward = nothing.forward
    best = {
        name: min(timeit.repeat(lambda f=f: f(1), number=2000, repeat=20)) / 2000
        for name, f in (("call", nothing), ("forward", forward))
    }
    overhead = best["call"] - best["forward"]
    print(f"overhead of a call: {overhead * 1e9:.0f} ns")
    # well under a microsecond on a quiet machine; the bound leaves room for a loaded one
    assert overhead < 2e-6
