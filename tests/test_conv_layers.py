"""Conv1d, Conv2d, Conv3d and their functions: results, gradients, words and errors as torch.nn's."""

import hotloop
import numpy as np
import pytest
from helpers import close, finite_difference
from hotloop import nn
from hotloop.nn import functional as F

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
# (dimensions, input with its batch, layer arguments)
GRID = [
    (1, (3, 4, 20), dict(out_channels=6, kernel_size=3)),
    (1, (2, 4, 21), dict(out_channels=6, kernel_size=5, stride=2, padding=2, groups=2)),
    (1, (2, 3, 300), dict(out_channels=5, kernel_size=4, padding="same", dilation=3)),
    (2, (3, 4, 9, 11), dict(out_channels=7, kernel_size=3, padding=1)),
    (2, (2, 4, 10, 13), dict(out_channels=6, kernel_size=(3, 2), stride=(2, 3), padding=(1, 0), dilation=(1, 2))),
    (2, (2, 6, 8, 7), dict(out_channels=12, kernel_size=3, padding="same", groups=6)),
    (2, (2, 6, 8, 7), dict(out_channels=4, kernel_size=(2, 4), padding="same", bias=False)),
    (2, (2, 5, 8, 7), dict(out_channels=4, kernel_size=1, stride=2)),
    (2, (2, 3, 33, 30), dict(out_channels=4, kernel_size=7, stride=4, padding=3)),
    (3, (2, 3, 5, 6, 7), dict(out_channels=4, kernel_size=3, padding=1)),
    (3, (1, 4, 6, 7, 8), dict(out_channels=4, kernel_size=(1, 3, 2), stride=(2, 1, 3), padding="valid", groups=2)),
    (2, (0, 3, 8, 8), dict(out_channels=4, kernel_size=3)),
    (1, (2, 4, 9), dict(out_channels=3, kernel_size=3, padding=2, padding_mode="reflect")),
    (2, (2, 3, 6, 5), dict(out_channels=3, kernel_size=3, padding=(1, 2), padding_mode="circular")),
    (2, (2, 3, 6, 5), dict(out_channels=3, kernel_size=(4, 3), padding="same", padding_mode="replicate")),
    (3, (1, 2, 4, 5, 6), dict(out_channels=3, kernel_size=3, padding=(0, 1, 2), stride=2, padding_mode="replicate")),
]
IDS = [f"{dims}d-{options}".replace(" ", "") for dims, _, options in GRID]


def pair(dims, shape, options, dtype):
    torch = pytest.importorskip("torch")
    ours = LAYERS[dims](shape[1], dtype=dtype, **options)
    kind = torch.float32 if dtype == np.float32 else torch.float64
    theirs = getattr(torch.nn, f"Conv{dims}d")(shape[1], dtype=kind, **options)
    theirs.load_state_dict({name: torch.from_numpy(t.numpy().copy()) for name, t in ours.state_dict().items()})
    return torch, ours, theirs


@pytest.mark.parametrize("dims, shape, options", GRID, ids=IDS)
@pytest.mark.parametrize("batched", [True, False], ids=["", "unbatched"])
def test_as_torch(rng, dtype, dims, shape, options, batched):
    torch, ours, theirs = pair(dims, shape, options, dtype)
    if not batched:
        shape = shape[1:]
    array = rng.standard_normal(shape).astype(dtype)
    x, their_x = nn.Tensor(array, requires_grad=True), torch.from_numpy(array.copy()).requires_grad_()
    y, their_y = ours(x), theirs(their_x)
    assert y.shape == tuple(their_y.shape)
    assert repr(ours) == repr(theirs)
    dy = rng.standard_normal(y.shape).astype(dtype)
    y.backward(dy)
    their_y.backward(torch.from_numpy(dy))
    tol = 1e-5 if dtype == np.float32 else 1e-13
    close(y.numpy(), their_y.detach().numpy(), tol, "y")
    close(np.asarray(x.grad), their_x.grad.numpy(), tol, "dx")
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(np.asarray(p.grad), q.grad.numpy(), tol, name)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_fused_activation(rng, activation):
    layer = nn.Conv2d(2, 3, 3, padding=1, dtype=np.float64, activation=activation)
    x = nn.Tensor(rng.standard_normal((2, 2, 4, 5)), requires_grad=True)
    dy = rng.standard_normal((2, 3, 4, 5))
    layer(x).backward(dy)

    def weighted():
        return float((layer(x.numpy()).numpy() * dy).sum())

    for name, t in (("x", x), ("weight", layer.weight), ("bias", layer.bias)):
        close(np.asarray(t.grad), finite_difference(weighted, t.numpy()), 1e-7, name)
    assert repr(layer).endswith(f"padding=(1, 1), activation='{activation}')")
    same = F.conv2d(x, layer.weight, layer.bias, padding=1, activation=activation)
    assert np.array_equal(same.numpy(), layer(x).numpy())
    with hotloop.no_grad():
        assert np.array_equal(layer(x).numpy(), same.numpy())


def test_gradients_accumulate_and_only_what_is_wanted(rng):
    layer = nn.Conv2d(2, 3, 3)
    x = rng.standard_normal((2, 2, 6, 6)).astype(np.float32)
    layer(x).sum().backward()
    once = np.asarray(layer.weight.grad).copy()
    layer.bias.grad = None
    layer(x).sum().backward()
    close(np.asarray(layer.weight.grad), 2 * once, 1e-6, "weight")
    close(np.asarray(layer.bias.grad), np.full(3, 32.0), 1e-6, "bias")
    layer.zero_grad()
    layer.weight.requires_grad_(False)
    t = nn.Tensor(x, requires_grad=True)
    layer(t).sum().backward()
    assert layer.weight.grad is None and t.grad is not None
    assert np.asarray(layer.bias.grad).tolist() == [32.0] * 3


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_functions_as_torch(rng, dims):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 4, *(7, 6, 5)[:dims]))
    w, b = rng.standard_normal((6, 2, *(3, 2, 3)[:dims])), rng.standard_normal(6)
    ours, theirs = getattr(F, f"conv{dims}d"), getattr(torch.nn.functional, f"conv{dims}d")
    for arguments in ((), (2,), (1, 1), (1, "same", 2), (1, 2, 1)):
        arguments = (*arguments, *(1, 0, 1)[len(arguments) :], 2)
        want = theirs(*map(torch.from_numpy, (x, w, b)), *arguments)
        close(ours(x, w, b, *arguments).numpy(), want.numpy(), 1e-13)


def test_initial_values_as_torch():
    hotloop.manual_seed(0)
    layer = nn.Conv2d(8, 200, 3, groups=2)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(values).max() <= 1 / 6
        assert abs(values).max() > 0.98 / 6


def test_errors_say_expected_and_got():
    layer = nn.Conv2d(3, 2, 3)
    with pytest.raises(ValueError, match=r"expected input \(N, 3, H, W\) or \(3, H, W\), got shape \(5, 4, 8, 8\)"):
        layer(np.zeros((5, 4, 8, 8), np.float32))
    with pytest.raises(ValueError, match=r"Conv2d: expected input .*, got shape \(3, 8\)"):
        layer(np.zeros((3, 8), np.float32))
    with pytest.raises(ValueError, match=r"kernel no larger than the padded input, got \(3, 3\) .* over \(8, 2\)"):
        layer(np.zeros((5, 3, 8, 2), np.float32))
    with pytest.raises(TypeError, match="float32, got float64"):
        layer(np.zeros((5, 3, 8, 8)))
    with pytest.raises(ValueError, match="divisible by groups, got 3, 4 and 2"):
        nn.Conv1d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="stride 1 for padding 'same'"):
        nn.Conv2d(3, 4, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="padding_mode in"):
        nn.Conv2d(3, 4, 3, padding_mode="mirror")
    with pytest.raises(ValueError, match="kernel_size as a whole number or 2"):
        nn.Conv2d(3, 4, (3, 3, 3))
    with pytest.raises(ValueError, match="stride of 1 or more"):
        nn.Conv3d(3, 4, 3, stride=0)
    with pytest.raises(ValueError, match="'full'"):
        nn.Conv2d(3, 4, 3, padding="full")
    with pytest.raises(ValueError, match="'swish'"):
        nn.Conv2d(3, 4, 3, activation="swish")
    with pytest.raises(ValueError, match=r"expected bias \(2,\), got shape \(3,\)"):
        F.conv1d(np.zeros((1, 3, 8)), np.zeros((2, 3, 3)), np.zeros(3))
    with pytest.raises(ValueError, match=r"at least 4 for reflect padding, got 3"):
        nn.Conv1d(1, 1, 3, padding=3, padding_mode="reflect")(np.zeros((1, 1, 3), np.float32))


def test_numbers_that_are_changed_later_hold():
    x = np.ones((1, 3, 9, 9), np.float32)
    for layer, shape in ((nn.Conv2d(3, 4, 3, padding=1), (1, 4, 5, 5)), (nn.ConvTranspose2d(3, 4, 3), (1, 4, 19, 19))):
        layer(x)
        layer.stride = [2, 2]
        assert layer(x).shape == shape
        assert nn.Sequential(layer, nn.Tanh())(x).shape == shape
        layer.dilation = 2
        assert layer(x).shape[2] == {nn.Conv2d: 4, nn.ConvTranspose2d: 21}[type(layer)]
        layer.stride = 0
        with pytest.raises(ValueError, match="expected stride of 1 or more, got 0"):
            layer(x)
