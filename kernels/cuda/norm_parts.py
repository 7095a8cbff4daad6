"""What the norms share: statistics of lines that lose nothing to a large mean, and sums of columns.

A thread takes the deviations of the elements it holds from their own mean, in the dtype; means and squared deviations
are joined in float64 (Chan, Golub, LeVeque 1979), a few operations for each chunk of a thread. As on the CPU a mean is
used in two parts, `near`, its value in the dtype, and the rest, which goes into the shift: x - near is exact where x is
close to the mean.
"""

import math

import numpy as np

from .lines import inside, line_sum
from .target import SIMULATOR, cuda, device, jit, launch

# columns and rows of threads of a block that adds up columns; rows that such a block adds
ACROSS, DEEP = (4, 2) if SIMULATOR else (32, 16)
ROWS = 4 if SIMULATOR else 512


@device
def grown(vector, v, left, step, count, mean, square):
    """(count, mean, squared deviations) of a thread's elements, with those of a chunk, v, more; v is 0 behind them."""
    real = v.dtype.type
    total, n = real(0), 0
    for k in range(v.size):
        total += v[k]
        n += 1 if inside(vector, k, left, step) else 0
    centre = total / real(max(n, 1))
    first, second = real(0), real(0)
    for k in range(v.size):
        d = v[k] - centre if inside(vector, k, left, step) else real(0)
        first += d
        second += d * d
    return joined(count, mean, square, np.float64(n), np.float64(centre), np.float64(first), np.float64(second))


@device
def joined(count, mean, square, n, centre, first, second):
    """With n more, whose deviations from `centre` and their squares add up to first and second."""
    own = first / max(n, 1.0)
    shift, share = centre + own - mean, n / max(count + n, 1.0)
    return count + n, mean + shift * share, square + max(0.0, second - own * first) + shift * shift * (count * share)


@device
def settled(parts, count, mean, square, length, stride, code):
    """Mean and population variance of a line, from those of its threads; parts is of float64."""
    whole = line_sum(parts, count * mean, stride, code) / max(length, 1)
    gap = mean - whole
    return whole, line_sum(parts, square + count * (gap * gap), stride, code) / max(length, 1)


@device
def inverse_root(variance, eps):
    return 1.0 / math.sqrt(variance + eps)


@device
def column(parts, value):
    """The sum over a column of threads, for its first; parts: (DEEP, ACROSS)."""
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    cuda.syncthreads()
    parts[y, x] = value
    cuda.syncthreads()
    total = parts.dtype.type(0)
    for k in range(DEEP):
        total += parts[k, x]
    return total


@jit
def _add_columns(dw, db, weights, biases, accumulate):
    """dw (+)= the sums of the columns of weights, db those of biases; each where it is wanted."""
    parts = cuda.shared.array((DEEP, ACROSS), weights.dtype)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    real, j = weights.dtype.type, cuda.blockIdx.x * ACROSS + x
    rows, columns = (weights if dw.size > 0 else biases).shape
    first, second = real(0), real(0)
    i = y
    while i < rows and j < columns:
        if dw.size > 0:
            first += weights[i, j]
        if db.size > 0:
            second += biases[i, j]
        i += DEEP
    first, second = column(parts, first), column(parts, second)
    if y == 0 and j < columns:
        if dw.size > 0:
            dw[j] = dw[j] + first if accumulate else first
        if db.size > 0:
            db[j] = db[j] + second if accumulate else second


def add_columns(dw, db, weights, biases, accumulate, stream):
    """One launch: gradients of weight and bias from what (parts, columns) blocks or samples found."""
    if dw.size or db.size:
        grid = -(-max(dw.size, db.size) // ACROSS)
        launch(_add_columns, grid, (ACROSS, DEEP), stream, dw, db, weights, biases, accumulate)
