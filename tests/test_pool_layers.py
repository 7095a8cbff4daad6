"""Pooling layers and functions: against PyTorch, windows that cannot be, random windows, unpooling."""

import hotloop
import numpy as np
import pytest
from helpers import close
from hotloop import nn
from hotloop.nn import functional as F

# name -> (arguments, plane); strides with a remainder, padding, dilation, ceil_mode, one and several dimensions
CASES = {
    "MaxPool1d": [((2,), (9,)), ((3, 2, 1, 2, False, True), (12,))],
    "MaxPool2d": [((2,), (6, 8)), ((3, 2, 1), (9, 12)), (((3, 2), (2, 1), (1, 0), (1, 3), False, True), (10, 11))],
    "MaxPool3d": [((2,), (4, 5, 6)), ((3, 2, 1, 1, False, True), (5, 6, 7)), (((1, 2, 3), 1, 0, (1, 2, 1)), (3, 4, 5))],
    "AvgPool1d": [((2,), (9,)), ((3, 2, 1, True, False), (12,)), ((3, 2, 1, True), (12,))],
    "AvgPool2d": [
        ((2,), (6, 8)),
        ((3, 2, 1), (9, 12)),
        (((3, 2), (2, 1), (1, 0), True, False), (10, 11)),
        ((3, 2, 1, True, True), (10, 11)),
        ((3, 2, 1, False, True, -5), (9, 9)),
    ],
    "AvgPool3d": [
        ((2,), (4, 5, 6)),
        ((3, 2, 1, True, False), (5, 6, 7)),
        (((1, 2, 3), 1, 0, False, True, 7), (3, 4, 5)),
    ],
    "LPPool1d": [((2, 3), (9,)), ((3, 3, 2, True), (10,))],
    "LPPool2d": [((2, (3, 2), 2), (7, 8)), ((1.5, 3, 2, True), (8, 8))],
    "LPPool3d": [((2, 2), (4, 5, 6))],
    "AdaptiveMaxPool1d": [((5,), (13,))],
    "AdaptiveMaxPool2d": [((3,), (7, 9)), (((None, 4),), (5, 10))],
    "AdaptiveMaxPool3d": [(((2, None, 3),), (4, 5, 7))],
    "AdaptiveAvgPool1d": [((5,), (13,))],
    "AdaptiveAvgPool2d": [((1,), (7, 7)), (((None, 4),), (5, 10)), ((7,), (5, 14))],
    "AdaptiveAvgPool3d": [(((2, None, 3),), (4, 5, 7))],
}
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(("name", "arguments", "plane"), FLAT, ids=[f"{name}{args}" for name, args, _ in FLAT])
@pytest.mark.parametrize("lead", [(2, 3), (3,), (0, 3)], ids=["batched", "unbatched", "no samples"])
def test_layers_as_torch(dtype, rng, name, arguments, plane, lead):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert repr(layer) == repr(theirs)
    # positive where a power of no integer is taken; few values, so that equals meet
    x = rng.integers(1, 40, (*lead, *plane)).astype(dtype) / 8
    here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, want = layer(here), theirs(there)
    assert y.shape == tuple(want.shape) and y.dtype == dtype
    close(y.numpy(), want.detach().numpy())
    dy = rng.standard_normal(want.shape).astype(dtype)
    y.backward(dy)
    want.backward(torch.tensor(dy))
    # powers of sums: a few roundings more
    tol = (5e-6 if dtype == np.float32 else 1e-13) if name.startswith("LP") else None
    close(here.grad, there.grad.numpy(), tol)
    with hotloop.no_grad():
        assert (layer(x).numpy() == y.numpy()).all()


@pytest.mark.parametrize("plane", [(8,), (8, 6), (7, 9), (4, 5, 6)], ids=str)
def test_indices_and_unpooling_as_torch(rng, plane):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    axes, x = len(plane), rng.standard_normal((2, 3, *plane)).astype(np.float32)
    here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    for kind, arguments in (("MaxPool", (2, 2)), ("AdaptiveMaxPool", (3,))):
        pool, theirs = getattr(nn, f"{kind}{axes}d"), getattr(torch.nn, f"{kind}{axes}d")
        y, where = pool(*arguments, return_indices=True)(here)
        z, there_where = theirs(*arguments, return_indices=True)(there)
        assert where.dtype == np.int64 and not where.requires_grad
        assert (where.numpy() == there_where.numpy()).all() and (y.numpy() == z.detach().numpy()).all()
    y, where = getattr(nn, f"MaxPool{axes}d")(2, return_indices=True)(here)
    z, there_where = getattr(torch.nn, f"MaxPool{axes}d")(2, return_indices=True)(there)
    layer, theirs = getattr(nn, f"MaxUnpool{axes}d")(2), getattr(torch.nn, f"MaxUnpool{axes}d")(2)
    assert repr(layer) == repr(theirs)
    # without a size, the smallest that pools to this one
    for size in (x.shape, plane, *[None] * all(n % 2 == 0 for n in plane)):
        got, want = layer(y, where, output_size=size), theirs(z, there_where, output_size=size)
        close(got.numpy(), want.detach().numpy(), 0.0)
    dy = rng.standard_normal(got.shape).astype(np.float32)
    got.backward(dy)
    want.backward(torch.tensor(dy))
    close(here.grad, there.grad.numpy(), 0.0)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("lead", [(2, 3), (3,)], ids=["batched", "unbatched"])
def test_fractional_as_torch(dtype, rng, axes, lead):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal((*lead, *(11, 13, 9)[:axes])).astype(dtype)
    samples = rng.uniform(0, 1, (*(1,) * (2 - len(lead)), *lead, axes)).astype(dtype)
    ratio = (0.5, 0.61, 0.7)[:axes]
    for chosen in ({"output_ratio": ratio}, {"output_size": 4}):
        layer = getattr(nn, f"FractionalMaxPool{axes}d")(2, **chosen, return_indices=True, _random_samples=samples)
        theirs = getattr(torch.nn, f"FractionalMaxPool{axes}d")(
            2, **chosen, return_indices=True, _random_samples=torch.tensor(samples)
        )
        assert repr(layer) == repr(theirs)
        here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        (y, where), (z, there_where) = layer(here), theirs(there)
        assert (where.numpy() == there_where.numpy()).all() and (y.numpy() == z.detach().numpy()).all()
        dy = rng.standard_normal(y.shape).astype(dtype)
        y.backward(dy)
        z.backward(torch.tensor(dy))
        close(here.grad, there.grad.numpy())


def test_fractional_windows_follow_the_seed(rng):
    x = rng.standard_normal((2, 3, 20, 20)).astype(np.float32)
    layer = nn.FractionalMaxPool2d(2, output_size=11)
    hotloop.manual_seed(3)
    first, second = layer(x).numpy(), layer(x).numpy()
    hotloop.manual_seed(3)
    assert (layer(x).numpy() == first).all() and (second != first).any()


def test_nan_and_infinity_as_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.zeros((1, 1, 6, 80), np.float32)
    x[0, 0, 1, ::7], x[0, 0, 2, ::5], x[0, 0, 3, 40:] = np.nan, np.inf, -np.inf
    x[0, 0, :, 60:70] = -np.inf
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):
        y, where = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
        z, there = torch.nn.functional.max_pool2d(torch.tensor(x), kernel, stride, padding, return_indices=True)
        np.testing.assert_array_equal(y.numpy(), z.numpy())
        np.testing.assert_array_equal(where.numpy(), there.numpy())


def test_views_are_pooled_as_they_look(rng):
    x = rng.standard_normal((4, 6, 3, 2)).astype(np.float32)
    turned = nn.Tensor(x).permute(3, 2, 0, 1)
    close(F.max_pool2d(turned, 2).numpy(), F.max_pool2d(np.ascontiguousarray(x.transpose(3, 2, 0, 1)), 2).numpy(), 0.0)


def test_wrong_arguments_are_refused():
    x = np.ones((2, 3, 5, 5), np.float32)
    for function in (F.max_pool2d, F.avg_pool2d):
        with pytest.raises(ValueError, match="no larger than the input"):
            function(x, 6)
        with pytest.raises(ValueError, match="half of the kernel"):
            function(x, 2, padding=2)
        with pytest.raises(ValueError, match="at least 1"):
            function(x, 2, stride=0)
        with pytest.raises(ValueError, match="at least 0"):
            function(x, 2, padding=-1)
        with pytest.raises(ValueError, match="3-D"):
            function(x[0, 0], 2)
        with pytest.raises(ValueError, match="integer or 2"):
            function(x, (2, 2, 2))
    with pytest.raises(ValueError, match="divisor_override"):
        F.avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(ValueError, match="output_size"):
        F.adaptive_avg_pool2d(x, (1, 2, 3))
    with pytest.raises(ValueError, match="at least 0"):
        F.adaptive_max_pool2d(x, -1)
    with pytest.raises(ValueError, match="only one"):
        nn.FractionalMaxPool2d(2, 2, 0.5)
    with pytest.raises(ValueError, match="requires specifying"):
        nn.FractionalMaxPool3d(2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.FractionalMaxPool2d(2, output_ratio=1.5)
    with pytest.raises(ValueError, match="at most 5"):
        F.fractional_max_pool2d(x, 3, output_size=4)
    with pytest.raises(ValueError, match="_random_samples"):
        F.fractional_max_pool2d(x, 2, output_size=2, _random_samples=np.zeros((2, 2), np.float32))


def test_unpooling_refuses_what_does_not_fit():
    x, where = np.ones((1, 1, 2, 2), np.float32), np.zeros((1, 1, 2, 2), np.int64)
    with pytest.raises(IndexError, match="outside"):
        F.max_unpool2d(x, where + 16, 2)
    with pytest.raises(ValueError, match="indices of the input's shape"):
        F.max_unpool2d(x, where[0], 2)
    with pytest.raises(ValueError, match="invalid output_size"):
        F.max_unpool2d(x, where, 2, output_size=(4, 6))
    with pytest.raises(TypeError, match="int64"):
        F.max_unpool2d(x, where.astype(np.int32), 2)
