"""Losses of regression: against ref, finite differences and PyTorch."""

import numpy as np
import pytest
from helpers import absent, poison
from losses import REDUCTIONS, Case, check_backend, check_finite_difference, check_torch, evaluate

SHAPES = [(0,), (1,), (7,), (17, 61), (3, 1000, 5)]


def pair(rng, shape):
    return [rng.standard_normal(shape) * 2, rng.standard_normal(shape)]


def counts(rng, shape):
    # both sides of 1, where Stirling's term begins
    return [rng.standard_normal(shape), rng.integers(0, 6, shape) + 0.25]


def rates(rng, shape):
    return [rng.uniform(0.1, 3, shape), rng.integers(0, 6, shape) + 0.25]


def triple(rng, shape):
    return [rng.standard_normal(shape), rng.standard_normal(shape), rng.uniform(0.1, 2, shape)]


def poisson(log_input, full, eps=1e-8):
    return Case(
        "loss_regression.poisson_nll_forward",
        counts if log_input else rates,
        lambda F, x, t, reduction: F.poisson_nll_loss(
            x, t, log_input=log_input, full=full, eps=eps, reduction=reduction
        ),
        (log_input, full, eps),
        f"poisson_nll-log={log_input}-full={full}",
        # values of both signs cancel in the sum
        tol=4,
    )


def gaussian(full, eps):
    return Case(
        "loss_regression.gaussian_nll_forward",
        triple,
        lambda F, x, t, v, reduction: F.gaussian_nll_loss(x, t, v, full=full, eps=eps, reduction=reduction),
        (full, eps),
        f"gaussian_nll-full={full}-eps={eps}",
        tol=4,
    )


CASES = [
    Case("loss_regression.mse_forward", pair, lambda F, x, t, reduction: F.mse_loss(x, t, reduction=reduction)),
    Case("loss_regression.l1_forward", pair, lambda F, x, t, reduction: F.l1_loss(x, t, reduction=reduction)),
    *(
        Case(
            "loss_regression.smooth_l1_forward",
            pair,
            lambda F, x, t, reduction, beta=beta: F.smooth_l1_loss(x, t, beta=beta, reduction=reduction),
            (beta,),
            f"smooth_l1-beta={beta}",
        )
        for beta in (0.0, 0.3, 1.0)
    ),
    *(
        Case(
            "loss_regression.huber_forward",
            pair,
            lambda F, x, t, reduction, delta=delta: F.huber_loss(x, t, delta=delta, reduction=reduction),
            (delta,),
            f"huber-delta={delta}",
        )
        for delta in (0.3, 1.0)
    ),
    *(poisson(log_input, full) for log_input in (True, False) for full in (True, False)),
    gaussian(False, 1e-6),
    gaussian(True, 1e-6),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_ref(backend, case, rng, shape, dtype):
    check_backend(backend, case, rng, shape, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_slopes(case, rng):
    check_finite_difference(case, rng, (5, 3))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("case", [*CASES, gaussian(False, 0.9)], ids=str)
def test_agrees_with_torch(case, rng, shape):
    check_torch(pytest.importorskip("torch"), case, rng, shape)


@pytest.mark.parametrize("beta, kernel", [(1.0, "smooth_l1"), (1.0, "huber"), (None, "l1"), (None, "mse")])
def test_corners_and_specials(backend, dtype, beta, kernel):
    """Exactly at the corners, and NaN and Inf go through as torch sends them."""
    torch = pytest.importorskip("torch")
    x = np.array([0, 1, -1, 1.5, np.inf, -np.inf, np.nan, 3e4], dtype)
    target = np.zeros_like(x)
    scalars = () if beta is None else (beta,)
    case = Case(f"loss_regression.{kernel}_forward", None, None, scalars)
    t = torch.from_numpy(x.copy()).requires_grad_()
    for reduction in REDUCTIONS:
        loss, (dx, dtarget) = evaluate(backend, case, [x, target], reduction)
        want = getattr(torch.nn.functional, f"{kernel}_loss")(t, torch.zeros_like(t), reduction=reduction)
        (grad,) = torch.autograd.grad(want.sum(), t)
        np.testing.assert_allclose(loss, want.detach().numpy().reshape(-1), rtol=1e-6)
        # torch's sign of NaN is 0 in l1; ours keeps the NaN
        np.testing.assert_allclose(dx[:6], grad.numpy()[:6], rtol=1e-6)
        np.testing.assert_array_equal(dtarget, -dx)
        assert np.isnan(dx[6])


def test_bad_arguments(backend, dtype):
    x = np.ones(4, dtype)
    loss, none = poison(1, dtype), absent(dtype)
    for bad in [
        lambda: backend("loss_regression.mse_forward", poison(2, dtype), none, none, x, x, 1),
        lambda: backend("loss_regression.mse_forward", loss, none, none, x, x, 0),
        lambda: backend("loss_regression.mse_forward", loss, none, none, x, x, 3),
        lambda: backend("loss_regression.smooth_l1_forward", loss, none, none, x, x, -1.0, 1),
        lambda: backend("loss_regression.huber_forward", loss, none, none, x, x, 0.0, 1),
        lambda: backend("loss_regression.huber_forward", loss, none, none, x, x, -1.0, 1),
        lambda: backend("loss_regression.gaussian_nll_forward", loss, none, none, none, x, x, -x, False, 1e-6, 1),
    ]:
        with pytest.raises(ValueError):
            bad()
