"""Similarity and distance of pairs of vectors, and the losses made of them: a block for each pair.

A block reads its pair once for the sums and once more, out of cache, for each gradient.
"""

import math

import numpy as np

from .functions import exp, log, sqrt
from .lanes import WARPS, block_max, block_sum
from .layout import lanes_of
from .loss import MEAN, NONE, add_up, check_loss
from .target import cuda, device, empty, jit, kernel, launch

# orders of a norm that have sums of their own; their names say which
ZERO, ONE, TWO, LARGEST, SMALLEST, ANY = range(6)


def begin_rows(loss, rows, reduction, dtype):
    """(a value for each row, the factor that the reduction puts on gradients)"""
    check_loss(loss, rows, reduction)
    values = loss if reduction == NONE else empty((rows,), dtype)
    return values, dtype.type(1 / rows if reduction == MEAN and rows else 1)


def end_rows(loss, values, reduction, stream):
    """Add up what `begin_rows` began."""
    if reduction != NONE:
        add_up(loss, values, values.size, reduction, stream)


@device
def _products(parts, a, b, row):
    """a.a, b.b, a.b of a row, for all threads"""
    aa, bb, ab = a.dtype.type(0), a.dtype.type(0), a.dtype.type(0)
    j = cuda.threadIdx.x
    while j < a.shape[1]:
        p, q = a[row, j], b[row, j]
        aa += p * p
        bb += q * q
        ab += p * q
        j += cuda.blockDim.x
    return block_sum(parts, aa), block_sum(parts, bb), block_sum(parts, ab)


@device
def _combine(out, p, a, q, b, row):
    """out = p * a - q * b in a row, where there is an out"""
    if out.size > 0:
        j = cuda.threadIdx.x
        while j < out.shape[1]:
            out[row, j] = p * a[row, j] - q * b[row, j]
            j += cuda.blockDim.x


@jit
def _cosine_embedding(values, dx1, dx2, x1, x2, target, margin, scale):
    parts = cuda.shared.array(WARPS, x1.dtype)
    row = cuda.blockIdx.x
    zero, one, eps = x1.dtype.type(0), x1.dtype.type(1), x1.dtype.type(1e-12)
    aa, bb, ab = _products(parts, x1, x2, row)
    aa, bb = aa + eps, bb + eps
    r = one / sqrt(aa * bb)
    s = ab * r
    gap = s - margin
    value, slope = zero, zero
    if target[row] == one:
        value, slope = one - s, -one
    elif target[row] == -one and not gap < zero:
        value, slope = gap, one
    if cuda.threadIdx.x == 0:
        values[row] = value
    k = scale * slope
    _combine(dx1, k * r, x2, k * s / aa, x1, row)
    _combine(dx2, k * r, x1, k * s / bb, x2, row)


@kernel
def cosine_embedding_forward(loss, dx1, dx2, x1, x2, target, margin, reduction, stream=0):
    """A block for each pair, and one to add up."""
    n, d = x1.shape
    real = x1.dtype.type
    values, scale = begin_rows(loss, n, reduction, x1.dtype)
    launch(_cosine_embedding, n, lanes_of(d), stream, values, dx1, dx2, x1, x2, target, real(margin), scale)
    end_rows(loss, values, reduction, stream)


@jit
def _cosine(y, norm1, norm2, x1, x2, eps):
    parts = cuda.shared.array(WARPS, x1.dtype)
    row = cuda.blockIdx.x
    aa, bb, ab = _products(parts, x1, x2, row)
    if cuda.threadIdx.x == 0:
        a, b = sqrt(aa), sqrt(bb)
        norm1[row], norm2[row] = a, b
        y[row] = ab / ((eps if a < eps else a) * (eps if b < eps else b))


@kernel
def cosine_similarity_forward(y, norm1, norm2, x1, x2, eps, stream=0):
    """Three sums a pair in one pass."""
    n, d = x1.shape
    launch(_cosine, n, lanes_of(d), stream, y, norm1, norm2, x1, x2, x1.dtype.type(eps))


@jit
def _cosine_back(dx1, dx2, dy, x1, x2, y, norm1, norm2, eps):
    row, zero = cuda.blockIdx.x, x1.dtype.type(0)
    a, b = norm1[row], norm2[row]
    m1, m2 = eps if a < eps else a, eps if b < eps else b
    k = dy[row] / (m1 * m2)
    _combine(dx1, k, x2, zero if a < eps else dy[row] * y[row] / (m1 * m1), x1, row)
    _combine(dx2, k, x1, zero if b < eps else dy[row] * y[row] / (m2 * m2), x2, row)


@kernel
def cosine_similarity_backward(dx1, dx2, dy, x1, x2, y, norm1, norm2, eps, stream=0):
    """One launch."""
    n, d = x1.shape
    launch(_cosine_back, n, lanes_of(d), stream, dx1, dx2, dy, x1, x2, y, norm1, norm2, x1.dtype.type(eps))


def _kind(p):
    """Which of the sums above the norm of order p is."""
    if math.isinf(p):
        return LARGEST if p > 0 else SMALLEST
    return {0: ZERO, 1: ONE, 2: TWO}.get(p, ANY)


@device
def _difference(a, b, eps):
    # in this order everywhere: the largest one is found again by comparing with it
    return (a - b) + eps


@jit
def _distance(y, x1, x2, kind, p, eps):
    """Sums in float64, where powers keep their digits."""
    parts = cuda.shared.array(WARPS, np.float64)
    row = cuda.blockIdx.x
    # the smallest is found as the largest of what is negated
    extreme = kind == LARGEST or kind == SMALLEST
    total = np.float64(-np.inf) if extreme else np.float64(0)
    j = cuda.threadIdx.x
    while j < x1.shape[1]:
        d = np.float64(abs(_difference(x1[row, j], x2[row, j], eps)))
        if kind == TWO:
            total += d * d
        elif kind == ONE:
            total += d
        elif kind == ZERO:
            total += 1.0 if d != 0.0 else 0.0
        elif kind == ANY:
            total += exp(p * log(d))
        else:
            d = d if kind == LARGEST else -d
            total = d if d > total or d != d else total
        j += cuda.blockDim.x
    if extreme:
        total = block_max(parts, total)
    else:
        total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        if x1.shape[1] == 0:
            total = 0.0
        elif kind == TWO:
            total = sqrt(total)
        elif kind == SMALLEST:
            total = -total
        elif kind == ANY:
            total = exp(log(total) / p)
        y[row] = total


@kernel
def pairwise_distance_forward(y, x1, x2, p, eps, stream=0):
    """A block for each pair, sums in float64."""
    n, d = x1.shape
    launch(_distance, n, lanes_of(d), stream, y, x1, x2, _kind(p), p, x1.dtype.type(eps))


@jit
def _distance_back(dx1, dx2, dy, x1, x2, y, kind, p, eps):
    parts = cuda.shared.array(WARPS, x1.dtype)
    row, real = cuda.blockIdx.x, x1.dtype.type
    zero, one, norm, upstream = real(0), real(1), y[row], dy[row]
    share = upstream
    if kind == LARGEST or kind == SMALLEST:
        count = zero
        j = cuda.threadIdx.x
        while j < x1.shape[1]:
            count += one if abs(_difference(x1[row, j], x2[row, j], eps)) == norm else zero
            j += cuda.blockDim.x
        share = upstream / block_sum(parts, count)
    elif kind == TWO:
        share = upstream / norm
    j = cuda.threadIdx.x
    while j < x1.shape[1]:
        d = _difference(x1[row, j], x2[row, j], eps)
        side = one if d > zero else (-one if d < zero else d * zero)
        if kind == ZERO or norm == zero:
            g = zero
        elif kind == TWO:
            g = share * d
        elif kind == ONE:
            g = share * side
        elif kind == ANY:
            size = exp((p - 1.0) * log(np.float64(abs(d)) / np.float64(norm)))
            # of a NaN the side is NaN
            g = zero if d == zero else real(np.float64(upstream) * size * np.float64(side))
        else:
            g = share * side if abs(d) == norm else zero
        if dx1.size > 0:
            dx1[row, j] = g
        if dx2.size > 0:
            dx2[row, j] = -g
        j += cuda.blockDim.x


@kernel
def pairwise_distance_backward(dx1, dx2, dy, x1, x2, y, p, eps, stream=0):
    """The gradient of x2 is that of x1, negated; powers other than 1 and 2 in float64."""
    n, d = x1.shape
    launch(_distance_back, n, lanes_of(d), stream, dx1, dx2, dy, x1, x2, y, _kind(p), p, x1.dtype.type(eps))
