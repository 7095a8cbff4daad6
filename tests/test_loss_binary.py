"""Binary cross-entropies, Kullback-Leibler divergence and the logistic loss: against ref, slopes and PyTorch."""

import numpy as np
import pytest
from helpers import absent, poison
from losses import Case, check_backend, check_finite_difference, check_torch, evaluate

SHAPES = [(0,), (1,), (7,), (17, 61), (3, 1000, 5)]


def probabilities(rng, shape):
    return [rng.uniform(0.05, 0.95, shape), rng.uniform(0.05, 0.95, shape)]


def logits(rng, shape):
    return [rng.standard_normal(shape) * 3, rng.uniform(0, 1, shape)]


def logs(rng, shape):
    return [-rng.uniform(0.1, 3, shape), -rng.uniform(0.1, 3, shape)]


def signs(rng, shape):
    return [rng.standard_normal(shape) * 2, rng.choice([-1.0, 1.0], shape)]


def none(rng, shape):
    return absent(np.float64)


def factors(rng, shape):
    return rng.uniform(0.1, 3, shape)


def given(t):
    return t if t.numel() else None


def bce(weight):
    return Case(
        "loss_binary.bce_forward",
        lambda rng, shape: [*probabilities(rng, shape), weight(rng, shape)],
        lambda F, x, t, w, reduction: F.binary_cross_entropy(x, t, given(w), reduction=reduction),
        name=f"bce-weight={weight.__name__}",
    )


def bce_with_logits(weight, pos_weight):
    return Case(
        "loss_binary.bce_with_logits_forward",
        lambda rng, shape: [*logits(rng, shape), weight(rng, shape), pos_weight(rng, shape)],
        lambda F, x, t, w, p, reduction: F.binary_cross_entropy_with_logits(
            x, t, given(w), pos_weight=given(p), reduction=reduction
        ),
        name=f"bce_with_logits-weight={weight.__name__}-pos_weight={pos_weight.__name__}",
    )


CASES = [
    bce(none),
    bce(factors),
    *(bce_with_logits(w, p) for w in (none, factors) for p in (none, factors)),
    Case(
        "loss_binary.kl_div_forward",
        lambda rng, shape: [logs(rng, shape)[0], rng.uniform(0.05, 1, shape)],
        lambda F, x, t, reduction: F.kl_div(x, t, reduction=reduction),
        (False,),
        "kl_div",
        # values of both signs cancel in the sum
        tol=4,
    ),
    Case(
        "loss_binary.kl_div_forward",
        logs,
        lambda F, x, t, reduction: F.kl_div(x, t, reduction=reduction, log_target=True),
        (True,),
        "kl_div-log_target",
        tol=4,
    ),
    Case(
        "loss_binary.soft_margin_forward",
        signs,
        lambda F, x, t, reduction: F.soft_margin_loss(x, t, reduction=reduction),
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_ref(backend, case, rng, shape, dtype):
    check_backend(backend, case, rng, shape, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_slopes(case, rng):
    check_finite_difference(case, rng, (5, 3))


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_torch(case, rng, shape):
    check_torch(pytest.importorskip("torch"), case, rng, shape)


def test_bce_at_0_and_1_is_clamped(backend, dtype):
    x, target = np.array([[0, 1, 0, 1], [1, 0, 0, 1]], dtype)
    loss, (dx, dtarget) = evaluate(backend, CASES[0], [x, target, absent(dtype)], "none")
    # -log is held at 100, x (1 - x) at 1e-12
    np.testing.assert_allclose(loss, [100, 100, 0, 0])
    np.testing.assert_allclose(dx, [-1e12, 1e12, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(dtarget, [np.inf, -np.inf, np.inf, -np.inf])


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan], ids=str)
@pytest.mark.parametrize("where", ["x", "target"])
def test_bce_refuses_what_is_no_probability(backend, dtype, bad, where):
    # in the middle of the second of several blocks
    x, target = np.full(5000, 0.5, dtype), np.full(5000, 0.5, dtype)
    (x if where == "x" else target)[1500] = bad
    with pytest.raises(ValueError, match="between 0 and 1"):
        evaluate(backend, CASES[0], [x, target, absent(dtype)], "mean")


def test_extreme_logits_stay_finite(backend, dtype):
    big = np.finfo(dtype).max / 4
    x = np.array([big, -big, 1000, -1000, 0], dtype)
    target = np.array([1, 0, 1, 0, 1], dtype)
    case = bce_with_logits(none, none)
    loss, (dx, _) = evaluate(backend, case, [x, target, absent(dtype), absent(dtype)], "none")
    np.testing.assert_allclose(loss, [0, 0, 0, 0, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(dx, [0, 0, 0, 0, -0.5], rtol=1e-6)
    loss, (dx, _) = evaluate(backend, case, [x, 1 - target, absent(dtype), absent(dtype)], "none")
    np.testing.assert_allclose(loss, [big, big, 1000, 1000, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(dx, [1, -1, 1, -1, 0.5], rtol=1e-6)
    # an overflow in PyTorch
    loss, (dx,) = evaluate(backend, CASES[-1], [x, np.where(x > 0, -1, 1).astype(dtype)], "none")
    np.testing.assert_allclose(loss, [big, big, 1000, 1000, np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(dx, [1, -1, 1, -1, -0.5], rtol=1e-6)


def test_nan_goes_through(backend, dtype):
    x, target = np.array([np.nan, 0.5], dtype), np.array([0.5, 0.5], dtype)
    for case in CASES[2:]:
        inputs = [x, target] + [absent(dtype)] * (len(case.inputs(np.random.default_rng(0), (2,))) - 2)
        loss, (dx, *_) = evaluate(backend, case, inputs, "none")
        assert np.isnan(loss[0]) and not np.isnan(loss[1]), case
        assert not np.isnan(dx[1]), case


def test_kl_div_at_probability_0(backend, dtype):
    x, target = np.array([-1, -2], dtype), np.array([0, 0.5], dtype)
    loss, (dx, dtarget) = evaluate(backend, CASES[6], [x, target], "none")
    np.testing.assert_allclose(loss, [0, 0.5 * np.log(0.5) + 1], rtol=1e-6)
    np.testing.assert_allclose(dx, [0, -0.5])
    assert dtarget[0] == -np.inf


def test_bad_arguments(backend, dtype):
    x, none_ = np.full(4, 0.5, dtype), absent(dtype)
    for bad in [
        lambda: backend("loss_binary.bce_forward", poison(2, dtype), none_, none_, x, x, none_, 1),
        lambda: backend("loss_binary.kl_div_forward", poison(1, dtype), none_, none_, x, x, True, 0),
        lambda: backend("loss_binary.soft_margin_forward", poison(1, dtype), none_, x, x, -1),
    ]:
        with pytest.raises(ValueError):
            bad()
