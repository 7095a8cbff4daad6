"""Cross-entropy with distributions on the CPU: rows and tiles as in cross_entropy.py, targets beside logits."""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import MEAN, NONE, SPARE, SUMS, check_loss, end_loss
from .loss_labels import class_weights
from .softmax_parts import (
    BLOCK,
    LANES,
    WIDE,
    check_smoothing,
    load_tile,
    row_exp,
    row_top,
    store_tile,
    tile_exp,
    tile_top,
    tile_width,
)
from .vecmath import log


@compiled
def _row_target(row, target, weight, keep, smooth, top):
    """Sums of q and of q * (row - top), q = weight * (keep * target + smooth)."""
    every, dot = 0.0, 0.0
    for begin in range(0, row.size, BLOCK):
        some, part = row.dtype.type(0), row.dtype.type(0)
        a, b, w = row[begin : begin + BLOCK], target[begin : begin + BLOCK], weight[begin : begin + BLOCK]
        for j in range(a.size):
            q = w[j] * (keep * b[j] + smooth)
            some += q
            part += q * (a[j] - top)
        every += some
        dot += part
    return row.dtype.type(every), row.dtype.type(dot)


@compiled
def _rows(begin, end, values, dx, dtarget, x, target, weight, keep, smooth, scale):
    c = x.shape[1]
    space = scratch(SPARE, LANES + c, x)
    lanes, e = space[:LANES], space[LANES:]
    for i in range(begin, end):
        row, wanted = x[i].reshape(c), target[i].reshape(c)
        top = row_top(row, lanes)
        total = x.dtype.type(row_exp(e, row, top))
        every, dot = _row_target(row, wanted, weight, keep, smooth, top)
        log_total = log(total)
        values[i] = every * log_total - dot
        if dx.size:
            out, factor = dx[i].reshape(c), scale * every / total
            for j in range(c):
                out[j] = factor * e[j] - scale * weight[j] * (keep * wanted[j] + smooth)
        if dtarget.size:
            out, factor = dtarget[i].reshape(c), scale * keep
            for j in range(c):
                out[j] = factor * weight[j] * (log_total - (row[j] - top))


@compiled
def _tiles(begin, end, values, dx, dtarget, x, target, weight, keep, smooth, scale):
    c, samples = x.shape[1], x.shape[0] * x.shape[2]
    width = tile_width(c)
    space = scratch(SPARE, (3 * c + 4) * width, x)
    tiles = space[: 3 * c * width].reshape(3, c, width)
    z, q, e = tiles[0], tiles[1], tiles[2]
    columns = space[3 * c * width :].reshape(4, width)
    top, total, every, dot = columns[0], columns[1], columns[2], columns[3]
    for b in range(begin, end):
        first = b * width
        n = min(width, samples - first)
        load_tile(z, x, first, n)
        load_tile(q, target, first, n)
        tile_top(top, z, n)
        tile_exp(e, total, dot, z, top, n)
        for k in range(n):
            every[k] = 0
            dot[k] = 0
        for j in range(c):
            w = weight[j]
            for k in range(n):
                share = w * (keep * q[j, k] + smooth)
                below = z[j, k] - top[k]
                every[k] += share
                dot[k] += share * below
                q[j, k] = share
                z[j, k] = below
        out = values[first : first + n]
        for k in range(n):
            top[k] = log(total[k])
            out[k] = every[k] * top[k] - dot[k]
            total[k] = scale * every[k] / total[k]
        if dx.size:
            for j in range(c):
                for k in range(n):
                    e[j, k] = total[k] * e[j, k] - scale * q[j, k]
            store_tile(dx, e, first, n)
        if dtarget.size:
            for j in range(c):
                factor = scale * keep * weight[j]
                for k in range(n):
                    z[j, k] = factor * (top[k] - z[j, k])
            store_tile(dtarget, z, first, n)


@kernel
def cross_entropy_soft_forward(loss, dx, dtarget, x, target, weight, label_smoothing, reduction):
    """One more stream of memory than labels need, and one for the gradient of the target where it is asked for."""
    n, c, m = x.shape
    check_loss(loss, n * m, reduction)
    check_smoothing(label_smoothing)
    real = x.dtype.type
    w, _ = class_weights(weight, c, x)
    scale = real(1.0 / (n * m)) if reduction == MEAN else real(1)
    values = loss if reduction == NONE else scratch(SUMS, n * m, x)
    smooth = real(label_smoothing / max(c, 1))
    arguments = (values, dx, dtarget, x, target, w, real(1 - label_smoothing), smooth, scale)
    if m == 1 and c >= WIDE:
        parallel_for(_rows, n, max(1, 16384 // c), arguments)
    elif c > 0:
        width = tile_width(c)
        parallel_for(_tiles, (n * m + width - 1) // width, max(1, 16384 // (c * width)), arguments)
    else:
        for i in range(n * m):
            values[i] = 0
    end_loss(loss, values, n * m, reduction)
