"""Softmax cross-entropy with distributions: as cross_entropy.py, with the targets in registers beside the logits."""

import math

from .cross_entropy import weigh
from .functions import exp, log
from .lanes import block_sum
from .lines import PARTS, chunks_of, inside, line_sum, place, put, reach, take, versions
from .loss import MEAN, NONE, check_loss
from .loss_labels import begin_blocks, end_blocks
from .softmax import grown, joined
from .target import cuda, jit, kernel, launch


def _build(slots, vector):
    @jit
    def _cross_entropy_soft(
        values, each, dx, dtarget, x, target, weight, keep_share, smooth, scale, lines, length, stride, code
    ):
        real = x.dtype.type
        zero, nothing = real(0), real(-math.inf)
        parts = cuda.shared.array(PARTS, x.dtype)
        v, q = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        u = cuda.local.array(slots, x.dtype)
        lane, width, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors = chunks_of(code), slots // vector
        top, total = nothing, zero
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, x, at, left, step, nothing)
            if chunks > 1:
                top, total = grown(v, real(1), top, total)
        top, total = joined(parts, v, real(1), top, total, stride, code)
        # the sums of the target, and of the target times x - top
        every, dot = zero, zero
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            if chunks > 1:
                take(vector, v, x, at, left, step, nothing)
            take(vector, q, target, at, left, step, zero)
            weigh(vector, u, weight, lane, width, length, chunk)
            for k in range(slots):
                q[k] = u[k] * (keep_share * q[k] + smooth)
                on = inside(vector, k, left, step)
                every += q[k] if on else zero
                dot += q[k] * (v[k] - top) if on else zero
        every = line_sum(parts, every, stride, code)
        dot = line_sum(parts, dot, stride, code)
        value = every * log(total) - dot
        if each:
            if there and lane == 0:
                values[line] = value
        else:
            value = block_sum(parts, value if there and lane == 0 else zero)
            if cuda.threadIdx.x == 0:
                values[cuda.blockIdx.x] = scale * value
        share, shift = scale * every / total, log(total)
        for chunk in range(chunks if dx.size > 0 or dtarget.size > 0 else 0):
            at, left = reach(first, last, step, vectors, chunk)
            if chunks > 1:
                take(vector, v, x, at, left, step, nothing)
                take(vector, q, target, at, left, step, zero)
                weigh(vector, u, weight, lane, width, length, chunk)
                for k in range(slots):
                    q[k] = u[k] * (keep_share * q[k] + smooth)
            if dx.size > 0:
                for k in range(slots):
                    q[k] = share * exp(v[k] - top) - scale * q[k]
                put(vector, dx, q, at, left, step, there)
            if dtarget.size > 0:
                for k in range(slots):
                    v[k] = scale * keep_share * u[k] * (shift - (v[k] - top))
                put(vector, dtarget, v, at, left, step, there)

    return _cross_entropy_soft


_VERSIONS = versions(_build)


@kernel
def cross_entropy_soft_forward(loss, dx, dtarget, x, target, weight, label_smoothing, reduction, stream=0):
    """One launch for loss and gradients, and a small one that adds what the blocks have found."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError("label_smoothing: expected 0 .. 1")
    (n, classes, m), real = x.shape, x.dtype.type
    check_loss(loss, n * m, reduction)
    laid, values = begin_blocks(loss, x, [dx, dtarget, x, target, weight], reduction, stream)
    if x.size:
        arrays = (
            values,
            reduction == NONE,
            dx.reshape(-1),
            dtarget.reshape(-1),
            x.reshape(-1),
            target.reshape(-1),
            weight,
        )
        scale = real(1 / (n * m) if reduction == MEAN else 1)
        numbers = real(1 - label_smoothing), real(label_smoothing / classes), scale
        launch(laid.of(_VERSIONS), laid.grid, laid.block, stream, *arrays, *numbers, *laid.shape)
    end_blocks(loss, values, n * m, reduction, stream)
