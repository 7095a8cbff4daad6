"""kernels/*/gradient_norm.py, and nn.utils.clip_grad_norm_ and its relatives beside torch's."""

import itertools
import math

import numpy as np
import pytest
from helpers import agree, close, same
from hotloop import nn, optim

ORDERS = [2.0, 1.0, math.inf, -math.inf, 0.0, 3.0, 0.5]


@pytest.mark.parametrize("n", [0, 1, 17, 1009, 70001])
@pytest.mark.parametrize("p", ORDERS)
def test_norm(backend, dtype, rng, n, p):
    x = rng.standard_normal(n).astype(dtype)
    x[::7] = 0
    for before in (0.5, 2.0, math.inf):
        agree(backend, "gradient_norm.gradient_norm_forward", np.array([before]), x, p)


@pytest.mark.parametrize("p", ORDERS)
def test_root(backend, p):
    for total in (0.0, 1.7, math.inf):
        agree(backend, "gradient_norm.gradient_norm_root_forward", np.empty(1), np.array([total]), p)


@pytest.mark.parametrize("p", [2.0, 1.0, math.inf, -math.inf, 3.0])
@pytest.mark.parametrize("n, at", [(3, 0), (70001, 40000)])
def test_nan_stays(backend, dtype, p, n, at):
    x, total = np.ones(n, dtype), np.zeros(1)
    x[at] = np.nan
    for piece in (x, np.ones(3, dtype)):
        backend("gradient_norm.gradient_norm_forward", total, piece, p)
    assert np.isnan(total[0])


def test_squares_of_large_numbers_are_finite(backend):
    total = np.zeros(1)
    backend("gradient_norm.gradient_norm_forward", total, np.full(5, 3e30, np.float32), 2.0)
    close(total, [5 * float(np.float32(3e30)) ** 2])


@pytest.mark.parametrize("n", [0, 1, 17, 40001])
@pytest.mark.parametrize("norm", [0.0, 0.5, 0.999999, 3.0, 1e30])
def test_clip(backend, dtype, rng, n, norm):
    x = rng.standard_normal(n).astype(dtype)
    agree(backend, "gradient_norm.gradient_clip_forward", x, np.array([norm]), 1.0)


@pytest.mark.parametrize("norm, wanted", [(np.nan, np.nan), (np.inf, 0.0)])
def test_clip_by_what_is_no_number(backend, dtype, norm, wanted):
    x = np.ones(5, dtype)
    backend("gradient_norm.gradient_clip_forward", x, np.array([norm]), 1.0)
    assert np.array_equal(x, np.full(5, wanted), equal_nan=True)


# ---- nn.utils

SHAPES = [(3, 5), (5,), (0, 4), (1,), (17, 2), ()]
LAYOUTS = ["loose", "one optimizer", "two optimizers", "half"]


def pair(rng, layout="loose", dtype=np.float64, absent=(3,)):
    """Parameters here and in torch with the same gradients; where ours lie is what `layout` says."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    gradients = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    ours = [nn.Parameter(np.zeros(shape, dtype)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(torch.tensor(np.zeros(shape, dtype))) for shape in SHAPES]
    groups = {"loose": [], "one optimizer": [ours], "two optimizers": [ours[:2], ours[2:]], "half": [ours[2:5]]}[layout]
    keep = [optim.SGD(group) for group in groups]
    for i, (a, b, gradient) in enumerate(zip(ours, theirs, gradients, strict=True)):
        if i not in absent:
            a.grad, b.grad = gradient, torch.tensor(gradient)
    return ours, theirs, keep


def same_gradients(ours, theirs, tol=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if b.grad is not None:
            close(np.asarray(a.grad), b.grad.numpy(), tol)


@pytest.mark.parametrize("max_norm, p", [*itertools.product([0.0, 0.7, 1e6], [2, 1, "inf", 3.5])])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_clip_grad_norm(rng, layout, max_norm, p):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    # torch has no largest element of an empty tensor, and of order 0 it counts tensors, not elements
    ours, theirs, _keep = pair(rng, layout, absent=(2, 3) if p == "inf" else (3,))
    norm = nn.utils.clip_grad_norm_(ours, max_norm, p)
    wanted = torch.nn.utils.clip_grad_norm_(theirs, max_norm, float(p))
    assert norm.shape == () and norm.dtype == np.float64
    close(np.asarray(norm), wanted.numpy(), 1e-12)
    same_gradients(ours, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_clip_grad_value(rng, layout):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ours, theirs, _keep = pair(rng, layout)
    nn.utils.clip_grad_value_(iter(ours), 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    same_gradients(ours, theirs, 0)


def test_float32_and_norms_by_themselves(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ours, theirs, _keep = pair(rng, "one optimizer", np.float32)
    norm = nn.utils.get_total_norm([p.grad for p in ours if p.grad is not None])
    wanted = torch.nn.utils.get_total_norm([p.grad for p in theirs if p.grad is not None])
    assert norm.dtype == np.float32
    close(np.asarray(norm), wanted.numpy(), 1e-6)
    nn.utils.clip_grads_with_norm_(ours, 0.5, norm)
    torch.nn.utils.clip_grads_with_norm_(theirs, 0.5, wanted)
    same_gradients(ours, theirs, 1e-6)
    single = nn.utils.get_total_norm(nn.Tensor(np.array([3.0, 4.0])), "inf")
    assert single.item() == 4.0
    mixed = nn.utils.get_total_norm([np.array([3.0], np.float32), np.array([4.0])])
    assert mixed.item() == 5.0 and mixed.dtype == np.float64


def test_neighbours_are_one_vector(rng, monkeypatch):
    ours, _, _keep = pair(rng, "one optimizer", absent=())
    calls = []
    module = nn.utils.clip_grad
    plain = module.call
    monkeypatch.setattr(module, "call", lambda name, *args: (calls.append(name), plain(name, *args)))
    nn.utils.clip_grad_norm_(ours, 0.1)
    assert [calls.count(f"gradient_norm.gradient_{name}_forward") for name in ("norm", "clip")] == [1, 1]
    # one that is left out has a gradient that is not to be touched
    kept = np.array(ours[1].grad)
    nn.utils.clip_grad_norm_([ours[0], *ours[2:]], 0.01)
    assert same(np.asarray(ours[1].grad), kept)


def test_padding_stays_zero(rng):
    ours, _, _keep = pair(rng, "one optimizer", absent=())
    nn.utils.clip_grad_norm_(ours, 0.1)
    nn.utils.clip_grad_value_(ours, 0.01)
    flat = ours[0]._place.flat.grad
    assert np.count_nonzero(flat) == sum(np.count_nonzero(np.asarray(p.grad)) for p in ours)


def test_steps_see_clipped_gradients(rng):
    p = nn.Parameter(np.zeros(2))
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = np.array([30.0, 40.0])
    assert nn.utils.clip_grad_norm_(p, 5.0).item() == 50.0
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [-3, -4], rtol=1e-6)


def test_nothing_to_clip():
    p = nn.Parameter(np.zeros(2))
    norm = nn.utils.clip_grad_norm_([p], 1.0)
    assert norm.item() == 0.0 and norm.dtype == np.float32 and p.grad is None
    with pytest.warns(UserWarning, match="empty generator"):
        nn.utils.clip_grad_norm_((q for q in []), 1.0)
    with pytest.raises(TypeError, match="expected Tensors, got a float"):
        nn.utils.clip_grad_value_([1.0], 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite(bad):
    p = nn.Parameter(np.zeros(2))
    p.grad = np.array([bad, 1.0])
    with pytest.raises(RuntimeError, match=r"order 2.0 is non-finite"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad[1] == 1.0
    assert not math.isfinite(nn.utils.clip_grad_norm_(p, 1.0).item())
    assert np.isnan(p.grad[0])
