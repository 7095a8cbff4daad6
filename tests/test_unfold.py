"""kernels/*/unfold.py, Unfold and Fold: sliding blocks as columns and back, over geometries, as torch's."""

import numpy as np
import pytest
from helpers import agree, close, finite_difference, poison
from hotloop import nn
from hotloop.nn import functional as F

# image (N, C, H, W), kernel, stride, padding, dilation
CASES = [
    ((2, 3, 7, 9), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((1, 2, 5, 67), (2, 5), (1, 3), (0, 2), (1, 2)),
    ((3, 1, 8, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    # strides beyond the kernel, and a remainder; elements that see only padding
    ((1, 2, 10, 11), (2, 1), (4, 3), (1, 0), (1, 1)),
    ((1, 2, 2, 3), (3, 4), (2, 1), (5, 4), (1, 2)),
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    ((0, 2, 4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
    ((3, 5, 40, 41), (3, 2), (2, 1), (1, 1), (2, 1)),
]
IDS = [f"{x}k{k}s{s}p{p}d{d}".replace(" ", "") for x, k, s, p, d in CASES]
geometries = pytest.mark.parametrize("case", CASES, ids=IDS)


def operands(rng, case, dtype):
    """x, columns, and the kernel's numbers."""
    shape, kernel, strides, paddings, dilations = case
    places = tuple(
        (i + 2 * p - d * (k - 1) - 1) // s + 1
        for i, k, s, p, d in zip(shape[2:], kernel, strides, paddings, dilations, strict=True)
    )
    x, y = (rng.standard_normal(s).astype(dtype) for s in (shape, (*shape[:2], *kernel, *places)))
    return x, y, (*strides, *paddings, *dilations)


@geometries
def test_forward(backend, dtype, rng, case):
    x, y, numbers = operands(rng, case, dtype)
    agree(backend, "unfold.unfold_forward", y, x, *numbers)


@geometries
def test_backward(backend, dtype, rng, case):
    x, y, numbers = operands(rng, case, dtype)
    agree(backend, "unfold.unfold_backward", x, y, *numbers)


@geometries
def test_one_is_the_adjoint_of_the_other(backend, rng, case):
    x, y, numbers = operands(rng, case, np.float64)
    columns, image = poison(y.shape, np.float64), poison(x.shape, np.float64)
    backend("unfold.unfold_forward", columns, x, *numbers)
    backend("unfold.unfold_backward", image, y, *numbers)
    np.testing.assert_allclose((columns * y).sum(), (image * x).sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("at, value", [(0, 0), (2, -1), (5, 0)])
def test_numbers_that_no_block_has(backend, rng, at, value):
    x, y, numbers = operands(rng, CASES[0], np.dtype(np.float32))
    numbers = [value if i == at else number for i, number in enumerate(numbers)]
    with pytest.raises(ValueError, match="strides and dilations of 1 or more"):
        backend("unfold.unfold_forward", y, x, *numbers)
    with pytest.raises(ValueError, match="strides and dilations of 1 or more"):
        backend("unfold.unfold_backward", x, y, *numbers)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c[0][0]], ids=[i for c, i in zip(CASES, IDS, strict=True) if c[0][0]]
)
@pytest.mark.parametrize("batched", [True, False], ids=["", "unbatched"])
def test_layers_as_torch(rng, dtype, case, batched):
    torch = pytest.importorskip("torch")
    shape, kernel, stride, padding, dilation = case
    options = dict(dilation=dilation, padding=padding, stride=stride)
    x = rng.standard_normal(shape if batched else shape[1:]).astype(dtype)
    columns = rng.standard_normal(nn.Unfold(kernel, **options)(x).shape).astype(dtype)
    for name, first, given in (("Unfold", (), x), ("Fold", (shape[2:],), columns)):
        ours, theirs = (getattr(m, name)(*first, kernel, **options) for m in (nn, torch.nn))
        assert repr(ours) == repr(theirs)
        a, b = nn.Tensor(given, requires_grad=True), torch.from_numpy(given.copy()).requires_grad_()
        y, their_y = ours(a), theirs(b)
        assert y.shape == tuple(their_y.shape)
        dy = rng.standard_normal(y.shape).astype(dtype)
        y.backward(dy)
        their_y.backward(torch.from_numpy(dy))
        close(y.numpy(), their_y.detach().numpy(), None, name)
        close(np.asarray(a.grad), b.grad.numpy(), None, f"d{name}")


def test_gradients_against_finite_differences(rng):
    x = rng.standard_normal((1, 2, 4, 5))
    weights = rng.standard_normal((1, 8, 6))
    t = nn.Tensor(x, requires_grad=True)
    F.unfold(t, 2, stride=(1, 2)).backward(weights)
    close(t.grad, finite_difference(lambda: float((F.unfold(x, 2, stride=(1, 2)).numpy() * weights).sum()), x), 1e-8)


def test_no_images():
    assert F.unfold(np.ones((0, 3, 4, 5), np.float32), 2).shape == (0, 12, 12)
    assert F.fold(np.ones((0, 12, 12), np.float32), (4, 5), 2).shape == (0, 3, 4, 5)


def test_errors_say_expected_and_got():
    x = np.ones((2, 3, 4, 5), np.float32)
    with pytest.raises(ValueError, match=r"no larger than the padded image, got \(6, 2\) .* over \(4, 5\)"):
        F.unfold(x, (6, 2))
    with pytest.raises(ValueError, match=r"expected input \(N, C, H, W\) or \(C, H, W\), .* got shape \(4, 5\)"):
        F.unfold(x[0, 0], 2)
    with pytest.raises(ValueError, match=r"only N may be 0, got shape \(2, 0, 4, 5\)"):
        F.unfold(x[:, :0], 2)
    with pytest.raises(ValueError, match="stride of 1 or more"):
        F.unfold(x, 2, stride=0)
    with pytest.raises(ValueError, match=r"\(N, C \* 4, 12\) .* got shape \(2, 12, 13\)"):
        F.fold(np.ones((2, 12, 13), np.float32), (4, 5), 2)
    with pytest.raises(ValueError, match=r"\(N, C \* 4, 12\) .* got shape \(2, 11, 12\)"):
        F.fold(np.ones((2, 11, 12), np.float32), (4, 5), 2)
    with pytest.raises(ValueError, match="output_size as a whole number or 2"):
        F.fold(np.ones((2, 12, 12), np.float32), (4, 5, 6), 2)
