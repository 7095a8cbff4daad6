"""Batch norm: a channel after the other, all passes over one before the next; channels in parallel.

A channel of a usual layer fits the second cache (16 x 56 x 56 numbers are 200 KB): forward brings x and y once from
memory (8 bytes an element of float32), backward dy, x and dx (12). A larger one comes twice.

Where a channel has but a few positions, norm_columns.py lets vectors lie across the channels.
"""

from ..jit import compiled, kernel, parallel_for
from .norm_columns import FEW, backward_columns, forward_columns
from .norm_parts import BLOCK, GRAIN, about, combined, inverse_root, join, scaled, slopes, total


@compiled
def _channel_grain(x):
    return max(1, GRAIN // max(x.shape[0] * x.shape[2], 1))


@compiled
def _channel_moments(x, c):
    """Mean and population variance of x[:, c], by blocks of a part of a line or of several lines."""
    O, I = x.shape[0], x.shape[2]
    lines = max(1, BLOCK // I)
    mean, square, count = 0.0, 0.0, 0
    head, length = x.dtype.type(0), min(BLOCK, I)
    for o in range(min(O, lines)):
        head += total(x[o, c, :length])
    centre = x.dtype.type(head / max(min(O, lines) * length, 1))
    for o in range(0, O, lines):
        for i in range(0, I, BLOCK):
            first, second, n = x.dtype.type(0), x.dtype.type(0), 0
            for k in range(o, min(O, o + lines)):
                part = x[k, c, i : i + BLOCK]
                one, two = about(part, centre)
                first += one
                second += two
                n += part.size
            mean, square = join(count, mean, square, n, float(centre), float(first), float(second))
            count += n
            centre = x.dtype.type(mean)
    return mean, square / max(count, 1)


@compiled
def _channels(begin, end, y, mean, rstd, x, w, b, running_mean, running_var, eps):
    for c in range(begin, end):
        if running_mean.size:
            centre, variance = float(running_mean[c]), float(running_var[c])
        else:
            centre, variance = _channel_moments(x, c)
        root = inverse_root(variance, eps)
        mean[c], rstd[c] = centre, root
        near = x.dtype.type(centre)
        scale = root * w[c] if w.size else root
        shift = (near - centre) * scale + (b[c] if b.size else 0.0)
        for o in range(x.shape[0]):
            scaled(y[o, c], x[o, c], near, x.dtype.type(scale), x.dtype.type(shift))


@kernel
def batch_norm_forward(y, mean, rstd, x, w, b, running_mean, running_var, eps):
    """A pass for the statistics, one for the result; tiles of columns where channels have few positions."""
    operands = (y, mean, rstd, x, w, b, running_mean, running_var, float(eps))
    if x.shape[2] <= FEW:
        forward_columns(*operands)
    else:
        parallel_for(_channels, x.shape[1], _channel_grain(x), operands)


@compiled
def _gradients(begin, end, dx, dw, db, dy, x, w, mean, rstd, given, accumulate):
    O, I = x.shape[0], x.shape[2]
    for c in range(begin, end):
        centre, root = mean[c], rstd[c]
        near = x.dtype.type(centre)
        plain, product = 0.0, 0.0
        for o in range(O if dw.size or db.size or not given else 0):
            first, second = slopes(dy[o, c], x[o, c], near)
            plain += first
            product += second
        product = (product + (near - centre) * plain) * root
        if dw.size:
            dw[c] = (dw[c] if accumulate else 0.0) + product
        if db.size:
            db[c] = (db[c] if accumulate else 0.0) + plain
        factor = root * w[c] if w.size else root
        a = x.dtype.type(factor)
        if given:
            # x has no part in it: Inf or NaN there must not reach dx
            for o in range(O if dx.size else 0):
                scaled(dx[o, c], dy[o, c], x.dtype.type(0), a, x.dtype.type(0))
        elif dx.size:
            slope = -factor * root * product / (O * I)
            level = (near - centre) * slope - factor * plain / (O * I)
            p, q = x.dtype.type(slope), x.dtype.type(level)
            for o in range(O):
                combined(dx[o, c], dy[o, c], x[o, c], near, a, p, q)


@kernel
def batch_norm_backward(dx, dw, db, dy, x, w, mean, rstd, given, accumulate):
    """A pass for the sums, one for dx; tiles of columns where channels have few positions."""
    operands = (dx, dw, db, dy, x, w, mean, rstd, given, accumulate)
    if x.shape[2] <= FEW:
        backward_columns(*operands)
    else:
        parallel_for(_gradients, x.shape[1], _channel_grain(x), operands)


@kernel
def running_update(running_mean, running_var, batches, mean, rstd, count, momentum, eps):
    """Serial: a few numbers a channel."""
    if batches.size:
        batches[0] += 1
    O, C = mean.shape
    if count == 0 or O == 0:
        return
    share = float(momentum)
    if share < 0.0:
        share = 1.0 / batches[0] if batches.size else 0.0
    unbiased = count / max(count - 1, 1)
    for c in range(C):
        centre, variance = 0.0, 0.0
        for o in range(O):
            centre += mean[o, c]
            variance += max(0.0, 1.0 / (rstd[o, c] * rstd[o, c]) - eps) * unbiased
        running_mean[c] += share * (centre / O - running_mean[c])
        running_var[c] += share * (variance / O - running_var[c])
