"""Similarity and distance of pairs of vectors on the CPU: a pair at a time, pairs spread over threads."""

import numpy as np

from ..jit import compiled, kernel, leaf, parallel_for
from .loss import end_loss
from .loss_multiclass import begin_rows, row_grain
from .vecmath import exp, log


@compiled
def _products(a, b):
    """a.a, b.b, a.b in one pass"""
    aa, bb, ab = a.dtype.type(0), a.dtype.type(0), a.dtype.type(0)
    for j in range(a.size):
        aa += a[j] * a[j]
        bb += b[j] * b[j]
        ab += a[j] * b[j]
    return aa, bb, ab


@compiled
def _combine(out, p, a, q, b):
    """out = p * a - q * b"""
    for j in range(out.size):
        out[j] = p * a[j] - q * b[j]


@compiled
def _cosine_embedding(begin, end, values, dx1, dx2, x1, x2, target, margin, scale):
    zero, one, eps = x1.dtype.type(0), x1.dtype.type(1), x1.dtype.type(1e-12)
    for i in range(begin, end):
        aa, bb, ab = _products(x1[i], x2[i])
        aa, bb = aa + eps, bb + eps
        r = one / np.sqrt(aa * bb)
        s = ab * r
        gap = s - margin
        value, slope = zero, zero
        if target[i] == 1:
            value, slope = one - s, -one
        elif target[i] == -1 and not gap < 0:
            value, slope = gap, one
        values[i] = value
        k = scale * slope
        if dx1.size:
            _combine(dx1[i], k * r, x2[i], k * s / aa, x1[i])
        if dx2.size:
            _combine(dx2[i], k * r, x1[i], k * s / bb, x2[i])


@kernel
def cosine_embedding_forward(loss, dx1, dx2, x1, x2, target, margin, reduction):
    """Three sums a pair in one pass, and one pass for each gradient while the pair is in cache."""
    n, d = x1.shape
    values, scale = begin_rows(loss, x1, reduction)
    arguments = (values, dx1, dx2, x1, x2, target, x1.dtype.type(margin), scale)
    parallel_for(_cosine_embedding, n, row_grain(d), arguments)
    end_loss(loss, values, n, reduction)


@compiled
def _cosine(begin, end, y, norm1, norm2, x1, x2, eps):
    for i in range(begin, end):
        aa, bb, ab = _products(x1[i], x2[i])
        a, b = np.sqrt(aa), np.sqrt(bb)
        norm1[i], norm2[i] = a, b
        y[i] = ab / ((eps if a < eps else a) * (eps if b < eps else b))


@kernel
def cosine_similarity_forward(y, norm1, norm2, x1, x2, eps):
    """Three sums a pair in one pass."""
    n, d = x1.shape
    parallel_for(_cosine, n, row_grain(d), (y, norm1, norm2, x1, x2, x1.dtype.type(eps)))


@compiled
def _cosine_back(begin, end, dx1, dx2, dy, x1, x2, y, norm1, norm2, eps):
    zero = x1.dtype.type(0)
    for i in range(begin, end):
        a, b = norm1[i], norm2[i]
        m1, m2 = eps if a < eps else a, eps if b < eps else b
        k = dy[i] / (m1 * m2)
        if dx1.size:
            _combine(dx1[i], k, x2[i], zero if a < eps else dy[i] * y[i] / (m1 * m1), x1[i])
        if dx2.size:
            _combine(dx2[i], k, x1[i], zero if b < eps else dy[i] * y[i] / (m2 * m2), x2[i])


@kernel
def cosine_similarity_backward(dx1, dx2, dy, x1, x2, y, norm1, norm2, eps):
    """One pass for each gradient."""
    n, d = x1.shape
    parallel_for(_cosine_back, n, row_grain(d), (dx1, dx2, dy, x1, x2, y, norm1, norm2, x1.dtype.type(eps)))


@leaf
def difference(a, b, eps):
    """a - b + eps in this order everywhere: the largest one is found again by comparing with it."""
    return (a - b) + eps


@compiled
def _norm(a, b, eps, p):
    """The p-norm of a - b + eps. Powers other than 1 and 2 are made in float64, where exp(p log) keeps its digits."""
    if a.size == 0:
        return 0.0
    if p == 2:
        s = a.dtype.type(0)
        for j in range(a.size):
            d = difference(a[j], b[j], eps)
            s += d * d
        return np.sqrt(np.float64(s))
    total = 0.0
    if p == 1:
        for j in range(a.size):
            total += abs(difference(a[j], b[j], eps))
        return total
    if p == 0:
        for j in range(a.size):
            total += difference(a[j], b[j], eps) != 0
        return total
    if np.isinf(p):
        extreme = np.float64(abs(difference(a[0], b[0], eps)))
        for j in range(1, a.size):
            d = np.float64(abs(difference(a[j], b[j], eps)))
            extreme = d if (d > extreme if p > 0 else d < extreme) or d != d else extreme
        return extreme
    for j in range(a.size):
        total += exp(p * log(np.float64(abs(difference(a[j], b[j], eps)))))
    return exp(log(total) / p)


@compiled
def _distance(begin, end, y, x1, x2, p, eps):
    for i in range(begin, end):
        y[i] = _norm(x1[i], x2[i], eps, p)


@kernel
def pairwise_distance_forward(y, x1, x2, p, eps):
    """A sum a pair; the order of the norm is settled once a pair."""
    n, d = x1.shape
    parallel_for(_distance, n, row_grain(d), (y, x1, x2, p, x1.dtype.type(eps)))


@compiled
def _slopes(out, factor, a, b, y, eps, p):
    """out = factor * the slope of the p-norm of a - b + eps, which is y"""
    real = a.dtype.type
    zero, one = real(0), real(1)
    if p == 0 or y == 0:
        for j in range(out.size):
            out[j] = zero
    elif p == 2:
        k = factor / y
        for j in range(out.size):
            out[j] = k * (difference(a[j], b[j], eps))
    elif p == 1:
        for j in range(out.size):
            d = difference(a[j], b[j], eps)
            out[j] = factor if d > 0 else (-factor if d < 0 else d * zero)
    elif np.isinf(p):
        count = zero
        for j in range(out.size):
            count += one if abs(difference(a[j], b[j], eps)) == y else zero
        k = factor / count
        for j in range(out.size):
            d = difference(a[j], b[j], eps)
            side = k if d > 0 else -k
            out[j] = side if abs(d) == y else zero
    else:
        scale = np.float64(one) / np.float64(y)
        for j in range(out.size):
            d = difference(a[j], b[j], eps)
            size = exp((p - 1) * log(np.float64(abs(d)) * scale))
            out[j] = zero if d == 0 else real(factor * (size if d > 0 else (-size if d < 0 else np.float64(d))))


@compiled
def _distance_back(begin, end, dx1, dx2, dy, x1, x2, y, p, eps):
    for i in range(begin, end):
        if dx1.size:
            _slopes(dx1[i], dy[i], x1[i], x2[i], y[i], eps, p)
            if dx2.size:
                out, source = dx2[i], dx1[i]
                for j in range(out.size):
                    out[j] = -source[j]
        elif dx2.size:
            _slopes(dx2[i], -dy[i], x1[i], x2[i], y[i], eps, p)


@kernel
def pairwise_distance_backward(dx1, dx2, dy, x1, x2, y, p, eps):
    """The gradient of x2 is that of x1, negated."""
    n, d = x1.shape
    parallel_for(_distance_back, n, row_grain(d), (dx1, dx2, dy, x1, x2, y, p, x1.dtype.type(eps)))
