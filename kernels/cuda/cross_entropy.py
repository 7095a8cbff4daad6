"""Softmax cross-entropy along the lines of lines.py: loss and gradient of a sample while its logits are in registers.

Each logit is read once from memory and each gradient written once, as in softmax.py. A block leaves the sum of its
samples, which a small launch adds up; what a mean divides by is in loss_labels.py.
"""

import math

import numpy as np

from . import status
from .functions import exp, log
from .lanes import block_sum
from .lines import (
    FAR,
    PARTS,
    ahead_of,
    chunks_of,
    inside,
    keep,
    line_sum,
    place,
    put,
    reach,
    recall,
    room,
    take,
    versions,
)
from .loss import MEAN, NONE, check_loss
from .loss_labels import begin_blocks, count_labels, end_blocks, scale_of
from .softmax import grown, joined
from .target import cuda, device, jit, kernel, launch


@device
def weigh(vector, u, weight, lane, width, length, chunk):
    """u = the weights of a thread's classes of a chunk."""
    real = u.dtype.type
    if weight.size > 0:
        step = np.int32(width * vector)
        at, left = reach(lane * vector, length - vector, step, u.size // vector, chunk)
        take(vector, u, weight, at, left, step, real(0))
    else:
        for k in range(u.size):
            u[k] = real(1)


def _build(slots, vector):
    @jit
    def _cross_entropy(
        values,
        each,
        mean,
        dx,
        x,
        target,
        weight,
        counts,
        ignore_index,
        keep_share,
        smooth,
        problem,
        kept,
        lines,
        length,
        stride,
        code,
    ):
        """smooth: what every class gets of the target, and keep_share: what the label gets of the rest."""
        real = x.dtype.type
        zero = real(0)
        parts, cache = cuda.shared.array(PARTS, x.dtype), cuda.shared.array(0, x.dtype)
        v, u = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        lane, width, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors = chunks_of(code), slots // vector
        label = target[line]
        good = label != ignore_index
        if good and (label < 0 or label >= length):
            # reported; it must not index
            problem[0] = status.LABEL
            good = False
        begin = first - lane * vector * stride
        there_label = begin + (label if good else 0) * stride
        scale = scale_of(parts, mean, counts, target, weight, length, ignore_index)
        top, total, nothing = real(-math.inf), zero, real(-math.inf)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, x, at, left, step, nothing)
            if chunks > 1:
                top, total = grown(v, real(1), top, total)
            if chunk < kept:
                keep(cache, v, chunk)
        top, total = joined(parts, v, real(1), top, total, stride, code)
        right = keep_share * (weight[label] if good and weight.size > 0 else real(1))
        every, weights, weighted = right, zero, zero
        if smooth != zero:
            for chunk in range(chunks):
                at, left = reach(first, last, step, vectors, chunk)
                if chunk < kept:
                    recall(v, cache, chunk)
                elif chunks > 1:
                    take(vector, v, x, at, left, step, nothing)
                weigh(vector, u, weight, lane, width, length, chunk)
                for k in range(slots):
                    on = inside(vector, k, left, step)
                    weights += u[k] if on else zero
                    weighted += u[k] * (v[k] - top) if on else zero
            weights = line_sum(parts, weights, stride, code)
            weighted = line_sum(parts, weighted, stride, code)
            every += smooth * weights
        value = every * log(total) - right * (x[there_label] - top) - smooth * weighted
        value = value if good and there and lane == 0 else zero
        if each:
            if there and lane == 0:
                values[line] = value
        else:
            value = block_sum(parts, value)
            if cuda.threadIdx.x == 0:
                values[cuda.blockIdx.x] = scale * value
        if dx.size > 0:
            share = scale * every / total
            for chunk in range(chunks):
                at, left = reach(first, last, step, vectors, chunk)
                if chunk < kept:
                    recall(v, cache, chunk)
                elif chunks > 1:
                    take(vector, v, x, at, left, step, nothing)
                for k in range(slots):
                    v[k] = share * exp(v[k] - top)
                if smooth != zero:
                    weigh(vector, u, weight, lane, width, length, chunk)
                    for k in range(slots):
                        v[k] -= scale * smooth * u[k]
                ahead = there_label - at
                ahead = np.int32(ahead if ahead < FAR else -1)
                for k in range(slots):
                    g = v[k] - scale * right if ahead_of(vector, k, step) == ahead else v[k]
                    v[k] = g if good else zero
                put(vector, dx, v, at, left, step, there)

    return _cross_entropy


_VERSIONS = versions(_build)


@kernel
def cross_entropy_forward(loss, dx, x, target, weight, ignore_index, label_smoothing, reduction, stream=0):
    """One launch; another to add up blocks where there are several, and one to count where labels are many. A label
    out of range raises IndexError at the next call that waits for the device."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError("label_smoothing: expected 0 .. 1")
    check_loss(loss, target.size, reduction)
    classes, real = x.shape[1], x.dtype.type
    counts = count_labels(target, weight, classes, ignore_index, reduction, stream)
    laid, values = begin_blocks(loss, x, [dx, x, weight], reduction, stream)
    if x.size:
        kept, shared = room(laid, x.dtype)
        arrays = dx.reshape(-1), x.reshape(-1), target.reshape(-1), weight, counts
        numbers = ignore_index, real(1 - label_smoothing), real(label_smoothing / classes), status.word(), kept
        args = (values, reduction == NONE, reduction == MEAN, *arrays, *numbers, *laid.shape)
        launch(laid.of(_VERSIONS), laid.grid, laid.block, stream, *args, shared=shared)
    end_blocks(loss, values, 0, reduction, stream)
