"""Layers and functions of normalisation: against PyTorch over several steps, states, refusals."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn

F = nn.functional

# name: (arguments, other arguments by name, shape of an input)
LAYERS = {
    "layer": ("LayerNorm", (6,), {}, (4, 3, 6)),
    "layer, two dimensions": ("LayerNorm", ((3, 6),), dict(eps=0.1), (4, 3, 6)),
    "layer, no bias": ("LayerNorm", (6,), dict(bias=False), (4, 6)),
    "layer, plain": ("LayerNorm", (6,), dict(elementwise_affine=False), (4, 6)),
    "layer, no rows": ("LayerNorm", (6,), {}, (0, 6)),
    "rms": ("RMSNorm", (6,), {}, (4, 3, 6)),
    "rms, plain": ("RMSNorm", ([3, 6],), dict(eps=0.1, elementwise_affine=False), (4, 3, 6)),
    "group": ("GroupNorm", (2, 6), {}, (3, 6, 4, 5)),
    "group, points": ("GroupNorm", (3, 6), dict(eps=0.1, bias=False), (5, 6)),
    "group, plain": ("GroupNorm", (6, 6), dict(affine=False), (2, 6, 5)),
    "group, no samples": ("GroupNorm", (2, 6), {}, (0, 6, 4)),
    "response 1d": ("LocalResponseNorm", (2,), {}, (3, 6, 5)),
    "response 2d": ("LocalResponseNorm", (5,), dict(alpha=0.5, beta=0.6, k=2.0), (2, 7, 4, 3)),
    "response, no samples": ("LocalResponseNorm", (2,), {}, (0, 6, 5)),
    "batch 1d": ("BatchNorm1d", (5,), {}, (8, 5)),
    "batch 1d, positions": ("BatchNorm1d", (5,), dict(momentum=0.3, eps=0.1, bias=False), (3, 5, 21)),
    "batch 1d, no samples": ("BatchNorm1d", (5,), {}, (0, 5, 4)),
    "batch 2d": ("BatchNorm2d", (5,), dict(momentum=None), (3, 5, 4, 6)),
    "batch 2d, plain": ("BatchNorm2d", (5,), dict(affine=False), (3, 5, 3, 3)),
    "batch 3d": ("BatchNorm3d", (2,), dict(track_running_stats=False), (3, 2, 3, 4, 2)),
    "instance 1d": ("InstanceNorm1d", (3,), {}, (2, 3, 7)),
    "instance 1d, one": ("InstanceNorm1d", (3,), dict(affine=True), (3, 7)),
    "instance 2d": ("InstanceNorm2d", (3,), dict(affine=True, track_running_stats=True), (2, 3, 5, 4)),
    "instance 2d, one": ("InstanceNorm2d", (3,), dict(track_running_stats=True, momentum=None), (3, 5, 4)),
    "instance 3d": ("InstanceNorm3d", (3,), dict(affine=True, bias=False, momentum=0.2), (2, 3, 2, 3, 4)),
}


def numbers(tensor):
    return tensor.detach().numpy()


def pair(torch, name, dtype):
    """Our layer and theirs, with the same random weights."""
    kind, arguments, named, shape = LAYERS[name]
    if kind != "LocalResponseNorm":
        named = dict(named, dtype=dtype)
    ours = getattr(nn, kind)(*arguments, **named)
    if "dtype" in named:
        named["dtype"] = getattr(torch, str(dtype))
    theirs = getattr(torch.nn, kind)(*arguments, **named)
    assert repr(ours) == repr(theirs)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(0.5, 1.5)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs, shape


def assert_close(got, want, dtype, what):
    # sums of some dozen products, in another order, divided by a deviation; absolute where all cancels
    tol = 3e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol, err_msg=what)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_as_torch(dtype, rng, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs, shape = pair(torch, name, dtype)
    # the state after each of several steps, then eval mode, which has gradients too
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        x, dy = (2 * rng.standard_normal(shape) + 3).astype(dtype), rng.standard_normal(shape).astype(dtype)
        here, there = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, want = ours(here), theirs(there)
        assert_close(numbers(y), numbers(want), dtype, "y")
        y.backward(dy)
        want.backward(torch.tensor(dy))
        assert_close(here.grad, there.grad.numpy(), dtype, "dx")
        # gradients add up over the steps
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert_close(one.grad, other.grad.numpy(), dtype, "gradient of a parameter")
        for key, value in theirs.state_dict().items():
            got = ours.state_dict()[key]
            assert got.shape == tuple(value.shape) and str(got.dtype) == str(value.dtype).removeprefix("torch."), key
            assert_close(got.numpy(), value.numpy(), dtype, key)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})


def test_defaults_of_new_layers():
    layer = nn.BatchNorm1d(3)
    assert [v.numpy().tolist() for v in layer.state_dict().values()] == [[1] * 3, [0] * 3, [0] * 3, [1] * 3, 0]
    layer(np.ones((2, 3), np.float32) * 5)
    assert layer.num_batches_tracked.item() == 1
    assert abs(layer.running_mean.numpy()[0] - 0.5) < 1e-6
    layer.reset_running_stats()
    assert [layer.running_mean.numpy()[0], layer.running_var.numpy()[0], layer.num_batches_tracked.item()] == [0, 1, 0]


@pytest.mark.parametrize("momentum", [0.1, 1.0])
def test_functions_as_torch(rng, momentum):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal((4, 3, 5)).astype(np.float32)
    mean, var, w, b = rng.uniform(0.5, 2, (4, 3)).astype(np.float32)
    for name, training in (("batch_norm", True), ("batch_norm", False), ("instance_norm", True)):
        here = [nn.Tensor(v.copy()) for v in (mean, var)]
        there = [torch.tensor(v) for v in (mean, var)]
        # a bias without a weight, and both
        for weight, bias in ((None, b), (w, b)):
            got = getattr(F, name)(x, *here, weight, bias, training, momentum, 1e-3)
            arrays = (None if v is None else torch.tensor(v) for v in (weight, bias))
            want = getattr(torch.nn.functional, name)(torch.tensor(x), *there, *arrays, training, momentum, 1e-3)
            assert_close(got.numpy(), want.numpy(), x.dtype, name)
        for one, other in zip(here, there, strict=True):
            assert_close(one.numpy(), other.numpy(), x.dtype, name)
    rows = x.reshape(12, 5)
    got = F.layer_norm(rows, (5,), bias=np.arange(5, dtype=np.float32))
    want = torch.nn.functional.layer_norm(torch.tensor(rows), (5,), bias=torch.arange(5.0))
    assert_close(got.numpy(), want.numpy(), x.dtype, "layer_norm")


def test_running_statistics_may_change_before_backward(rng):
    """In eval mode backward uses the statistics that forward used."""
    x = rng.standard_normal((4, 3)).astype(np.float32)
    layer = nn.BatchNorm1d(3).eval()
    here = nn.Tensor(x, requires_grad=True)
    y = layer(here)
    layer.train()(x)
    y.backward(np.ones_like(x))
    close(here.grad, np.full_like(x, 1 / np.sqrt(1 + 1e-5)))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 30)], ids=str)
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_in_eval_mode_the_gradient_of_x_does_not_depend_on_x(rng, shape, bad):
    x, dy = rng.standard_normal((2, *shape)).astype(np.float32)
    x[0, 1] = bad
    for weight in (True, False):
        layer, here = nn.BatchNorm1d(3).eval(), nn.Tensor(x, requires_grad=True)
        layer.weight.requires_grad_(weight)
        layer(here).backward(dy)
        close(here.grad, dy / np.sqrt(1 + 1e-5))
        close(layer.bias.grad, dy.sum((0, *range(2, dy.ndim))))


def test_a_frozen_weight_gets_no_gradient(rng):
    x = rng.standard_normal((4, 3, 5)).astype(np.float32)
    for layer in (nn.BatchNorm1d(3), nn.InstanceNorm1d(3, affine=True), nn.LayerNorm(5)):
        layer.weight.requires_grad_(False)
        layer(x).backward(np.ones_like(x))
        assert layer.weight.grad is None
        assert abs(layer.bias.grad.sum() - x.size) < 1e-4
        layer(x).backward(np.ones_like(x))
        assert abs(layer.bias.grad.sum() - 2 * x.size) < 1e-4


LAZY = {
    "LazyBatchNorm1d": (4, 3),
    "LazyBatchNorm2d": (4, 3, 2, 2),
    "LazyBatchNorm3d": (2, 3, 2, 2, 2),
    "LazyInstanceNorm1d": (4, 3, 5),
    "LazyInstanceNorm2d": (4, 3, 2, 2),
    "LazyInstanceNorm3d": (2, 3, 2, 2, 2),
}


@pytest.mark.parametrize("name", LAZY)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("track", [True, False])
@pytest.mark.filterwarnings("ignore:input.s size at dim=1")  # torch leaves num_features 0 where nothing needs it
def test_lazy_layers_as_torch(rng, name, affine, track):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    named = dict(affine=affine, track_running_stats=track)
    ours, theirs = getattr(nn, name)(**named), getattr(torch.nn, name)(**named)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    x = rng.standard_normal(LAZY[name]).astype(np.float32)
    assert_close(numbers(ours(x)), numbers(theirs(torch.tensor(x))), x.dtype, name)
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    if affine or track:
        assert repr(ours) == repr(theirs)
    # a state gives the shapes as well
    fresh = getattr(nn, name)(**named)
    fresh.load_state_dict(ours.state_dict())
    assert_close(numbers(fresh.eval()(x)), numbers(ours.eval()(x)), x.dtype, name)
    assert fresh.num_features == 3


def test_lazy_layers_are_drawn_in_their_dtype(rng):
    layer = nn.LazyBatchNorm1d(dtype=np.float64)
    layer(rng.standard_normal((4, 3)))
    assert {str(v.dtype) for v in layer.state_dict().values()} == {"float64", "int64"}


def test_errors():
    one, rows = np.ones((1, 3), np.float32), np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"more than 1 value per channel when training, got input size \[1, 3\]"):
        nn.BatchNorm1d(3)(one)
    nn.BatchNorm1d(3).eval()(one)
    with pytest.raises(ValueError, match=r"expected 2D or 3D input \(got 4D input\)"):
        nn.BatchNorm1d(3)(one.reshape(1, 3, 1, 1))
    with pytest.raises(ValueError, match=r"expected 4D input \(got 2D input\)"):
        nn.BatchNorm2d(3)(one)
    with pytest.raises(ValueError, match="expected 5D input"):
        nn.LazyBatchNorm3d()(one)
    with pytest.raises(RuntimeError, match=r"running_mean of shape \(3,\).*got \(4,\)"):
        nn.BatchNorm1d(4)(rows)
    with pytest.raises(TypeError, match="float64"):
        nn.BatchNorm1d(3)(rows.astype(np.float64))
    with pytest.raises(ValueError, match="eps must be positive"):
        nn.BatchNorm1d(3, eps=0.0)(rows)
    with pytest.raises(RuntimeError, match="running_mean"):
        F.batch_norm(rows, None, None)
    with pytest.raises(ValueError, match="Expected more than 1 spatial element"):
        nn.InstanceNorm1d(3)(rows.reshape(4, 3, 1))
    with pytest.raises(ValueError, match=r"dim=1 to match num_features \(2\), but got: 3"):
        nn.InstanceNorm1d(2, affine=True)(np.ones((4, 3, 2), np.float32))
    with pytest.warns(UserWarning, match="does not match num_features"):
        nn.InstanceNorm1d(2)(np.ones((4, 3, 2), np.float32))
    with pytest.raises(RuntimeError, match="running_mean"):
        F.instance_norm(np.ones((4, 3, 2), np.float32), use_input_stats=False)
    with pytest.raises(RuntimeError, match=r"normalized_shape=\[4\], expected input with shape \[\*, 4\]"):
        nn.LayerNorm(4)(rows)
    with pytest.raises(RuntimeError, match="at least 1-dimensional"):
        F.layer_norm(rows, ())
    with pytest.raises(ValueError, match=r"num_channels \(5\) must be divisible by num_groups \(2\)"):
        nn.GroupNorm(2, 5)
    with pytest.raises(RuntimeError, match="divisible by num_groups"):
        F.group_norm(rows, 2)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        F.group_norm(rows[0], 1)
    with pytest.raises(ValueError, match="more than 1 value"):
        F.group_norm(one, 3)
    with pytest.raises(ValueError, match=r"Expected 3D or higher dimensionality input \(got 2 dimensions\)"):
        nn.LocalResponseNorm(2)(rows)
    with pytest.raises(ValueError, match="size of 1 or more"):
        F.local_response_norm(rows.reshape(4, 3, 1), 0)
