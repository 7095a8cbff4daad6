"""Cosine similarity, distances of pairs and their losses: against ref, slopes and PyTorch."""

import numpy as np
import pytest
from helpers import TOLERANCE, Backend, absent, agree, close, finite_difference, poison
from hotloop import nn
from losses import Case, check_backend, check_finite_difference, check_torch, evaluate

SHAPES = [(0, 3), (1, 2), (7, 2), (17, 61), (300, 10), (5, 1000)]
NORMS = [2.0, 1.0, 0.0, 3.0, 0.5, 1.5, np.inf, -np.inf, -1.0]


def vectors(rng, shape):
    return [rng.standard_normal(shape), rng.standard_normal(shape)]


def cosine(margin):
    return Case(
        "loss_distance.cosine_embedding_forward",
        lambda rng, shape: [*vectors(rng, shape), rng.choice([-1.0, 1.0, 0.0], shape[0])],
        lambda F, a, b, t, reduction: F.cosine_embedding_loss(a, b, t, margin, reduction=reduction),
        (margin,),
        f"cosine_embedding-{margin}",
        # 1 - s cancels where the vectors are alike
        tol=4,
    )


CASES = [cosine(0.0), cosine(-0.5), cosine(0.3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cosine_embedding_agrees_with_ref(backend, case, rng, shape, dtype):
    check_backend(backend, case, rng, shape, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cosine_embedding_gradients_are_slopes(case, rng):
    check_finite_difference(case, rng, (6, 5))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cosine_embedding_agrees_with_torch(case, rng):
    check_torch(pytest.importorskip("torch"), case, rng, (9, 13))


def test_zero_vectors(backend, dtype):
    x1, x2 = np.zeros((2, 3), dtype), np.ones((2, 3), dtype)
    loss, grads = evaluate(backend, CASES[0], [x1, x2, np.array([1, -1], dtype)], "none")
    np.testing.assert_array_equal(loss, [1, 0])
    assert all(np.isfinite(g).all() for g in grads)


def similarity(backend, x1, x2, dy, eps):
    n, dtype = len(x1), x1.dtype
    y, n1, n2 = (poison(n, dtype) for _ in range(3))
    backend("loss_distance.cosine_similarity_forward", y, n1, n2, x1, x2, eps)
    d1, d2 = poison(x1.shape, dtype), poison(x2.shape, dtype)
    backend("loss_distance.cosine_similarity_backward", d1, d2, dy, x1, x2, y, n1, n2, eps)
    return y, d1, d2


@pytest.mark.parametrize("eps", [1e-8, 3.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cosine_similarity_agrees_with_ref(backend, rng, shape, dtype, eps):
    x1, x2 = (a.astype(dtype) for a in vectors(rng, shape))
    dy = rng.standard_normal(shape[0]).astype(dtype)
    wide = similarity(Backend("ref"), x1.astype(np.float64), x2.astype(np.float64), dy.astype(np.float64), eps)
    for name, got, want in zip(("y", "dx1", "dx2"), similarity(backend, x1, x2, dy, eps), wide, strict=True):
        close(got, want, 4 * TOLERANCE[dtype], name)  # dot products and gradients of either sign cancel


@pytest.mark.parametrize("eps", [1e-8, 1.5])
def test_cosine_similarity_gradients_are_slopes(rng, eps):
    (x1, x2), dy, ref = vectors(rng, (6, 4)), rng.standard_normal(6), Backend("ref")
    _, d1, d2 = similarity(ref, x1, x2, dy, eps)

    def scalar():
        y = np.empty(6)
        ref("loss_distance.cosine_similarity_forward", y, np.empty(6), np.empty(6), x1, x2, eps)
        return float(y @ dy)

    close(d1, finite_difference(scalar, x1), 1e-6)
    close(d2, finite_difference(scalar, x2), 1e-6)


def test_cosine_similarity_agrees_with_torch(rng):
    torch = pytest.importorskip("torch")
    (x1, x2), dy = vectors(rng, (6, 4)), rng.standard_normal(6)
    a, b = (torch.from_numpy(x.copy()).requires_grad_() for x in (x1, x2))
    want = torch.nn.functional.cosine_similarity(a, b)
    want.backward(torch.from_numpy(dy))
    y, d1, d2 = similarity(Backend("ref"), x1, x2, dy, 1e-8)
    for got, t in ((y, want.detach()), (d1, a.grad), (d2, b.grad)):
        close(got, t.numpy(), 1e-13)


@pytest.mark.parametrize("options", [{}, {"p": 1, "dim": -1}, {"p": 3.0, "dim": (0, 2)}, {"eps": 2.0}])
def test_normalize_as_torch(rng, options):
    torch = pytest.importorskip("torch")
    x, dy = rng.standard_normal((2, 4, 3, 5)).astype(np.float32)
    x[1, :, 2] = 0  # divided by eps
    ours, theirs = nn.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got, want = nn.functional.normalize(ours, **options), torch.nn.functional.normalize(theirs, **options)
    np.testing.assert_allclose(got.numpy(), want.detach().numpy(), rtol=1e-5, atol=1e-6)
    got.backward(dy)
    want.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-4, atol=1e-5)


def distance(backend, x1, x2, dy, p, eps=1e-6):
    y = poison(len(x1), x1.dtype)
    backend("loss_distance.pairwise_distance_forward", y, x1, x2, p, eps)
    d1, d2 = poison(x1.shape, x1.dtype), poison(x2.shape, x1.dtype)
    backend("loss_distance.pairwise_distance_backward", d1, d2, dy, x1, x2, y, p, eps)
    return y, d1, d2


@pytest.mark.parametrize("p", NORMS, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (1, 1), (3, 0)], ids=str)
def test_distance_agrees_with_ref(backend, rng, shape, dtype, p):
    # thousandths: x1 - x2 + eps has the same zeros and the same largest element in float32 and float64
    x1, x2 = (np.round(a, 2).astype(dtype) for a in vectors(rng, shape))
    y = np.empty(shape[0], dtype)
    (y, *_) = agree(backend, "loss_distance.pairwise_distance_forward", y, x1, x2, p, 1e-6, tol=tolerance(p, dtype))
    dy = rng.standard_normal(shape[0]).astype(dtype)
    for wanted in ((1, 1), (1, 0), (0, 1)):
        grads = [np.empty(shape if w else 0, dtype) for w in wanted]
        Backend.__call__(backend, "loss_distance.pairwise_distance_backward", *grads, dy, x1, x2, y, p, 1e-6)
        same = [np.empty(shape if w else 0, dtype) for w in wanted]
        Backend("ref")("loss_distance.pairwise_distance_backward", *same, dy, x1, x2, y, p, 1e-6)
        for got, want in zip(grads, same, strict=True):
            close(got, want, tolerance(p, dtype))


def tolerance(p, dtype):
    # a norm below 1 lives on the smallest difference, where rounding of x1 - x2 + eps is amplified
    return TOLERANCE[dtype] * (1 if p in (0.0, 1.0, 2.0) else 4 if p >= 1 else 2000)


@pytest.mark.parametrize("p", NORMS, ids=str)
def test_distance_gradients_are_slopes(rng, p):
    (x1, x2), dy, ref = vectors(rng, (6, 4)), rng.standard_normal(6), Backend("ref")
    _, d1, d2 = distance(ref, x1, x2, dy, p)

    def scalar():
        y = np.empty(6)
        ref("loss_distance.pairwise_distance_forward", y, x1, x2, p, 1e-6)
        return float(y @ dy)

    # the truncation error of a norm below 1 is larger: its curvature grows with 1 / |d|
    close(d1, finite_difference(scalar, x1, 1e-6), 1e-5)
    close(d2, finite_difference(scalar, x2, 1e-6), 1e-5)


@pytest.mark.parametrize("p", NORMS, ids=str)
def test_distance_agrees_with_torch(backend, rng, p):
    torch = pytest.importorskip("torch")
    (x1, x2), dy = vectors(rng, (6, 4)), rng.standard_normal(6)
    # equal vectors; elements that share the maximum; an element without a difference
    x1[0], x1[1], x1[2, :2] = x2[0], x2[1] + 1, x2[2, :2]
    for eps in (1e-6, 0.0):
        a, b = (torch.from_numpy(x.copy()).requires_grad_() for x in (x1, x2))
        want = torch.nn.functional.pairwise_distance(a, b, p, eps)
        y, d1, d2 = distance(backend, x1, x2, dy, p, eps)
        close(y, want.detach().numpy(), 1e-12)
        if p == 0:
            assert not d1.any() and not d2.any()
            continue
        want.backward(torch.from_numpy(dy))
        close(d1, a.grad.numpy(), 1e-11)
        close(d2, b.grad.numpy(), 1e-11)


def test_bad_arguments(backend, dtype):
    x, y = np.ones((4, 3), dtype), np.empty(4, dtype)
    for bad in [
        lambda: backend("loss_distance.pairwise_distance_forward", y, x, x[:3].copy(), 2.0, 1e-6),
        lambda: backend("loss_distance.cosine_similarity_forward", y, y.copy(), y.copy(), x, x[:, :2].copy(), 1e-8),
        lambda: backend(
            "loss_distance.cosine_embedding_forward", y, absent(dtype), absent(dtype), x, x, y.copy(), 0.0, 1
        ),
    ]:
        if backend.name == "ref":
            with pytest.raises(Exception, match=r"."):
                bad()
        else:
            with pytest.raises(ValueError):
                bad()
