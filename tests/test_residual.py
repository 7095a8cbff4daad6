"""Residual connections in one node: the numbers of their parts, and the parts where somebody looks."""

import hotloop
import numpy as np
import pytest
from hotloop import nn, tensor
from hotloop.nn.residual import added, added_and_normalised

SHAPE = (3, 5, 24)


def apart(x, update, dropout, norm=None):
    y = x + dropout(update)
    return y if norm is None else norm(y)


def results(function, x, update, *modules, retain=1):
    """The result, and the gradients of both inputs and of the parameters."""
    hotloop.manual_seed(3)
    x, update = (tensor(a).requires_grad_() for a in (x, update))
    parameters = [p for module in modules for p in module.parameters()]
    for p in parameters:
        p.grad = None
    y = function(x, update, *modules)
    for again in range(retain, 0, -1):
        y.backward(np.cos(np.arange(y.numel()), dtype=y.dtype).reshape(y.shape), retain_graph=again > 1)
    return [y.numpy(), x.grad, update.grad, *(p.grad.copy() for p in parameters)]


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0], ids=str)
@pytest.mark.parametrize("norm", [None, {}, {"elementwise_affine": False}, {"bias": False}], ids=str)
def test_as_the_parts(rng, dtype, norm, p):
    x, update = rng.standard_normal((2, *SHAPE)).astype(dtype)
    modules = [nn.Dropout(p)] if norm is None else [nn.Dropout(p), nn.LayerNorm(SHAPE[-1], dtype=dtype, **norm)]
    together = added if norm is None else added_and_normalised
    for training in (True, False):
        modules[0].train(training)
        found = [results(function, x, update, *modules, retain=2) for function in (together, apart)]
        for a, b in zip(*found, strict=True):
            # the sum is rounded once together, and twice apart
            np.testing.assert_allclose(a, b, rtol=0, atol=64 * np.finfo(dtype).eps * max(1, np.abs(b).max()))


def test_one_node_each(rng):
    x, update = (tensor(a).requires_grad_() for a in rng.standard_normal((2, *SHAPE)).astype(np.float32))
    norm, dropout = nn.LayerNorm(SHAPE[-1]), nn.Dropout(0.3)
    assert added(x, update, dropout).grad_fn.name() == "_Added"
    assert added_and_normalised(x, update, dropout, norm).grad_fn.name() == "_AddedAndNormalised"


def test_an_input_that_needs_no_gradient(rng):
    x, update = rng.standard_normal((2, *SHAPE)).astype(np.float32)
    norm, dropout = nn.LayerNorm(SHAPE[-1]), nn.Dropout(0.3)
    for given in (x, update):
        want, got = (tensor(given).requires_grad_() for _ in range(2))
        for leaf, function in ((want, apart), (got, added_and_normalised)):
            hotloop.manual_seed(1)
            operands = (leaf, update) if given is x else (x, leaf)
            (function(*map(hotloop.as_tensor, operands), dropout, norm) ** 3).sum().backward()
        np.testing.assert_allclose(got.grad, want.grad, atol=1e-4)


@pytest.mark.parametrize("which", ["dropout", "norm"])
def test_hooks_and_forwards_of_the_user(rng, which):
    x, update = map(tensor, rng.standard_normal((2, *SHAPE)).astype(np.float32))
    modules = {"dropout": nn.Dropout(0.0), "norm": nn.LayerNorm(SHAPE[-1])}
    seen = []
    handle = modules[which].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    want = added_and_normalised(x, update, *modules.values())
    assert seen == [SHAPE]
    handle.remove()
    assert np.allclose(added_and_normalised(x, update, *modules.values()), want, atol=1e-6)
    modules[which].forward = lambda input: input * 0
    assert not np.any(added_and_normalised(x * 0, update, modules["dropout"], modules["norm"]).numpy())


@pytest.mark.parametrize("rows", [(0,), (2, 0)], ids=str)
def test_nothing(rows):
    x = tensor(np.ones((*rows, 4), np.float32)).requires_grad_()
    y = added_and_normalised(x, x, nn.Dropout(0.5), nn.LayerNorm(4))
    y.backward(np.ones(y.shape, np.float32))
    assert x.grad.shape == y.shape == (*rows, 4)


def test_shapes_that_broadcast(rng):
    x, update = tensor(rng.standard_normal(SHAPE)), tensor(rng.standard_normal(SHAPE[-1]))
    norm = nn.LayerNorm(SHAPE[-1], dtype=np.float64)
    assert np.allclose(added_and_normalised(x, update, nn.Dropout(0.0), norm), norm(x + update))
    with pytest.raises(RuntimeError, match="normalized_shape"):
        added_and_normalised(x, x, nn.Dropout(0.0), nn.LayerNorm(7, dtype=np.float64))
