"""What code written for PyTorch reaches for: names beside the usual ones, and what mistakes are told."""

import math

import hotloop
import numpy as np
import pytest
from hotloop import nn, optim, train
from hotloop.kernels import cuda
from hotloop.nn import Function, Tensor
from parity import compare

METHODS = {
    "relu": lambda F, x: (x.relu(), F.relu(x)),
    "softmax": lambda F, x: (x.softmax(1), x.softmax(dim=-1), F.softmax(x, dim=0)),
    "log_softmax": lambda F, x: (x.log_softmax(1), x.log_softmax(dim=-1), F.log_softmax(x, 0)),
    "prelu": lambda F, x: x.prelu(x[0, :1]),
    "hardshrink": lambda F, x: (x.hardshrink(), x.hardshrink(0.1)),
    "clamp": lambda F, x: (x.clamp_min(-0.5), x.clamp_max(0.5)),
    "logical": lambda F, x: (F.logical_and(x > 0, x), F.logical_or(x > 0, x > 1), F.logical_xor(x > 0, x > 1)),
    "new": lambda F, x: (x.new_zeros(2, 3), x.new_ones((2,)), x.new_full((2, 2), 3.5), x.new_tensor([1, 2])),
    "rounded quotient": lambda F, x: x.long().div(2, rounding_mode="trunc"),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_as_torch(rng, name):
    compare(METHODS[name], [(3, 4)], rng)


def test_new_tensors_are_like_the_old_one():
    x = hotloop.zeros(3, dtype=hotloop.float64)
    assert x.new_empty(2, 3).shape == (2, 3) and x.new_empty(1).dtype == hotloop.float64
    assert x.new_ones(2, dtype=hotloop.int64).dtype == hotloop.int64
    assert x.new_zeros(2, requires_grad=True).requires_grad
    assert x.nelement() == 3 and x.ndimension() == 1 and not x.is_cuda


def test_random_numbers_in_place():
    hotloop.manual_seed(0)
    x = hotloop.zeros(10_000)
    assert x.normal_(2, 0.5) is x
    assert abs(x.mean().item() - 2) < 0.05 and abs(x.std().item() - 0.5) < 0.05
    x.uniform_(-1, 3)
    assert x.min().item() >= -1 and x.max().item() < 3 and abs(x.mean().item() - 1) < 0.1
    w = hotloop.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="in-place"):
        w.normal_()
    with hotloop.no_grad():
        w.normal_()
    assert w.numpy().any()


class Exp(Function):
    """As written for PyTorch."""

    @staticmethod
    def forward(ctx, x):
        y = np.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        assert ctx.needs_input_grad == (True,)
        return dy * y


def test_functions_by_torchs_names(rng):
    x = Tensor(rng.standard_normal(5).astype(np.float32), requires_grad=True)
    Exp.apply(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.exp(x.numpy()), rtol=1e-6)


def fit(model=None, optimizer=None, callbacks=()):
    data = np.ones((4, 1), np.float32)
    train.fit(model, nn.MSELoss(), optimizer, (data, data), callbacks=callbacks, verbose=False)


LAYER = nn.Linear(1, 1)
SGD = optim.SGD(LAYER.parameters(), lr=0.1)
MISTAKES = {
    "size": (lambda: nn.Linear(3.5, 2), TypeError, "sizes as integers, got 3.5"),
    "size of text": (lambda: nn.Linear("3", 2), TypeError, "sizes as integers, got '3'"),
    "equation": (lambda: hotloop.einsum(hotloop.ones(2)), TypeError, "equation"),
    "bound": (lambda: hotloop.ones(2).clamp("a"), TypeError, "numbers"),
    "type": (lambda: hotloop.ones(2).type_as(3), TypeError, "Tensor, got int"),
    "range": (lambda: hotloop.arange(0, math.inf), ValueError, "finite"),
    "nan": (lambda: hotloop.arange(math.nan), ValueError, "finite"),
    "filled": (lambda: nn.init.normal_("a"), TypeError, "Tensor or an array to fill, got str"),
    "model": (lambda: fit(None, SGD), TypeError, "model: .*NoneType"),
    "optimizer": (lambda: fit(LAYER, None), TypeError, "optimizer: .*NoneType"),
    "callback": (lambda: fit(LAYER, SGD, [3]), TypeError, "Callbacks, got int"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    mistake, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        mistake()


@pytest.mark.parametrize("bound", [np.zeros(2, np.float32), [0.0, 0.0]], ids=["array", "list"])
def test_bounds_of_many_numbers(bound):
    np.testing.assert_array_equal(hotloop.tensor([-1.0, 1.0]).clamp(min=bound).numpy(), [0, 1])


def test_no_device_is_said(monkeypatch):
    monkeypatch.setattr(nn.doors, "_on_device", False)
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    for move in (
        lambda: hotloop.ones(2).cuda(),
        lambda: nn.Linear(2, 2, device="cuda"),
        lambda: hotloop.ones(2, device="cuda"),
    ):
        with pytest.raises(RuntimeError, match="CUDA device, found none"):
            move()
