"""Norms of gradients: sums in float64, one a chunk, that are added in order; nothing but reading.

Chunks are counted by shape, so the bits do not depend on threads. An order has a loop of its own: 1, 2 and the limits
are vectors, any other power is a call of libm for each element.
"""

import math

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .loss import total as total_of
from .loss import wide
from .vecbits import from_order, order

GRAIN = 32768
SLOT = 3


@compiled
def _powers(begin, end, partial, x, p):
    for chunk in range(begin, end):
        part = x[chunk * GRAIN : (chunk + 1) * GRAIN]
        s = 0.0
        if p == 2:
            for i in range(part.size):
                s += np.float64(part[i]) * np.float64(part[i])
        elif p == 1:
            for i in range(part.size):
                s += abs(np.float64(part[i]))
        elif p == 0:
            for i in range(part.size):
                s += 1.0 if part[i] != 0 else 0.0
        else:
            for i in range(part.size):
                s += abs(np.float64(part[i])) ** p
        partial[chunk] = s


@compiled
def _extremes(begin, end, partial, x, largest):
    for chunk in range(begin, end):
        part = x[chunk * GRAIN : (chunk + 1) * GRAIN]
        # as integers in the same order: of these, loops find the largest in vectors. NaN lies beyond infinity
        top = order(abs(part[0]))
        bottom = top
        for i in range(part.size):
            k = order(abs(part[i]))
            top = max(top, k)
            bottom = min(bottom, k)
        top = from_order(top)
        partial[chunk] = top if largest or top != top else from_order(bottom)


@kernel
def gradient_norm_forward(total, x, p):
    """One pass: 4 bytes a float32 element."""
    chunks = (x.size + GRAIN - 1) // GRAIN
    partial = wide(SLOT, chunks, x)
    if math.isinf(p):
        parallel_for(_extremes, chunks, 1, (partial, x, p > 0))
        for chunk in range(chunks):
            v = partial[chunk]
            if v != v or (v > total[0] if p > 0 else v < total[0]):
                total[0] = v
    else:
        parallel_for(_powers, chunks, 1, (partial, x, p))
        total[0] += total_of(partial)


@kernel
def gradient_norm_root_forward(norm, total, p):
    """Two numbers."""
    if p == 2:
        norm[0] = math.sqrt(total[0])
    else:
        norm[0] = total[0] if p == 0 or math.isinf(p) else total[0] ** (1 / p)


@kernel
def gradient_scale_forward(scale, norm, max_norm):
    """One number."""
    factor = max_norm / (norm[0] + 1e-6)
    scale[0] = 1.0 if factor >= 1 else factor


@compiled
def _scale(begin, end, x, factor):
    x = x[begin:end]
    for i in range(x.size):
        x[i] *= factor


@kernel
def gradient_clip_forward(x, norm, max_norm):
    """8 bytes a float32 element; none when the norm is below max_norm."""
    factor = max_norm / (norm[0] + 1e-6)
    if not factor >= 1:
        parallel_for(_scale, x.size, GRAIN, (x, x.dtype.type(factor)))
