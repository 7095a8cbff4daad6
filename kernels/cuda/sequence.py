"""Where the elements of packed sequences lie. One launch each: positions are few beside what they move."""

import numpy as np

from . import status
from .lanes import WARPS, block_sum
from .layout import elements
from .target import THREADS, cuda, jit, kernel, launch


@jit
def _counts(y, x):
    k = cuda.grid(1)
    if k < y.size:
        count = 0
        for n in range(x.size):
            count += 1 if x[n] > k else 0
        y[k] = count


@kernel
def counts_forward(y, x, stream=0):
    """A thread for each k, and a pass over x: both are short."""
    elements(_counts, y.size, stream, y, x)


@jit
def _rows(y, counts, order, step, sample, problem):
    """A block for each step of time, which adds up the counts before it; nothing is written beyond y."""
    parts = cuda.shared.array(WARPS, np.int64)
    t = cuda.blockIdx.x
    before = np.int64(0)
    n = cuda.threadIdx.x
    while n < t:
        before += counts[n]
        n += cuda.blockDim.x
    before = block_sum(parts, before)
    count, most = counts[t], order.size if order.size > 0 else y.size
    if cuda.threadIdx.x == 0:
        if count < 0 or count > most:
            problem[0] = status.COUNTS
        elif t == counts.size - 1 and before + count != y.size:
            problem[0] = status.ROWS
    n = cuda.threadIdx.x
    while n < min(count, most):
        at = before + n
        if at >= 0 and at < y.size:
            y[at] = t * step + (order[n] if order.size > 0 else n) * sample
        n += cuda.blockDim.x


@kernel
def rows_forward(y, counts, order, step, sample, stream=0):
    """What is wrong with counts is told by the next call that waits for the device."""
    if y.size and not counts.size:
        raise ValueError("y: expected as many rows as there are samples at all steps together")
    launch(_rows, counts.size, THREADS, stream, y, counts, order, step, sample, status.word())
