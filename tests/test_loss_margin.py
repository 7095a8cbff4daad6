"""Hinges of one number, a pair or a triplet: against ref, slopes and PyTorch."""

import numpy as np
import pytest
from helpers import absent
from losses import Case, check_backend, check_finite_difference, check_torch, evaluate

SHAPES = [(0,), (1,), (7,), (17, 61), (3, 1000, 5)]


def signed(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def ranking(margin):
    return Case(
        "loss_margin.margin_ranking_forward",
        lambda rng, shape: [rng.standard_normal(shape), rng.standard_normal(shape), signed(rng, shape)],
        lambda F, a, b, t, reduction: F.margin_ranking_loss(a, b, t, margin, reduction=reduction),
        (margin,),
        f"margin_ranking-{margin}",
    )


def hinge(margin, targets=(-1.0, 1.0)):
    return Case(
        "loss_margin.hinge_embedding_forward",
        lambda rng, shape: [rng.standard_normal(shape) * 2, rng.choice(targets, shape)],
        lambda F, x, t, reduction: F.hinge_embedding_loss(x, t, margin, reduction=reduction),
        (margin,),
        f"hinge_embedding-{margin}-{targets}",
        # values of both signs cancel in the sum
        tol=8,
    )


def triplet(swap):
    def make(rng, shape):
        three = [rng.uniform(0, 2, shape) for _ in range(3)]
        return three if swap else [*three[:2], absent(np.float64)]

    def torch_twin(F, pos, neg, other, reduction):
        import torch

        least = torch.minimum(neg, other) if swap else neg
        loss = torch.clamp_min(0.7 + pos - least, 0)
        return {"none": loss, "mean": loss.mean(), "sum": loss.sum()}[reduction]

    return Case("loss_margin.triplet_margin_forward", make, torch_twin, (0.7,), f"triplet-swap={swap}")


CASES = [hinge(1.0), hinge(0.3, (-1.0, 0.0, 1.0)), ranking(0.0), ranking(0.5), triplet(False), triplet(True)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_ref(backend, case, rng, shape, dtype):
    check_backend(backend, case, rng, shape, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_slopes(case, rng):
    check_finite_difference(case, rng, (5, 3))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_torch(case, rng, shape):
    check_torch(pytest.importorskip("torch"), case, rng, shape)


def test_at_the_corner_the_slope_counts(backend, dtype):
    """As clamp_min in torch: a hinge of exactly 0 still has its slope."""
    x, target = np.array([1, 2, np.nan], dtype), np.array([-1, -1, -1], dtype)
    loss, (dx,) = evaluate(backend, CASES[0], [x, target], "none")
    np.testing.assert_array_equal(loss, [0, 0, np.nan])
    np.testing.assert_array_equal(dx[:2], [-1, 0])
    equal = np.ones(3, dtype)
    loss, (d1, d2, _) = evaluate(backend, CASES[2], [equal, equal, target], "none")
    np.testing.assert_array_equal(loss, [0, 0, 0])
    np.testing.assert_array_equal(d1, [1, 1, 1])
    np.testing.assert_array_equal(d2, [-1, -1, -1])
    # two equal distances share the gradient
    loss, (dpos, dneg, dswap) = evaluate(backend, CASES[5], [equal, equal, equal], "sum")
    np.testing.assert_allclose(loss, [2.1], rtol=1e-6)
    np.testing.assert_array_equal(np.stack([dpos, dneg, dswap]), [[1] * 3, [-0.5] * 3, [-0.5] * 3])


def test_bad_arguments(backend, dtype):
    x, loss, none = np.ones(4, dtype), np.empty(1, dtype), absent(dtype)
    for bad in [
        lambda: backend("loss_margin.hinge_embedding_forward", loss, none, x, x, 1.0, 0),
        lambda: backend("loss_margin.margin_ranking_forward", loss, none, none, none, x, x, x[:3].copy(), 1.0, 1),
        lambda: backend("loss_margin.triplet_margin_forward", loss, none, none, none, x, x, none, 1.0, 5),
    ]:
        with pytest.raises(ValueError):
            bad()


def test_nan_has_no_gradient(backend, dtype):
    """The loss is NaN; the slope is that of the side which the sample is not on, as in torch."""
    x1, x2, target = np.array([np.nan, 1.0], dtype), np.array([0.0, 2.0], dtype), np.ones(2, dtype)
    loss, dx1, dx2 = (np.full(2, 7, dtype) for _ in range(3))
    backend("loss_margin.margin_ranking_forward", loss, dx1, dx2, np.empty(0, dtype), x1, x2, target, 0.5, 0)
    assert np.isnan(loss[0]) and loss[1] == 1.5
    assert list(dx1) == [0, -1] and list(dx2) == [0, 1]
