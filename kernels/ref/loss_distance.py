"""Similarity and distance of pairs of vectors, and the losses made of them."""

import numpy as np

from .loss import reduced, save


def cosine_embedding_forward(loss, dx1, dx2, x1, x2, target, margin, reduction):
    """s = x1.x2 / sqrt((x1.x1 + 1e-12) * (x2.x2 + 1e-12))

    loss = 1 - s for target 1, max(0, s - margin) for target -1, else 0

    loss       (L,)            [out]  one value a row for reduction 0, else one value
    dx1        (N, D) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dx2        (N, D) or (0,)  [out]  likewise for x2
    x1         (N, D)                 vectors
    x2         (N, D)                 vectors
    target     (N,)                   1: similar, -1: dissimilar
    margin     float                  similarity at which dissimilar vectors cost nothing
    reduction  int                    0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.CosineEmbeddingLoss.
    """
    one, eps = x1.dtype.type(1), x1.dtype.type(1e-12)
    a, b = (x1 * x1).sum(1) + eps, (x2 * x2).sum(1) + eps
    r = 1 / np.sqrt(a * b)
    s = (x1 * x2).sum(1) * r
    gap = s - x1.dtype.type(margin)
    values = np.where(target == 1, one - s, np.where(target == -1, np.where(gap < 0, 0 * one, gap), 0 * one))
    slope = np.where(target == 1, -one, np.where((target == -1) & (gap >= 0), one, 0 * one))
    k = (reduced(loss, values, reduction) * slope)[:, None]
    save(dx1, k * (x2 * r[:, None] - x1 * (s / a)[:, None]))
    save(dx2, k * (x1 * r[:, None] - x2 * (s / b)[:, None]))


def cosine_similarity_forward(y, norm1, norm2, x1, x2, eps):
    """y = x1.x2 / (max(|x1|, eps) * max(|x2|, eps))

    y      (N,)    [out]   similarity
    norm1  (N,)    [work]  |x1|; hand unchanged to cosine_similarity_backward
    norm2  (N,)    [work]  |x2|, likewise
    x1     (N, D)          vectors
    x2     (N, D)          vectors
    eps    float           least length

    Raises ValueError for shapes that do not fit. Source: as torch.nn.CosineSimilarity.
    """
    norm1[...], norm2[...] = np.sqrt((x1 * x1).sum(1)), np.sqrt((x2 * x2).sum(1))
    least = x1.dtype.type(eps)
    y[...] = (x1 * x2).sum(1) / (np.maximum(norm1, least) * np.maximum(norm2, least))


def cosine_similarity_backward(dx1, dx2, dy, x1, x2, y, norm1, norm2, eps):
    """dx1 = dy * (x2 / (m1*m2) - y * x1 / m1**2), m = max(|x|, eps); the second term is absent where |x1| < eps

    dx1    (N, D) or (0,)  [out]  gradient
    dx2    (N, D) or (0,)  [out]  gradient
    dy     (N,)                   upstream gradient
    x1     (N, D)                 vectors
    x2     (N, D)                 vectors
    y      (N,)                   similarity, from the forward
    norm1  (N,)                   |x1|, from the forward
    norm2  (N,)                   |x2|, from the forward
    eps    float                  least length

    Raises ValueError for shapes that do not fit.
    """
    least = x1.dtype.type(eps)
    m1, m2 = np.maximum(norm1, least), np.maximum(norm2, least)
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (dy / (m1 * m2))[:, None]
        save(dx1, k * x2 - np.where(norm1 < least, 0 * y, dy * y / (m1 * m1))[:, None] * x1)
        save(dx2, k * x1 - np.where(norm2 < least, 0 * y, dy * y / (m2 * m2))[:, None] * x2)


def pairwise_distance_forward(y, x1, x2, p, eps):
    """y = (sum over d of |x1 - x2 + eps|**p) ** (1/p);  the largest for p = inf, the count of non-zeros for p = 0

    y    (N,)    [out]  distance
    x1   (N, D)         vectors
    x2   (N, D)         vectors
    p    float          order of the norm; may be negative or infinite
    eps  float          added to each difference

    Raises ValueError for shapes that do not fit. Source: as torch.nn.PairwiseDistance.
    """
    d = abs(x1 - x2 + x1.dtype.type(eps))
    with np.errstate(divide="ignore", invalid="ignore"):
        if d.shape[1] == 0:
            y[...] = 0
        elif p == 0:
            y[...] = (d != 0).sum(1)
        elif np.isinf(p):
            y[...] = d.max(1) if p > 0 else d.min(1)
        else:
            y[...] = (d.astype(np.float64) ** p).sum(1) ** (1 / p)


def pairwise_distance_backward(dx1, dx2, dy, x1, x2, y, p, eps):
    """dx1 = dy * sign(d) * (|d| / y)**(p-1), d = x1 - x2 + eps;  dx2 = -dx1; 0 where d is 0

    For p = inf the elements that reach the maximum share the gradient evenly; for p = 0 it is 0.

    dx1  (N, D) or (0,)  [out]  gradient
    dx2  (N, D) or (0,)  [out]  gradient
    dy   (N,)                   upstream gradient
    x1   (N, D)                 vectors
    x2   (N, D)                 vectors
    y    (N,)                   distance, from the forward
    p    float                  order of the norm
    eps  float                  added to each difference

    Raises ValueError for shapes that do not fit.
    """
    d = x1 - x2 + x1.dtype.type(eps)
    r = y[:, None].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if p == 0:
            g = np.zeros_like(d)
        elif np.isinf(p):
            at = abs(d) == y[:, None]
            g = np.sign(d) * at / np.maximum(at.sum(1, keepdims=True), 1)
        else:
            g = np.where((d == 0) | (r == 0), 0, np.sign(d) * (abs(d) / r) ** (p - 1))
            g = np.where(np.isnan(d), d, g)
    save(dx1, dy[:, None] * g)
    save(dx2, -dy[:, None] * g)
