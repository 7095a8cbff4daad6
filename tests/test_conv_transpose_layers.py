"""ConvTranspose1d, 2d, 3d, lazy convolutions and their functions: results, gradients and errors as torch.nn's."""

import copy
import pickle

import numpy as np
import pytest
from helpers import close, finite_difference
from hotloop import nn
from hotloop.nn import functional as F

LAYERS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
# (dimensions, input with its batch, layer arguments)
GRID = [
    (1, (3, 4, 20), dict(out_channels=6, kernel_size=3)),
    (1, (2, 4, 11), dict(out_channels=6, kernel_size=5, stride=3, padding=2, output_padding=2, groups=2)),
    (2, (3, 4, 6, 7), dict(out_channels=7, kernel_size=4, stride=2, padding=1)),
    (2, (2, 4, 5, 6), dict(out_channels=6, kernel_size=(3, 2), stride=(2, 3), padding=(1, 0), dilation=(1, 2))),
    (2, (2, 6, 5, 4), dict(out_channels=6, kernel_size=3, stride=2, padding=1, output_padding=1, groups=6)),
    (2, (2, 3, 5, 4), dict(out_channels=5, kernel_size=2, stride=2, bias=False)),
    (2, (2, 3, 5, 4), dict(out_channels=4, kernel_size=3, dilation=3, output_padding=(2, 1))),
    (3, (2, 4, 3, 4, 3), dict(out_channels=2, kernel_size=3, stride=(1, 2, 2), padding=1, groups=2)),
    (2, (0, 3, 5, 4), dict(out_channels=4, kernel_size=3)),
]
IDS = [f"{dims}d-{options}".replace(" ", "") for dims, _, options in GRID]


def pair(dims, shape, options, dtype):
    torch = pytest.importorskip("torch")
    ours = LAYERS[dims](shape[1], dtype=dtype, **options)
    kind = torch.float32 if dtype == np.float32 else torch.float64
    theirs = getattr(torch.nn, f"ConvTranspose{dims}d")(shape[1], dtype=kind, **options)
    theirs.load_state_dict({name: torch.from_numpy(t.numpy().copy()) for name, t in ours.state_dict().items()})
    return torch, ours, theirs


@pytest.mark.parametrize("dims, shape, options", GRID, ids=IDS)
@pytest.mark.parametrize("batched", [True, False], ids=["", "unbatched"])
def test_as_torch(rng, dtype, dims, shape, options, batched):
    torch, ours, theirs = pair(dims, shape, options, dtype)
    array = rng.standard_normal(shape if batched else shape[1:]).astype(dtype)
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
    fresh = LAYERS[dims](shape[1], dtype=dtype, **options)
    fresh.load_state_dict(theirs.state_dict())
    assert np.array_equal(fresh(array).numpy(), y.numpy())


@pytest.mark.parametrize("size", [(9, 11), (10, 12), (2, 4, 10, 11)], ids=str)
def test_output_size_as_torch(rng, size):
    torch, ours, theirs = pair(2, (2, 3), dict(out_channels=4, kernel_size=3, stride=2), np.float32)
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    y = ours(x, output_size=size)
    assert y.shape == (2, 4, *size[-2:])
    close(y.numpy(), theirs(torch.from_numpy(x), output_size=size).detach().numpy(), 1e-5)
    assert ours(x[0], output_size=size[-2:]).shape == (4, *size[-2:])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_fused_activation(rng, activation):
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, dtype=np.float64, activation=activation)
    x = nn.Tensor(rng.standard_normal((2, 2, 3, 4)), requires_grad=True)
    dy = rng.standard_normal((2, 3, 7, 9))
    layer(x).backward(dy)

    def weighted():
        return float((layer(x.numpy()).numpy() * dy).sum())

    for name, t in (("x", x), ("weight", layer.weight), ("bias", layer.bias)):
        close(np.asarray(t.grad), finite_difference(weighted, t.numpy()), 1e-7, name)
    assert repr(layer).endswith(f"stride=(2, 2), activation='{activation}')")
    same = F.conv_transpose2d(x, layer.weight, layer.bias, 2, activation=activation)
    assert np.array_equal(same.numpy(), layer(x).numpy())


def test_an_activation_after_it_is_computed_with_it(rng):
    layer, x = nn.ConvTranspose2d(2, 3, 3, stride=2), rng.standard_normal((2, 2, 3, 4)).astype(np.float32)
    y = nn.Sequential(layer, nn.Tanh())(x)
    assert y.grad_fn.name() == "ConvFunction"
    close(y.numpy(), layer(x).tanh().numpy(), 1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_functions_as_torch(rng, dims):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 4, *(5, 4, 3)[:dims]))
    w, b = rng.standard_normal((4, 3, *(3, 2, 3)[:dims])), rng.standard_normal(6)
    ours, theirs = getattr(F, f"conv_transpose{dims}d"), getattr(torch.nn.functional, f"conv_transpose{dims}d")
    for arguments in ((1, 0, 0, 2), (2, 1, 1, 2), (3, 0, 1, 2, 2)):
        want = theirs(*map(torch.from_numpy, (x, w, b)), *arguments)
        close(ours(x, w, b, *arguments).numpy(), want.numpy(), 1e-13)


def test_initial_values_as_torch():
    layer = nn.ConvTranspose2d(200, 8, 3, groups=2)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        # of the fan in that torch computes: weight.shape[1:]
        assert np.abs(values).max() <= 1 / 6
    assert np.abs(layer.weight.numpy()).max() > 0.98 / 6


LAZY = [f"LazyConv{kind}{dims}d" for kind in ("", "Transpose") for dims in (1, 2, 3)]


@pytest.mark.parametrize("name", LAZY)
def test_lazy_layers_as_torch(rng, name):
    torch = pytest.importorskip("torch")
    dims = int(name[-2])
    options = dict(out_channels=6, kernel_size=3, stride=2, padding=1, groups=2)
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    twins = copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))
    x = rng.standard_normal((2, 4, *(7, 6, 5)[:dims])).astype(np.float32)
    y = ours(x)
    theirs(torch.from_numpy(x))
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    assert repr(ours) == repr(theirs)
    theirs.load_state_dict({key: torch.from_numpy(t.numpy().copy()) for key, t in ours.state_dict().items()})
    close(y.numpy(), theirs(torch.from_numpy(x)).detach().numpy(), 1e-5)
    # a state gives the shapes as well
    for fresh in (getattr(nn, name)(**options), *twins):
        fresh.load_state_dict(ours.state_dict())
        assert np.array_equal(fresh(x).numpy(), y.numpy())
        assert fresh.in_channels == 4 and repr(fresh) == repr(ours)


def test_errors_say_expected_and_got():
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2)
    x = np.zeros((2, 3, 4, 5), np.float32)
    with pytest.raises(ValueError, match=r"expected input \(N, 3, H, W\) or \(3, H, W\), got shape \(2, 4, 8, 8\)"):
        layer(np.zeros((2, 4, 8, 8), np.float32))
    with pytest.raises(TypeError, match="float32, got float64"):
        layer(x.astype(np.float64))
    with pytest.raises(ValueError, match=r"output_size from \(9, 11\) to \(10, 12\) .* got \(20, 20\)"):
        layer(x, output_size=(20, 20))
    with pytest.raises(ValueError, match=r"output_size of 2 or 4 numbers"):
        layer(x, output_size=(20,))
    with pytest.raises(ValueError, match=r"output_padding smaller than either stride or dilation, got \(2, 2\)"):
        nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=2)(x)
    with pytest.raises(ValueError, match=r"a result of one place or more, got \(-2, -1\)"):
        nn.ConvTranspose2d(3, 4, 3, padding=4)(x)
    with pytest.raises(ValueError, match=r"input of one place or more, got shape \(2, 3, 0, 5\)"):
        layer(x[:, :, :0])
    with pytest.raises(ValueError, match=r"padding_mode in \['zeros'\], got 'reflect'"):
        nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect")
    with pytest.raises(ValueError, match="padding as a whole number or 1 of them, got 'same'"):
        nn.ConvTranspose1d(3, 4, 3, padding="same")
    with pytest.raises(ValueError, match="divisible by groups, got 3, 4 and 2"):
        nn.ConvTranspose1d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match=r"expected bias \(6,\), got shape \(3,\)"):
        F.conv_transpose1d(np.zeros((1, 4, 8)), np.zeros((4, 3, 3)), np.zeros(3), groups=2)
    with pytest.raises(ValueError, match="in channels divisible by groups, got 3 and 2"):
        F.conv_transpose1d(np.zeros((1, 3, 8)), np.zeros((3, 3, 3)), groups=2)
    with pytest.raises(ValueError, match=r"LazyConv2d: expected input \(N, in_channels, H, W\) .* \(4, 5\)"):
        nn.LazyConv2d(4, 3)(x[0, 0])
    with pytest.raises(ValueError, match="divisible by groups, got 3, 4 and 2"):
        nn.LazyConvTranspose2d(4, 3, groups=2)(x)


@pytest.mark.parametrize("layer", [nn.Conv2d(0, 4, 3), nn.Conv2d(3, 0, 3), nn.ConvTranspose2d(3, 0, 3)], ids=str)
def test_weights_without_numbers(layer):
    with pytest.raises(ValueError, match=r"expected weight \(.*none of them 0, got shape"):
        layer(np.zeros((2, layer.in_channels, 5, 5), np.float32))
