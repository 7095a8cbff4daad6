"""Layers of a Sequential that are computed together: what they compute, and when they are not."""

import hotloop
import numpy as np
import pytest
from hotloop import nn, no_grad, tensor
from hotloop.nn.engine import grad
from hotloop.nn.linear import LinearFunction

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "silu": nn.SiLU, "tanh": nn.Tanh}


class Apart(nn.Module):
    """The modules of a Sequential, called one after the other."""

    def __init__(self, modules):
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, x):
        for module in self.parts:
            x = module(x)
        return x


def results(net, x, dy, retain=1):
    """The output, and the gradients of input and parameters."""
    net.zero_grad()
    x = tensor(x).requires_grad_()
    y = net(x)
    for again in range(retain, 0, -1):
        y.backward(dy, retain_graph=again > 1)
    return [y.numpy(), x.grad, *(p.grad.copy() for p in net.parameters())]


def check(net, x, rng, tol=2e-6, **options):
    dy = rng.standard_normal(net(x).shape).astype(x.dtype)
    together, apart = results(net, x, dy, **options), results(Apart(net), x, dy, **options)
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tol * max(1, np.abs(b).max(initial=0)))


def nodes(y):
    """The functions behind a result, the last first."""
    out, node = [], y.grad_fn
    while node is not None:
        out.append(node.function)
        node = next((edge[0] for edge in node.edges if type(edge) is tuple), None)
    return out


@pytest.fixture
def x(rng):
    return rng.standard_normal((5, 4)).astype(np.float32)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("rows", [(), (1,), (5,), (40,), (2, 3), (0,)], ids=str)
def test_as_apart(rng, name, rows):
    act = ACTIVATIONS[name]
    net = nn.Sequential(nn.Linear(33, 40), act(), nn.Linear(40, 70, bias=False), act(), nn.Linear(70, 3))
    x = rng.standard_normal((*rows, 33)).astype(np.float32)
    assert nodes(net(x)) == [LinearFunction]
    check(net, x, rng)


def test_relu_has_the_same_bits(rng):
    net = nn.Sequential(nn.Linear(33, 40), nn.ReLU(), nn.Linear(40, 17), nn.ReLU())
    check(net, rng.standard_normal((50, 33)).astype(np.float32), rng, tol=0)


@pytest.mark.parametrize("p", [0.3, 1.0], ids=str)
def test_dropout_drops_the_same(rng, p):
    """And gives the same gradients to the last bit: behind a ReLU the result tells what was dropped."""
    layers = nn.Linear(33, 40), nn.ReLU(), nn.Dropout(p), nn.Linear(40, 17), nn.Linear(17, 21), nn.ReLU(), nn.Dropout(p)
    net = nn.Sequential(*layers)
    x, dy = rng.standard_normal((50, 33)).astype(np.float32), rng.standard_normal((50, 21)).astype(np.float32)
    found = []
    for module in (net, Apart(net)):
        hotloop.manual_seed(5)
        found.append(results(module, x, dy, retain=2))
    assert nodes(net(x)) == [LinearFunction]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_that_drops_nothing_goes_along(rng, x):
    net = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.0), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2))
    assert nodes(net(x)) == [LinearFunction]
    net.eval()
    assert nodes(net(x)) == [LinearFunction]
    check(net, x, rng)
    net.train()
    net[3].forward = lambda input: input * 3
    assert len(nodes(net(x))) > 1


def test_dropout_without_a_relu_before_it(rng, x):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 2), nn.Dropout(0.5))
    assert [f.__name__ for f in nodes(net(x))].count("_Drop") == 2


def test_float64_and_activations_of_the_layers_own(rng):
    net = nn.Sequential(nn.Linear(4, 6, activation="gelu"), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    check(net, rng.standard_normal((3, 4)), rng, tol=1e-14)


def test_other_modules_go_between(rng, x):
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Tanh(), nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 6), nn.ReLU())
    assert [f.__name__ for f in nodes(net(x))].count("LinearFunction") == 3
    check(net, x, rng)
    assert nn.Sequential()(3) == 3


def test_a_layer_that_comes_twice(rng, x):
    layer = nn.Linear(4, 4)
    net = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), layer)
    assert nodes(net(x)) == [LinearFunction]
    check(net, x, rng)


def test_backward_again_adds(rng, x):
    check(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2), nn.ReLU()), x, rng, retain=3)


@pytest.mark.parametrize("frozen", range(3))
def test_frozen_layers(rng, x, frozen):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))
    net[2 * frozen].requires_grad_(False)
    found = []
    for module in (net, Apart(net)):
        module.zero_grad()
        module(x).sum().backward()
        found.append([None if p.grad is None else p.grad.copy() for p in module.parameters()])
        assert [g is None for g in found[-1]] == [k // 2 == frozen for k in range(6)]
    for a, b in zip(*found, strict=True):
        assert a is b or np.allclose(a, b, atol=1e-6)


def test_grad_of_one_weight(x):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    (got,) = grad(net(x).sum(), net[2].weight)
    (want,) = grad(Apart(net)(x).sum(), net[2].weight)
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert net[2].weight.grad is None and net[0].weight.grad is None


@pytest.mark.parametrize("place", range(3))
def test_hooks_see_what_lies_between(x, place):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    seen = []
    handle = net[place].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    y = net(x)
    assert seen == [((5, 6), (5, 6), (5, 2))[place]] and len(nodes(y)) > 1
    handle.remove()
    np.testing.assert_allclose(net(x).numpy(), y.numpy(), atol=1e-6)
    assert len(seen) == 1


def test_what_a_user_changed_is_called(x):
    class Twice(nn.ReLU):
        def forward(self, input):
            return super().forward(input) * 2

    net = nn.Sequential(nn.Linear(4, 6), Twice())
    np.testing.assert_array_equal(net(x).numpy(), 2 * np.maximum(net[0](x).numpy(), 0))
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    net[1].forward = lambda input: input * 3
    np.testing.assert_array_equal(net(x).numpy(), 3 * net[0](x).numpy())
    net[0].forward = lambda input: tensor(np.ones((1, 1), np.float32))
    assert net(x).tolist() == [[3.0]]


@pytest.mark.parametrize("kind", [nn.Linear, nn.ReLU])
def test_a_class_that_a_user_changed_is_called(x, kind, monkeypatch):
    net, before = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), kind.forward
    called = []
    monkeypatch.setattr(kind, "forward", lambda self, input: called.append(self) or before(self, input))
    y = net(x)
    assert called == [module for module in net if type(module) is kind]
    np.testing.assert_allclose(y.numpy(), Apart(net)(x).numpy(), atol=1e-6)


def test_changes_in_place_are_noticed(x):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2), nn.Tanh())
    given = tensor(x)
    for change in (lambda y: given.zero_(), lambda y: net[2].weight.zero_(), lambda y: y.zero_()):
        y = net(given)
        loss = y.sum()
        with no_grad():
            change(y)
        with pytest.raises(RuntimeError, match="changed in place"):
            loss.backward()
    # without an activation at the end the output is not needed
    y = net[:3](given)
    loss = y.sum()
    with no_grad():
        y.zero_()
    loss.backward()


def test_errors_name_the_shape_that_came(x):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(5, 2))
    with pytest.raises(ValueError, match=r"Linear: expected input \(\.\.\., 5\), got shape \(5, 6\)"):
        net(x)
    with pytest.raises(ValueError, match=r"Linear: expected input \(\.\.\., 5\), got shape \(5, 1, 6\)"):
        net(x[:, None])
    with pytest.raises(TypeError, match="float64"):
        net(x.astype(np.float64))
    with pytest.raises(TypeError, match="list"):
        net([[1.0, 2.0, 3.0, 4.0]])


def test_nothing_is_kept_without_a_gradient(x):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    with no_grad():
        y = net(x)
    assert y.grad_fn is None and not y.requires_grad
    y = net(x)
    node = y.grad_fn
    y.sum().backward()
    assert node.inputs is None and node.saved is None


IMAGES = {
    "conv, relu": lambda: [nn.Conv2d(2, 5, 3), nn.ReLU()],
    "conv, silu, conv, tanh": lambda: [nn.Conv2d(2, 5, 3, bias=False), nn.SiLU(), nn.Conv2d(5, 3, 2), nn.Tanh()],
    "conv, relu, pool": lambda: [nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
    "relu, pool with padding": lambda: [nn.ReLU(), nn.MaxPool2d(3, 2, 1)],
    "norm, relu, pool": lambda: [nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.MaxPool2d((2, 3), ceil_mode=True)],
    "reflected": lambda: [nn.Conv2d(2, 5, 3, padding=1, padding_mode="reflect"), nn.ReLU()],
    "activation of its own": lambda: [nn.Conv2d(2, 5, 3, activation="gelu"), nn.ReLU()],
}
TOGETHER = {"conv, relu": 1, "conv, silu, conv, tanh": 2, "conv, relu, pool": 2}


@pytest.mark.parametrize("name", IMAGES)
def test_images(rng, name):
    net = nn.Sequential(*IMAGES[name]())
    x = rng.standard_normal((3, 2, 9, 8)).astype(np.float32)
    if name in TOGETHER:
        assert len(nodes(net(x))) == TOGETHER[name]
    check(net, x, rng)


def test_pooling_goes_before_relu(rng):
    net = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    x = rng.integers(-2, 3, (3, 2, 8, 6)).astype(np.float32)
    x[0, 0, 0, :3], x[1, 1] = np.nan, -np.inf
    assert [f.__name__ for f in nodes(net(tensor(x).requires_grad_()))] == ["MaxPool"]
    dy = rng.standard_normal((3, 2, 4, 3)).astype(np.float32)
    for a, b in zip(results(net, x, dy), results(Apart(net), x, dy), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "modules",
    [
        lambda: [nn.ReLU(inplace=True), nn.MaxPool1d(2)],
        lambda: [nn.Identity(), nn.ReLU(inplace=True), nn.MaxPool1d(2)],
        lambda: [nn.ReLU(), nn.MaxPool1d(2, return_indices=True)],
        # its last window holds nothing
        lambda: [nn.ReLU(), nn.MaxPool1d(2, padding=1, dilation=2, ceil_mode=True, stride=3)],
    ],
)
def test_pooling_that_stays_behind_relu(modules):
    net, x = nn.Sequential(*modules()), np.array([[-1.0, -2.0, 3.0, -4.0, -5.0]], np.float32)
    given, apart = tensor(x.copy()), tensor(x.copy())
    for a, b in zip(np.atleast_2d(net(given)), np.atleast_2d(Apart(net)(apart)), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(given.numpy(), apart.numpy())


def test_hooks_between_images(rng):
    net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2))
    x = rng.standard_normal((3, 2, 8, 8)).astype(np.float32)
    for place in range(3):
        seen = []
        handle = net[place].register_forward_hook(lambda module, args, output, seen=seen: seen.append(output.shape[2]))
        net(x)
        assert seen == [(6, 6, 3)[place]]
        handle.remove()
