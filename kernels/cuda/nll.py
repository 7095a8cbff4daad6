"""Negative log-likelihood along the lines of lines.py: of x only what the labels name is read, the gradient is zeros
but for that, written in one pass."""

import numpy as np

from . import status
from .lanes import block_sum
from .lines import FAR, PARTS, ahead_of, chunks_of, place, put, reach, versions
from .loss import MEAN, NONE, check_loss
from .loss_labels import begin_blocks, count_labels, end_blocks, scale_of
from .target import cuda, jit, kernel, launch


def _build(slots, vector):
    @jit
    def _nll(values, each, mean, dx, x, target, weight, counts, ignore_index, problem, lines, length, stride, code):
        zero = x.dtype.type(0)
        parts, v = cuda.shared.array(PARTS, x.dtype), cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        label = target[line]
        good = label != ignore_index
        if good and (label < 0 or label >= length):
            # reported; it must not index
            problem[0] = status.LABEL
            good = False
        named = first - lane * vector * stride + (label if good else 0) * stride
        share = weight[label] if good and weight.size > 0 else x.dtype.type(1)
        value = -share * x[named] if good else zero
        scale = scale_of(parts, mean, counts, target, weight, length, ignore_index)
        if each:
            if there and lane == 0:
                values[line] = value
        else:
            value = block_sum(parts, value if there and lane == 0 else zero)
            if cuda.threadIdx.x == 0:
                values[cuda.blockIdx.x] = scale * value
        slope = -scale * share
        for chunk in range(chunks_of(code) if dx.size > 0 else 0):
            at, left = reach(first, last, step, slots // vector, chunk)
            ahead = named - at
            ahead = np.int32(ahead if ahead < FAR and good else -1)
            for k in range(slots):
                v[k] = slope if ahead_of(vector, k, step) == ahead else zero
            put(vector, dx, v, at, left, step, there)

    return _nll


_VERSIONS = versions(_build)


@kernel
def nll_forward(loss, dx, x, target, weight, ignore_index, reduction, stream=0):
    """One launch; another to add up blocks where there are several, and one to count where labels are many. A label
    out of range raises IndexError at the next call that waits for the device."""
    check_loss(loss, target.size, reduction)
    counts = count_labels(target, weight, x.shape[1], ignore_index, reduction, stream)
    laid, values = begin_blocks(loss, x, [dx], reduction, stream)
    if x.size:
        arrays = dx.reshape(-1), x.reshape(-1), target.reshape(-1), weight, counts
        args = (values, reduction == NONE, reduction == MEAN, *arrays, ignore_index, status.word(), *laid.shape)
        launch(laid.of(_VERSIONS), laid.grid, laid.block, stream, *args)
    end_blocks(loss, values, 0, reduction, stream)
