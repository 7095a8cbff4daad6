"""Batch norm: a channel is many lines, of positions where there are enough of them, else of samples.

Statistics of a batch take three launches and read x twice: lines leave mean and squared deviations, those of a channel
are joined, and a pass over x makes y. Where a channel is one line it is one launch that reads x once; where statistics
are given it is one as well. Backward has the same three, or one and that which adds the weights' gradients.
"""

import math

import numpy as np

from .lanes import WARPS, block_sum
from .lines import HALF, THREADS, lay, pieces
from .norm_lines import APPLY, COMBINE, MOMENTS, SLOPES, WHOLE, WHOLE_GRADIENT, join, start
from .norm_parts import add_columns
from .target import SIMULATOR, cuda, empty, jit, kernel, launch

# positions up to which lines go along samples; samples of a line, at least, where there is a choice
FEW = 2 if SIMULATOR else 16
LEAST = 4 if SIMULATOR else 256


def cut(x):
    """(lines, length, stride, neighbouring lines of a channel) of an array (O, C, I): line number `line` belongs to
    channel (line // neighbouring) % C."""
    samples, channels, positions = x.shape
    if positions > FEW or samples == 1:
        n = pieces(positions, samples * channels)
        return samples * channels * n, positions // n, 1, n
    columns = channels * positions
    n = pieces(samples, -(-columns // FEW), LEAST)
    return n * columns, samples // n, columns, positions


@kernel
def batch_norm_forward(y, mean, rstd, x, w, b, running_mean, running_var, eps, stream=0):
    """Three launches, or one."""
    channels = x.shape[1]
    lines, length, stride, near = cut(x)
    flat = y.reshape(-1), mean, rstd, x.reshape(-1), w, b
    laid = lay(lines, length, stride, y, x) if lines and length else None
    if running_mean.size == 0:
        if laid and lines == channels:
            start(WHOLE, laid, stream, *flat, eps, channels, 0)
            return
        found = empty((lines if length else 0, 2), np.float64)
        if laid:
            start(MOMENTS, laid, stream, found, x.reshape(-1))
        join(mean, rstd, found, near, length, eps, stream)
    elif laid is None:
        launch(_given_statistics, -(-channels // THREADS), THREADS, stream, mean, rstd, running_mean, running_var, eps)
    if laid:
        start(APPLY, laid, stream, *flat, running_mean, running_var, eps, near, channels, near, channels)


@kernel
def batch_norm_backward(dx, dw, db, dy, x, w, mean, rstd, given, accumulate, stream=0):
    """Sums, their use, dx: three launches. Two where a channel is one line."""
    channels = x.shape[1]
    lines, length, stride, near = cut(x)
    wanted = bool(dw.size or db.size)
    flat = dy.reshape(-1), x.reshape(-1)
    laid = lay(lines, length, stride, dx, dy, x, hold=HALF) if lines and length else None
    if laid and lines == channels and not given:
        weights, biases = empty((1, dw.size), x.dtype), empty((1, db.size), x.dtype)
        sums = weights.reshape(-1), biases.reshape(-1)
        start(WHOLE_GRADIENT, laid, stream, dx.reshape(-1), *sums, *flat, w, mean, rstd, channels)
        add_columns(dw, db, weights, biases, accumulate, stream)
        return
    tilts = empty((0 if given else channels,), x.dtype)
    levels = empty(tilts.shape, x.dtype)
    if wanted or not given:
        found = empty((lines if length else 0, 2), np.float64)
        if laid:
            start(SLOPES, laid, stream, found, *flat, mean, near, channels)
        args = dw, db, tilts, levels, found, w, mean, rstd, channels, near, length, accumulate
        launch(_use_channels, channels, THREADS, stream, *args)
    if laid and dx.size:
        args = w, mean, rstd, tilts, levels, near, channels, near, channels
        start(COMBINE, laid, stream, dx.reshape(-1), *flat, *args)


@jit
def _use_channels(dw, db, tilts, levels, found, w, mean, rstd, channels, pieces, count, accumulate):
    """A block for each channel: what its lines found, as gradients and as what dx takes of x."""
    real = tilts.dtype.type
    parts = cuda.shared.array(WARPS, np.float64)
    channel, i = cuda.blockIdx.x, cuda.threadIdx.x
    plain, product = np.float64(0), np.float64(0)
    lines = found.shape[0] // channels
    while i < lines:
        line = (i // pieces * channels + channel) * pieces + i % pieces
        plain += found[line, 0]
        product += found[line, 1]
        i += cuda.blockDim.x
    plain, product = block_sum(parts, plain), block_sum(parts, product)
    centre, root = mean[channel], rstd[channel]
    rest = real(centre) - centre
    product = (product + rest * plain) * root
    if cuda.threadIdx.x == 0:
        if dw.size > 0:
            dw[channel] = real(dw[channel] + product) if accumulate else real(product)
        if db.size > 0:
            db[channel] = real(db[channel] + plain) if accumulate else real(plain)
        if tilts.size > 0:
            factor, total = root * w[channel] if w.size > 0 else root, np.float64(lines * count)
            tilt = -factor * root * product / total
            tilts[channel], levels[channel] = real(tilt), real(rest * tilt - factor * plain / total)


@jit
def _given_statistics(mean, rstd, running_mean, running_var, eps):
    i = cuda.grid(1)
    if i < mean.size:
        mean[i], rstd[i] = running_mean[i], 1.0 / math.sqrt(running_var[i] + eps)


@jit
def _running_statistics(running_mean, running_var, batches, mean, rstd, count, momentum, eps):
    """One block: every thread reads the count before the first one raises it."""
    real = running_mean.dtype.type
    seen = batches[0] + 1 if batches.size > 0 else 0
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and batches.size > 0:
        batches[0] = seen
    samples, channels = mean.shape
    share = np.float64(momentum)
    if share < 0.0:
        share = 1.0 / seen if seen > 0 else 0.0
    unbiased = count / max(count - 1, 1)
    c = cuda.threadIdx.x
    while c < channels and count > 0 and samples > 0:
        centre, variance = np.float64(0), np.float64(0)
        for o in range(samples):
            centre += mean[o, c]
            each = 1.0 / (rstd[o, c] * rstd[o, c]) - eps
            # NaN is not made 0 of
            variance += 0.0 if each < 0.0 else each * unbiased
        running_mean[c] += real(share * (centre / samples - running_mean[c]))
        running_var[c] += real(share * (variance / samples - running_var[c]))
        c += cuda.blockDim.x


@kernel
def running_update(running_mean, running_var, batches, mean, rstd, count, momentum, eps, stream=0):
    """One launch of one block: a few numbers a channel."""
    launch(
        _running_statistics, 1, THREADS, stream, running_mean, running_var, batches, mean, rstd, count, momentum, eps
    )
