"""Group norm: a group is a contiguous line, its channels are shorter ones.

Forward is one launch that reads x once; few large groups are cut into pieces, as batch norm's channels are. Backward
of groups of one channel, which is instance norm, is one launch that reads once, and one that adds up the samples of the
weights' gradients; with more channels it is four: sums of the channels, their use, dx, and that.
"""

import numpy as np

from .lanes import WARPS, block_sum
from .lines import HALF, MOST, THREADS, lay, pieces
from .norm_lines import APPLY, COMBINE, MOMENTS, SLOPES, WHOLE, WHOLE_GRADIENT, join, start
from .norm_parts import add_columns
from .target import cuda, empty, jit, kernel, launch


@kernel
def group_norm_forward(y, mean, rstd, x, w, b, eps, stream=0):
    """One launch; three for few large groups."""
    samples, groups, channels, positions = x.shape
    count, length, every = samples * groups, channels * positions, groups * channels
    mean, rstd = mean.reshape(-1), rstd.reshape(-1)
    flat = y.reshape(-1), mean, rstd, x.reshape(-1), w, b
    n = pieces(length, count)
    if count == 0:
        return
    if length == 0:
        join(mean, rstd, empty((0, 2), np.float64), 1, 0, eps, stream)
    elif n == 1 or positions < MOST:
        laid = lay(count, length, 1, y, x)
        start(WHOLE, laid, stream, *flat, eps, groups, positions if channels > 1 else 0)
    else:
        found = empty((count * n, 2), np.float64)
        start(MOMENTS, lay(count * n, length // n, 1, x), stream, found, x.reshape(-1))
        join(mean, rstd, found, n, length // n, eps, stream)
        k = pieces(positions, samples * every)
        nothing = empty((0,), x.dtype)
        laid = lay(samples * every * k, positions // k, 1, y, x)
        start(APPLY, laid, stream, *flat, nothing, nothing, eps, channels * k, count, k, every)


@kernel
def group_norm_backward(dx, dw, db, dy, x, w, mean, rstd, accumulate, stream=0):
    """Two launches for groups of one channel, else four; one less without gradients of weight and bias."""
    samples, groups, channels, positions = x.shape
    count, every = samples * groups, groups * channels
    mean, rstd = mean.reshape(-1), rstd.reshape(-1)
    flat = dy.reshape(-1), x.reshape(-1)
    weights = empty((samples if x.size else 0, dw.size), x.dtype)
    biases = empty((samples if x.size else 0, db.size), x.dtype)
    sums = weights.reshape(-1), biases.reshape(-1)
    n = pieces(positions, samples * every)
    if x.size and channels == 1 and n == 1:
        laid = lay(count, positions, 1, dx, dy, x, hold=HALF)
        start(WHOLE_GRADIENT, laid, stream, dx.reshape(-1), *sums, *flat, w, mean, rstd, groups)
    elif x.size:
        laid = lay(samples * every * n, positions // n, 1, dx, dy, x, hold=HALF)
        found = empty((samples * every * n, 2), np.float64)
        start(SLOPES, laid, stream, found, *flat, mean, channels * n, count)
        tilts, levels = empty((count,), x.dtype), empty((count,), x.dtype)
        args = *sums, tilts, levels, found, w, mean, rstd, groups, channels, n, np.float64(channels * positions)
        launch(_use_groups, count, THREADS, stream, *args)
        if dx.size:
            args = w, mean, rstd, tilts, levels, channels * n, count, n, every
            start(COMBINE, laid, stream, dx.reshape(-1), *flat, *args)
    add_columns(dw, db, weights, biases, accumulate, stream)


@jit
def _use_groups(weights, biases, tilts, levels, found, w, mean, rstd, groups, channels, pieces, count):
    """A block for each group of a sample: what its channels found, as parts of gradients and as what dx takes of x."""
    real = tilts.dtype.type
    parts = cuda.shared.array(WARPS, np.float64)
    group, p = cuda.blockIdx.x, cuda.threadIdx.x
    centre, root = mean[group], rstd[group]
    rest = real(centre) - centre
    plain, product = np.float64(0), np.float64(0)
    while p < channels:
        channel, c = group * channels + p, group % groups * channels + p
        first, second = np.float64(0), np.float64(0)
        for k in range(channel * pieces, (channel + 1) * pieces):
            first += found[k, 0]
            second += found[k, 1]
        second = (second + rest * first) * root
        if weights.size > 0:
            weights[channel] = real(second)
        if biases.size > 0:
            biases[channel] = real(first)
        factor = np.float64(w[c]) if w.size > 0 else np.float64(1)
        plain += factor * first
        product += factor * second
        p += cuda.blockDim.x
    plain, product = block_sum(parts, plain), block_sum(parts, product)
    if cuda.threadIdx.x == 0:
        tilt = -root * root * product / count
        tilts[group], levels[group] = real(tilt), real(rest * tilt - root * plain / count)
