"""What parameters are held to after a step: the norms of all columns of a matrix at once, row by row, then one pass."""

import math

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .loss import wide

SLOT = 3
GRAIN = 16384


@compiled
def _outer(begin, end, w, low, high, rate):
    for o in range(begin, end):
        matrix = w[o]
        rows, columns = matrix.shape
        if columns == 1:
            # a vector: its sum is a register
            flat, s = matrix.reshape(-1), 0.0
            for r in range(flat.size):
                s += np.float64(flat[r]) * np.float64(flat[r])
            factor = w.dtype.type(_factor(s, low, high, rate))
            for r in range(flat.size):
                flat[r] *= factor
            continue
        sums = wide(SLOT, columns, w)
        sums[:] = 0.0
        for r in range(rows):
            row = matrix[r]
            for i in range(row.size):
                sums[i] += np.float64(row[i]) * np.float64(row[i])
        for i in range(sums.size):
            sums[i] = _factor(sums[i], low, high, rate)
        for r in range(rows):
            row = matrix[r]
            for i in range(row.size):
                row[i] *= w.dtype.type(sums[i])


@compiled
def _factor(square, low, high, rate):
    norm = math.sqrt(square)
    # a NaN is neither below nor above
    bounded = low if norm < low else high if norm > high else norm
    return ((1 - rate) * norm + rate * bounded) / (norm + 1e-7)


@kernel
def norm_update(w, low, high, rate):
    """Parallel over the outer dimension; two passes over what a chunk holds, the second from cache."""
    parallel_for(_outer, w.shape[0], max(1, GRAIN // (w.shape[1] * w.shape[2] + 1)), (w, low, high, rate))
