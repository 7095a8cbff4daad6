"""Cross-entropy with labels or distributions, and NLL: against ref, slopes and PyTorch, for every argument."""

import itertools

import numpy as np
import pytest
from helpers import TOLERANCE, absent, close, poison
from losses import Case, check_backend, check_finite_difference, check_torch, evaluate

# rows of a few classes (several blocks of rows), rows of many, trailing positions, nothing
SHAPES = [
    (0, 3, 1),
    (1, 2, 1),
    (7, 10, 1),
    (1000, 10, 1),
    (61, 2, 1),
    (131, 47, 1),
    (130, 49, 1),
    (5, 1000, 1),
    (3, 8209, 1),
    (2, 3, 1000),
    (3, 61, 17),
    (2, 5, 0),
]
IGNORED = -100


def given(t):
    return t if t.numel() else None


def labels(weighted, ignoring, smoothing, offset=0.0):
    def make(rng, shape):
        n, c, m = shape
        target = rng.integers(0, c, (n, m))
        if ignoring:
            target[rng.random((n, m)) < 0.3] = IGNORED
            if target.size:
                target.flat[0] = 0
        weight = rng.uniform(0.1, 2, c) if weighted else absent(np.float64)
        return [rng.standard_normal(shape) * 3 + offset, target, weight]

    return Case(
        "cross_entropy.cross_entropy_forward",
        make,
        lambda F, x, t, w, reduction: F.cross_entropy(
            x, t, given(w), label_smoothing=smoothing, ignore_index=IGNORED, reduction=reduction
        ),
        (IGNORED, smoothing),
        f"labels-weighted={weighted}-ignoring={ignoring}-smoothing={smoothing}",
        # softmax - target cancels where the right class is likely
        tol=4,
    )


def distributions(weighted, smoothing):
    def make(rng, shape):
        target = rng.uniform(0, 1, shape)
        weight = rng.uniform(0.1, 2, shape[1]) if weighted else absent(np.float64)
        return [rng.standard_normal(shape) * 3, target / target.sum(1, keepdims=True), weight]

    return Case(
        "cross_entropy_soft.cross_entropy_soft_forward",
        make,
        lambda F, x, t, w, reduction: F.cross_entropy(x, t, given(w), label_smoothing=smoothing, reduction=reduction),
        (smoothing,),
        f"distributions-weighted={weighted}-smoothing={smoothing}",
        tol=4,
    )


def nll(weighted, ignoring):
    def make(rng, shape):
        x, target, weight = labels(weighted, ignoring, 0.0).make(rng, shape)
        return [-abs(x), target, weight]

    return Case(
        "nll.nll_forward",
        make,
        lambda F, x, t, w, reduction: F.nll_loss(x, t, given(w), ignore_index=IGNORED, reduction=reduction),
        (IGNORED,),
        f"nll-weighted={weighted}-ignoring={ignoring}",
    )


BOTH = (False, True)
CASES = [
    *(labels(w, i, s) for w, i, s in itertools.product(BOTH, BOTH, (0.0, 0.1, 1.0))),
    *(distributions(w, s) for w, s in itertools.product(BOTH, (0.0, 0.1))),
    *(nll(w, i) for w, i in itertools.product(BOTH, BOTH)),
]
PLAIN, SOFT, NLL = CASES[0], CASES[12], CASES[16]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_ref(backend, case, rng, shape, dtype):
    check_backend(backend, case, rng, shape, dtype)


@pytest.mark.parametrize("shape", [(5, 4, 1), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_slopes(case, rng, shape):
    check_finite_difference(case, rng, shape)


@pytest.mark.parametrize("shape", [(7, 10, 1), (3, 4, 5), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_torch(case, rng, shape):
    check_torch(pytest.importorskip("torch"), case, rng, shape)


@pytest.mark.parametrize("shape", [(50, 10, 1), (5, 1000, 1), (2, 10, 70)], ids=str)
def test_a_large_offset_costs_no_digits(backend, rng, shape, dtype):
    """The largest logit is subtracted first: 1000 + x gives what x gives, to the rounding of 1000 + x itself."""
    check_backend(backend, labels(False, False, 0.0, offset=1000.0), rng, shape, dtype)


@pytest.mark.parametrize("shape", [(40, 10, 1), (4, 1000, 1), (2, 5, 40)], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extreme_logits(backend, dtype, shape, smoothing):
    n, c, m = shape
    big = float(np.finfo(dtype).max) / 2**16
    x = np.full(shape, -big, dtype)
    x[:, 1] = big
    x[:, 2] = 0
    target = np.ones((n, m), np.int64)
    target[0] = 0
    case = labels(False, False, smoothing)
    loss, (dx,) = evaluate(backend, case, [x, target, absent(dtype)], "none")
    loss = loss.reshape(n, m)
    # the distance of every other class from class 1, by its share of the target
    smooth = smoothing / c * (2.0 * big * (c - 2) + big)
    np.testing.assert_allclose(loss[1:], smooth, rtol=1e-5)
    np.testing.assert_allclose(loss[0], (1 - smoothing) * 2 * big + smooth, rtol=1e-5)
    want = np.full(shape, -smoothing / c)
    want[:, 1] += 1
    want[1:, 1] -= 1 - smoothing
    want[0, 0] -= 1 - smoothing
    np.testing.assert_allclose(dx, want, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 10, 1), (4, 1000, 1), (2, 5, 40)], ids=str)
def test_infinite_and_nan_logits(backend, dtype, shape):
    x = np.zeros(shape, dtype)
    n, c, m = shape
    x[:, 0] = -np.inf  # a masked class
    target = np.ones((n, m), np.int64)
    loss, (dx,) = evaluate(backend, PLAIN, [x, target, absent(dtype)], "none")
    np.testing.assert_allclose(loss, np.log(c - 1), rtol=1e-6)
    assert not dx[:, 0].any() and np.isfinite(dx).all()
    # the right class is masked
    loss, (dx,) = evaluate(backend, PLAIN, [x, target * 0, absent(dtype)], "none")
    assert (loss == np.inf).all()
    np.testing.assert_allclose(dx[:, 0], -1)
    # one sample is spoilt, its neighbours are not
    for bad in (np.nan, np.inf):
        x[:] = 0
        x[0, 2, 0] = bad
        loss, (dx,) = evaluate(backend, PLAIN, [x, target, absent(dtype)], "none")
        assert np.isnan(loss[0]) and np.isfinite(loss[1:]).all()
        assert np.isnan(dx[0, :, 0]).all() and np.isfinite(dx[1:]).all()
        # ... unless it is ignored: padding may hold anything
        target[0, 0] = IGNORED
        for reduction in ("none", "mean"):
            loss, (dx,) = evaluate(backend, PLAIN, [x, target, absent(dtype)], reduction)
            assert np.isfinite(loss).all() and not dx[0, :, 0].any() and np.isfinite(dx).all()
        target[0, 0] = 1


@pytest.mark.parametrize("case", [PLAIN, NLL], ids=str)
def test_nothing_but_ignored(backend, dtype, case):
    x, target = np.ones((5, 3, 2), dtype), np.full((5, 2), IGNORED)
    for reduction, want in (("none", 0), ("mean", np.nan), ("sum", 0)):
        loss, (dx,) = evaluate(backend, case, [x, target, absent(dtype)], reduction)
        np.testing.assert_array_equal(loss, np.full_like(loss, want))
        assert not dx.any()


@pytest.mark.parametrize("case", [PLAIN, NLL], ids=str)
@pytest.mark.parametrize("bad", [-1, 10, -(2**62), 2**62])
@pytest.mark.parametrize("shape", [(70, 10, 1), (3, 10, 5)], ids=str)
def test_labels_out_of_range(backend, dtype, case, bad, shape):
    target = np.zeros((shape[0], shape[2]), np.int64)
    target[2] = bad
    words = "label is out" if backend.name == "cuda" else rf"label {bad} is out of range: expected 0 .. 9"
    with pytest.raises(IndexError, match=words):
        evaluate(backend, case, [np.ones(shape, dtype), target, absent(dtype)], "mean")


@pytest.mark.parametrize("case", [PLAIN, NLL], ids=str)
def test_ignore_index_may_be_a_class(backend, dtype, rng, case):
    x = -abs(rng.standard_normal((9, 4, 1))).astype(dtype)
    target = rng.integers(0, 4, (9, 1))
    target[0] = 2
    there = Case(case.path, None, None, (2, *case.scalars[1:]))
    moved = np.where(target == 2, IGNORED, target)
    loss, (dx,) = evaluate(backend, there, [x, target, absent(dtype)], "mean")
    want, (dwant,) = evaluate(backend, case, [x, moved, absent(dtype)], "mean")
    np.testing.assert_array_equal(loss, want)
    np.testing.assert_array_equal(dx, dwant)


def test_rows_and_positions_agree(backend, dtype, rng):
    """The same numbers as rows of classes, and with the classes strided: two paths through the kernel."""
    for c in (3, 200):
        x, target = rng.standard_normal((40, c)).astype(dtype), rng.integers(0, c, 40)
        loss, (dx,) = evaluate(backend, PLAIN, [x[:, :, None].copy(), target[:, None], absent(dtype)], "none")
        turned = np.ascontiguousarray(x.T)[None]
        other, (dother,) = evaluate(backend, PLAIN, [turned, target[None], absent(dtype)], "none")
        close(loss, other, TOLERANCE[dtype])
        close(dx[:, :, 0], dother[0].T, TOLERANCE[dtype])


def test_empty_batch(backend, dtype):
    for case, target in (
        (PLAIN, np.zeros((0, 1), np.int64)),
        (NLL, np.zeros((0, 1), np.int64)),
        (SOFT, np.zeros((0, 3, 1), dtype)),
    ):
        for reduction, want in (("mean", [np.nan]), ("sum", [0]), ("none", [])):
            loss, _ = evaluate(backend, case, [np.zeros((0, 3, 1), dtype), target, absent(dtype)], reduction)
            np.testing.assert_array_equal(loss, np.array(want, dtype))


def test_bad_arguments(backend, dtype):
    x, target, none = np.ones((4, 3, 1), dtype), np.zeros((4, 1), np.int64), absent(dtype)
    for bad in [
        lambda: backend("cross_entropy.cross_entropy_forward", poison(2, dtype), none, x, target, none, -1, 0.0, 1),
        lambda: backend("cross_entropy.cross_entropy_forward", poison(1, dtype), none, x, target, none, -1, 1.5, 1),
        lambda: backend("cross_entropy.cross_entropy_forward", poison(1, dtype), none, x, target, none, -1, np.nan, 1),
        lambda: backend(
            "cross_entropy_soft.cross_entropy_soft_forward", poison(1, dtype), none, none, x, x, none, -0.1, 1
        ),
        lambda: backend("nll.nll_forward", poison(1, dtype), none, x, target, none, -1, 0),
    ]:
        with pytest.raises(ValueError):
            bad()
