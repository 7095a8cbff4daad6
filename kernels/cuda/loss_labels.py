"""What losses of labels share: the sum of weights that a mean divides by, and the sum of what blocks have found.

Labels are small beside scores: blocks add up the weights of their part of them, and whoever needs the whole adds up the
blocks. That is a launch before the loss, for means only; labels out of range are found by the loss itself.
"""

import numpy as np

from .lanes import WARPS, block_sum
from .loss import MEAN
from .target import SIMULATOR, THREADS, cuda, device, empty, jit, launch

# labels that a block counts, and blocks at most
PART, MOST = (8, 2) if SIMULATOR else (4096, 256)


@jit
def _count_labels(counts, target, weight, classes, ignore_index):
    """counts[block] = sum of the weights of the block's labels that are not ignored."""
    parts = cuda.shared.array(WARPS, weight.dtype)
    total, i = weight.dtype.type(0), cuda.grid(1)
    while i < target.size:
        label = target[i]
        if label != ignore_index and label >= 0 and label < classes:
            total += weight[label] if weight.size > 0 else weight.dtype.type(1)
        i += cuda.gridsize(1)
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        counts[cuda.blockIdx.x] = total


def count_labels(target, weight, classes, ignore_index, reduction, stream):
    """The sums of the blocks for a mean; nothing otherwise."""
    blocks = max(1, min(-(-target.size // PART), MOST)) if reduction == MEAN else 0
    counts = empty((blocks,), weight.dtype)
    launch(_count_labels, blocks, THREADS, stream, counts, target.reshape(-1), weight, classes, ignore_index)
    return counts


@device
def scale_of(parts, counts):
    """What a mean multiplies by, for all threads of a block; 1 where nothing was counted."""
    real = counts.dtype.type
    if counts.size == 0:
        return real(1)
    total, i = real(0), cuda.threadIdx.x
    while i < counts.size:
        total += counts[i]
        i += cuda.blockDim.x
    return real(1) / block_sum(parts, total)


@jit
def _end_labels(loss, values, counts):
    parts = cuda.shared.array(WARPS, np.float64)
    total, count = np.float64(0), np.float64(0)
    i = cuda.threadIdx.x
    while i < values.size:
        total += values[i]
        i += cuda.blockDim.x
    i = cuda.threadIdx.x
    while i < counts.size:
        count += counts[i]
        i += cuda.blockDim.x
    total, count = block_sum(parts, total), block_sum(parts, count)
    if cuda.threadIdx.x == 0:
        loss[0] = total / count if counts.size > 0 else total


def end_labels(loss, values, counts, stream):
    """loss[0] = sum of values, divided by the count if there is one; one block."""
    launch(_end_labels, 1, THREADS, stream, loss, values, counts)
