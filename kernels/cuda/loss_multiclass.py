"""Margin losses of rows of scores: a block for each row, and one to add up."""

import numpy as np

from . import status
from .lanes import WARPS, block_max, block_sum
from .layout import lanes_of
from .loss import formulas
from .loss_distance import begin_rows, end_rows
from .target import cuda, empty, jit, kernel, launch

bce_with_logits = formulas.bce_with_logits


@jit
def _multi_margin(values, dx, x, target, weight, p, margin, scale, problem):
    parts = cuda.shared.array(WARPS, x.dtype)
    row, c, t = cuda.blockIdx.x, x.shape[1], target[cuda.blockIdx.x]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    good = t >= 0 and t < c
    if not good:
        # reported; it must not index
        problem[0] = status.LABEL
    base = margin - (x[row, t] if good else zero)
    factor = (weight[t] if weight.size > 0 and good else one) / x.dtype.type(c)
    s, slopes = zero, zero
    j = cuda.threadIdx.x
    while j < c:
        z = base + x[row, j]
        z = zero if z <= zero or j == t or not good else z
        on = one if z > zero else zero
        slope = on if p == 1 else z + z
        s += z if p == 1 else z * z
        slopes += slope
        if dx.size > 0 and j != t:
            dx[row, j] = scale * factor * slope
        j += cuda.blockDim.x
    s = block_sum(parts, s)
    slopes = block_sum(parts, slopes)
    if cuda.threadIdx.x == 0:
        values[row] = factor * s
        if dx.size > 0 and good:
            dx[row, t] = -scale * factor * slopes


@kernel
def multi_margin_forward(loss, dx, x, target, weight, p, margin, reduction, stream=0):
    """Two sums a row: the loss, and the slopes that the right class pays for. A label out of range raises IndexError at
    the next call that waits for the device."""
    if p not in (1, 2):
        raise ValueError("multi_margin_forward: p: expected 1 or 2")
    n, c = x.shape
    real = x.dtype.type
    values, scale = begin_rows(loss, n, reduction, x.dtype)
    args = (values, dx, x, target, weight, p, real(margin), scale, status.word())
    launch(_multi_margin, n, lanes_of(c), stream, *args)
    end_rows(loss, values, reduction, stream)


@jit
def _multilabel_margin(values, dx, x, target, others, scale, problem):
    """others  (N, C) work: whether a class is none of the row's labels"""
    parts = cuda.shared.array(WARPS, x.dtype)
    places = cuda.shared.array(WARPS, np.int64)
    row, c, lane, lanes = cuda.blockIdx.x, x.shape[1], cuda.threadIdx.x, cuda.blockDim.x
    zero, one = x.dtype.type(0), x.dtype.type(1)
    # labels end before the first -1; a maximum of what is negated finds it
    end = np.int64(-c)
    j = lane
    while j < c:
        others[row, j] = 1
        if dx.size > 0:
            dx[row, j] = zero
        t = target[row, j]
        if t < -1 or t >= c:
            problem[0] = status.LABEL
        if t == -1:
            end = max(end, np.int64(-j))
        j += lanes
    count = -block_max(places, end)
    cuda.syncthreads()
    j = lane
    while j < count:
        if target[row, j] >= 0 and target[row, j] < c:
            others[row, target[row, j]] = 0
        j += lanes
    cuda.syncthreads()
    # of no classes the loss is 0
    share, total = one / x.dtype.type(max(c, 1)), zero
    for k in range(count):
        t = target[row, k]
        good = t >= 0 and t < c
        base = one - (x[row, t] if good else zero)
        on = zero
        j = lane
        while j < c:
            z = base + x[row, j]
            z = zero if z <= zero or others[row, j] == 0 or not good else z
            total += z
            if z > zero:
                on += one
                if dx.size > 0:
                    dx[row, j] += one
            j += lanes
        on = block_sum(parts, on)
        # the thread that has this class
        if dx.size > 0 and good and t % lanes == lane:
            dx[row, t] -= on
    total = block_sum(parts, total)
    if lane == 0:
        values[row] = total * share
    if dx.size > 0:
        j = lane
        while j < c:
            # until here whole numbers, exact
            dx[row, j] *= scale * share
            j += lanes


@kernel
def multilabel_margin_forward(loss, dx, x, target, reduction, stream=0):
    """A pass over the row for each of its labels. A label out of range raises IndexError at the next call that waits
    for the device."""
    n, c = x.shape
    values, scale = begin_rows(loss, n, reduction, x.dtype)
    args = (values, dx, x, target, empty((n, c), np.uint8), scale, status.word())
    launch(_multilabel_margin, n, lanes_of(c), stream, *args)
    end_rows(loss, values, reduction, stream)


@jit
def _multilabel_soft_margin(values, dx, dtarget, x, target, weight, scale):
    parts = cuda.shared.array(WARPS, x.dtype)
    row, c = cuda.blockIdx.x, x.shape[1]
    one, total = x.dtype.type(1), x.dtype.type(0)
    share = one / x.dtype.type(c)
    j = cuda.threadIdx.x
    while j < c:
        value, dg, dh = bce_with_logits(x[row, j], target[row, j], one)
        w = weight[j] * share if weight.size > 0 else share
        total += w * value
        if dx.size > 0:
            dx[row, j] = scale * w * dg
        if dtarget.size > 0:
            dtarget[row, j] = scale * w * dh
        j += cuda.blockDim.x
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        # of no classes the mean is NaN
        values[row] = total if c > 0 else total / x.dtype.type(c)


@kernel
def multilabel_soft_margin_forward(loss, dx, dtarget, x, target, weight, reduction, stream=0):
    """One exp and one log1p an element, summed over the row."""
    n, c = x.shape
    values, scale = begin_rows(loss, n, reduction, x.dtype)
    launch(_multilabel_soft_margin, n, lanes_of(c), stream, values, dx, dtarget, x, target, weight, scale)
    end_rows(loss, values, reduction, stream)
