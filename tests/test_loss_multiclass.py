"""Margin losses of rows of scores: against ref, slopes and PyTorch; labels are checked before they index."""

import numpy as np
import pytest
from helpers import absent
from losses import Case, check_backend, check_finite_difference, check_torch, evaluate

SHAPES = [(0, 3), (1, 1), (7, 2), (17, 61), (300, 10), (5, 1000)]


def scores(rng, shape):
    return rng.standard_normal(shape)


def multi_margin(p, weighted, margin=1.0):
    return Case(
        "loss_multiclass.multi_margin_forward",
        lambda rng, shape: [
            scores(rng, shape),
            rng.integers(0, shape[1], shape[0]),
            rng.uniform(0.1, 2, shape[1]) if weighted else absent(np.float64),
        ],
        lambda F, x, t, w, reduction: F.multi_margin_loss(
            x, t, p, margin, w if w.numel() else None, reduction=reduction
        ),
        (p, margin),
        f"multi_margin-p={p}-weighted={weighted}",
    )


def label_lists(rng, shape):
    """Rows of distinct labels ended by -1, of every length from none to all; what follows a -1 does not count."""
    n, c = shape
    target = np.stack([rng.permutation(c) for _ in range(n)]) if n else np.zeros(shape, np.int64)
    for i in range(n):
        if i % 4:
            target[i, rng.integers(0, c) :: 2] = -1
    return [scores(rng, shape), target.astype(np.int64)]


CASES = [
    *(multi_margin(p, weighted) for p in (1, 2) for weighted in (False, True)),
    multi_margin(1, False, 0.3),
    Case(
        "loss_multiclass.multilabel_margin_forward",
        label_lists,
        lambda F, x, t, reduction: F.multilabel_margin_loss(x, t, reduction=reduction),
    ),
    *(
        Case(
            "loss_multiclass.multilabel_soft_margin_forward",
            lambda rng, shape, weighted=weighted: [
                scores(rng, shape) * 3,
                rng.uniform(0, 1, shape),
                rng.uniform(0.1, 2, shape[1]) if weighted else absent(np.float64),
            ],
            lambda F, x, t, w, reduction: F.multilabel_soft_margin_loss(
                x, t, w if w.numel() else None, reduction=reduction
            ),
            name=f"multilabel_soft_margin-weighted={weighted}",
        )
        for weighted in (False, True)
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_ref(backend, case, rng, shape, dtype):
    check_backend(backend, case, rng, shape, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_slopes(case, rng):
    check_finite_difference(case, rng, (6, 5))


@pytest.mark.parametrize("shape", [(1, 1), (7, 2), (9, 13)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_torch(case, rng, shape):
    check_torch(pytest.importorskip("torch"), case, rng, shape)


@pytest.mark.parametrize("bad", [-1, 5, -(2**62), 2**62])
def test_multi_margin_refuses_labels_out_of_range(backend, dtype, bad):
    target = np.array([0, 4, bad, 1])
    with pytest.raises(IndexError, match=rf"label {bad} is out of range: expected 0 .. 4"):
        evaluate(backend, CASES[0], [np.ones((4, 5), dtype), target, absent(dtype)], "mean")


@pytest.mark.parametrize("bad", [-2, 5])
def test_multilabel_margin_refuses_labels_out_of_range(backend, dtype, bad):
    # after the end of the list, too: as torch
    target = np.array([[0, -1, bad, 0, 0]])
    with pytest.raises(IndexError, match=rf"label {bad} is out of range: expected -1 .. 4"):
        evaluate(backend, CASES[5], [np.ones((1, 5), dtype), target], "mean")


def test_multi_margin_p(backend, dtype):
    case = Case("loss_multiclass.multi_margin_forward", None, None, (3, 1.0))
    with pytest.raises(ValueError, match="p"):
        evaluate(backend, case, [np.ones((1, 2), dtype), np.zeros(1, np.int64), absent(dtype)], "mean")


def test_repeated_labels_count_each_time(backend, dtype):
    torch = pytest.importorskip("torch")
    x, target = np.array([[0.5, -1, 2, 0, 1]], dtype), np.array([[0, 2, 0, -1, 1]])
    loss, (dx,) = evaluate(backend, CASES[5], [x, target], "none")
    t = torch.from_numpy(x.copy()).requires_grad_()
    want = torch.nn.functional.multilabel_margin_loss(t, torch.from_numpy(target), reduction="none")
    want.sum().backward()
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=1e-6)


def test_nan_goes_through(backend, dtype):
    x = np.array([[np.nan, 1, 2], [1, 2, 3]], dtype)
    target = np.array([1, 2])
    loss, _ = evaluate(backend, CASES[0], [x, target, absent(dtype)], "none")
    assert np.isnan(loss[0]) and not np.isnan(loss[1])
    loss, _ = evaluate(backend, CASES[5], [x, np.array([[1, -1, -1], [2, -1, -1]])], "none")
    assert np.isnan(loss[0]) and not np.isnan(loss[1])
    loss, _ = evaluate(backend, CASES[6], [x, np.ones_like(x), absent(dtype)], "none")
    assert np.isnan(loss[0]) and not np.isnan(loss[1])


def test_extreme_scores(backend, dtype):
    x, target = np.array([[1e4, -1e4, 0], [1e30, -1e30, 0]], dtype), np.array([[1, 0, 0], [0, 1, 1]], dtype)
    loss, (dx, _) = evaluate(backend, CASES[6], [x, target, absent(dtype)], "none")
    np.testing.assert_allclose(loss, [np.log(2) / 3, (2e30 + np.log(2)) / 3], rtol=1e-6)
    np.testing.assert_allclose(dx * 3, [[0, 0, 0.5], [1, -1, -0.5]], rtol=1e-6)
