"""The elastic-net penalty: a sum in chunks counted by shape, added in order, and one pass for the gradient."""

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .loss import total, wide

GRAIN = 32768
SLOT = 3


@compiled
def _sums(begin, end, partial, w, l1, l2):
    for chunk in range(begin, end):
        part = w[chunk * GRAIN : min(w.size, (chunk + 1) * GRAIN)]
        absolute = square = 0.0
        for i in range(part.size):
            v = np.float64(part[i])
            absolute += abs(v)
            square += v * v
        partial[chunk] = l1 * absolute + l2 * square


@compiled
def _gradient(begin, end, dw, w, slope1, slope2, accumulate):
    dw, w = dw[begin:end], w[begin:end]
    zero = w.dtype.type(0)
    for i in range(w.size):
        v = w[i]
        g = slope2 * v
        if v > zero:
            g += slope1
        elif v < zero:
            g -= slope1
        dw[i] = dw[i] + g if accumulate else g


@kernel
def penalty_forward(value, w, l1, l2):
    """One pass over the weights, in float64."""
    chunks = (w.size + GRAIN - 1) // GRAIN
    partial = wide(SLOT, chunks, w)
    parallel_for(_sums, chunks, 1, (partial, w, l1, l2))
    value[0] = total(partial)


@kernel
def penalty_backward(dw, dvalue, w, l1, l2, accumulate):
    """One pass over the weights and their gradient."""
    real = w.dtype.type
    parallel_for(_gradient, w.size, GRAIN, (dw, w, dvalue[0] * real(l1), dvalue[0] * real(2 * l2), accumulate))
