"""Softmax cross-entropy: a block for each sample, its threads striding over the classes.

Three launches: labels are checked and their weights added up (one block); loss and gradient of every sample, in two
passes over its logits; the reduction (one block). Sums inside a block are trees over shared memory, so that a result
has the same bits every time. Not yet run on hardware.
"""

import numpy as np

from . import empty, status
from .functions import exp, log
from .loss import LANES, MEAN, NONE, check_loss, reduce_values
from .target import cuda, device, jit, kernel, launch


@jit
def _count(count, target, weight, classes, ignore_index, problem):
    """count[0] = sum of the weights of the labels that are not ignored."""
    parts = cuda.shared.array(LANES, np.float64)
    lane = cuda.threadIdx.x
    total = np.float64(0)
    for i in range(lane, target.shape[0] * target.shape[1], LANES):
        label = target[i // target.shape[1], i % target.shape[1]]
        if label != ignore_index:
            if label < 0 or label >= classes:
                problem[0] = status.LABEL
            elif weight.size > 0:
                total += weight[label]
            else:
                total += 1
    parts[lane] = total
    width = LANES // 2
    while width > 0:
        cuda.syncthreads()
        if lane < width:
            parts[lane] += parts[lane + width]
        width //= 2
    if lane == 0:
        count[0] = parts[0]


@device
def _tree_sum(parts, value, lane):
    """The sum of every thread's value, for all threads."""
    cuda.syncthreads()
    parts[lane] = value
    width = LANES // 2
    while width > 0:
        cuda.syncthreads()
        if lane < width:
            parts[lane] += parts[lane + width]
        width //= 2
    cuda.syncthreads()
    return parts[0]


@device
def _tree_max(parts, value, lane):
    """The largest of every thread's value, for all threads."""
    cuda.syncthreads()
    parts[lane] = value
    width = LANES // 2
    while width > 0:
        cuda.syncthreads()
        if lane < width:
            parts[lane] = max(parts[lane], parts[lane + width])
        width //= 2
    cuda.syncthreads()
    return parts[0]


@jit
def _samples(values, dx, x, target, weight, count, ignore_index, smoothing, reduction):
    parts = cuda.shared.array(LANES, x.dtype)
    lane = cuda.threadIdx.x
    real = x.dtype.type
    n, m = cuda.blockIdx.x // x.shape[2], cuda.blockIdx.x % x.shape[2]
    classes = x.shape[1]
    label = target[n, m]
    # a label out of range has been reported; it must not index
    if label == ignore_index or label < 0 or label >= classes:
        if lane == 0:
            values[cuda.blockIdx.x] = real(0)
        if dx.size > 0:
            for c in range(lane, classes, LANES):
                dx[n, c, m] = real(0)
        return
    top = x[n, 0, m]
    for c in range(lane, classes, LANES):
        top = max(top, x[n, c, m])
    top = _tree_max(parts, top, lane)
    total, weights, weighted = real(0), real(0), real(0)
    for c in range(lane, classes, LANES):
        z = x[n, c, m] - top
        total += exp(z)
        w = weight[c] if weight.size > 0 else real(1)
        weights += w
        weighted += w * z
    total = _tree_sum(parts, total, lane)
    lse = log(total)
    one = real(1) - smoothing
    mine = weight[label] if weight.size > 0 else real(1)
    value = one * mine * (lse - (x[n, label, m] - top))
    spread_out, share = real(0), one * mine
    if smoothing != 0:
        weights = _tree_sum(parts, weights, lane)
        weighted = _tree_sum(parts, weighted, lane)
        spread_out = smoothing / real(classes)
        value += spread_out * (weights * lse - weighted)
        share += spread_out * weights
    if lane == 0:
        values[cuda.blockIdx.x] = value
    if dx.size > 0:
        scale = real(1 / count[0]) if reduction == MEAN else real(1)
        for c in range(lane, classes, LANES):
            q = one * mine if c == label else real(0)
            if smoothing != 0:
                q += spread_out * (weight[c] if weight.size > 0 else real(1))
            dx[n, c, m] = scale * (exp(x[n, c, m] - top) / total * share - q)


@kernel
def cross_entropy_forward(loss, dx, x, target, weight, ignore_index, label_smoothing, reduction, stream=0):
    """A label out of range raises IndexError at the next call that waits for the device."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError("label_smoothing: expected 0 .. 1")
    check_loss(loss, target.size, reduction)
    count = empty((1,), np.float64)
    values = loss if reduction == NONE else empty((target.size,), x.dtype)
    launch(_count, 1, LANES, stream, count, target, weight, x.shape[1], ignore_index, status.word())
    smoothing = x.dtype.type(label_smoothing)
    args = (values, dx, x, target, weight, count, ignore_index, smoothing, reduction)
    launch(_samples, target.size, LANES, stream, *args)
    if reduction != NONE:
        launch(reduce_values, 1, LANES, stream, loss, values, count, reduction)
