"""Cross-entropy on the CPU: every logit is read from memory once, every gradient written once.

Samples with many classes that lie together go row by row: the row stays in cache while its maximum, its exponentials
and its gradient are made, vectors running over classes. All others (few classes, or classes that are strided by
trailing positions) go in tiles: the classes of up to 128 samples are laid side by side in the second cache, and vectors
run over samples. Rows and tiles are spread over threads; the losses of samples are added in order.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import MEAN, NONE, SPARE, SUMS, check_loss, end_loss
from .loss_labels import check_labels, class_weights, kept_weight
from .softmax_parts import (
    LANES,
    WIDE,
    check_smoothing,
    load_tile,
    row_exp,
    row_sum_exp,
    row_top,
    store_tile,
    tile_exp,
    tile_top,
    tile_width,
)
from .vecmath import log


@compiled
def _rows(begin, end, values, dx, x, target, weight, ignored, label_part, smooth, weight_sum, scale):
    c = x.shape[1]
    lanes = scratch(SPARE, LANES, x)
    zero = x.dtype.type(0)
    for i in range(begin, end):
        row = x[i].reshape(c)
        if target[i] == ignored:
            values[i] = 0
            if dx.size:
                out = dx[i].reshape(c)
                for j in range(c):
                    out[j] = zero
            continue
        top = row_top(row, lanes)
        right = label_part * weight[target[i]]
        every = right + smooth * weight_sum
        if dx.size:
            out = dx[i].reshape(c)
            total = row_exp(out, row, top)
        else:
            total = row_sum_exp(row, top)
        loss = every * log(x.dtype.type(total)) - right * (row[target[i]] - top)
        if smooth != 0:
            s = zero
            for j in range(c):
                s += weight[j] * (row[j] - top)
            loss -= smooth * s
        values[i] = loss
        if dx.size:
            out = dx[i].reshape(c)
            factor = scale * every / x.dtype.type(total)
            if smooth != 0:
                level = scale * smooth
                for j in range(c):
                    out[j] = factor * out[j] - level * weight[j]
            else:
                for j in range(c):
                    out[j] *= factor
            out[target[i]] -= scale * right


@compiled
def _tiles(begin, end, values, dx, x, target, weight, ignored, label_part, smooth, weight_sum, scale):
    c = x.shape[1]
    width = tile_width(c)
    space = scratch(SPARE, (c + 6) * width, x)
    tile = space[: c * width].reshape(c, width)
    columns = space[c * width :].reshape(6, width)
    top, total, loss, right, every, keep = columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]
    for b in range(begin, end):
        first = b * width
        n = min(width, target.size - first)
        load_tile(tile, x, first, n)
        for k in range(n):
            t = target[first + k]
            keep[k] = t != ignored
            if t == ignored:
                # padding may hold anything
                for j in range(c):
                    tile[j, k] = 0
            right[k] = label_part * weight[t] if t != ignored else 0
        tile_top(top, tile, n)
        for k in range(n):
            t = target[first + k]
            loss[k] = right[k] * (tile[t, k] - top[k]) if t != ignored else 0
        if smooth != 0:
            for j in range(c):
                share = smooth * weight[j]
                for k in range(n):
                    loss[k] += share * keep[k] * (tile[j, k] - top[k])
        tile_exp(tile, total, every, tile, top, n)
        out = values[first : first + n]
        for k in range(n):
            every[k] = right[k] + smooth * weight_sum * keep[k]
            out[k] = every[k] * log(total[k]) - loss[k]
        if dx.size == 0:
            continue
        for k in range(n):
            every[k] = scale * every[k] / total[k] if keep[k] != 0 else x.dtype.type(0)
        for j in range(c):
            level = scale * smooth * weight[j] if smooth != 0 else x.dtype.type(0)
            for k in range(n):
                tile[j, k] = every[k] * tile[j, k] - level * keep[k]
        for k in range(n):
            if keep[k] != 0:
                tile[target[first + k], k] -= scale * right[k]
        store_tile(dx, tile, first, n)


@kernel
def cross_entropy_forward(loss, dx, x, target, weight, ignore_index, label_smoothing, reduction):
    """Labels are checked, and the divisor of a mean is added up, before anything goes parallel."""
    n, c, m = x.shape
    labels = target.reshape(-1)
    check_loss(loss, labels.size, reduction)
    check_smoothing(label_smoothing)
    check_labels(labels, 0, c, ignore_index)
    real = x.dtype.type
    count = kept_weight(labels, weight, ignore_index)
    w, weight_sum = class_weights(weight, c, x)
    scale = real(1.0 / count) if reduction == MEAN else real(1)
    values = loss if reduction == NONE else scratch(SUMS, labels.size, x)
    smooth = real(label_smoothing / max(c, 1))
    arguments = (values, dx, x, labels, w, ignore_index, real(1 - label_smoothing), smooth, real(weight_sum), scale)
    if m == 1 and c >= WIDE:
        parallel_for(_rows, n, max(1, 16384 // c), arguments)
    elif c > 0:
        width = tile_width(c)
        parallel_for(_tiles, (labels.size + width - 1) // width, max(1, 16384 // (c * width)), arguments)
    else:
        # no classes: whatever passed the check is ignored
        for i in range(labels.size):
            values[i] = 0
    end_loss(loss, values, count, reduction)
