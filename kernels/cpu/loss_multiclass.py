"""Margin losses of rows of scores on the CPU: a row at a time, spread over threads, their losses added in order."""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import MEAN, NONE, SPARE, SUMS, check_loss, end_loss, formulas
from .loss_labels import check_labels, class_weights

bce_with_logits = formulas.bce_with_logits


@compiled
def begin_rows(loss, x, reduction):
    """(a value for each row, the factor that the reduction puts on gradients)"""
    n = x.shape[0]
    check_loss(loss, n, reduction)
    values = loss if reduction == NONE else scratch(SUMS, n, x)
    return values, x.dtype.type(1.0 / n) if reduction == MEAN else x.dtype.type(1)


@compiled
def row_grain(c):
    return max(1, 16384 // max(c, 1))


@compiled
def _multi_margin(begin, end, values, dx, x, target, weight, p, margin, scale):
    c = x.shape[1]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    spare = scratch(SPARE, c, x)
    for i in range(begin, end):
        row, t = x[i], target[i]
        out = dx[i] if dx.size else spare
        base = margin - row[t]
        factor = weight[t] / x.dtype.type(c)
        s, slopes = zero, zero
        for j in range(c):
            z = base + row[j]
            z = zero if (z <= 0) | (j == t) else z
            on = one if z > 0 else zero
            slope = on if p == 1 else z + z
            s += z if p == 1 else z * z
            slopes += slope
            out[j] = scale * factor * slope
        out[t] = -scale * factor * slopes
        values[i] = factor * s


@kernel
def multi_margin_forward(loss, dx, x, target, weight, p, margin, reduction):
    """Two sums a row: the loss, and the slopes that the right class pays for."""
    if p != 1 and p != 2:
        raise ValueError("multi_margin_forward: p: expected 1 or 2")
    n, c = x.shape
    values, scale = begin_rows(loss, x, reduction)
    check_labels(target, 0, c, 0)
    w, _ = class_weights(weight, c, x)
    parallel_for(_multi_margin, n, row_grain(c), (values, dx, x, target, w, p, x.dtype.type(margin), scale))
    end_loss(loss, values, n, reduction)


@compiled
def _multilabel_margin(begin, end, values, dx, x, target, scale):
    c = x.shape[1]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    spare = scratch(SPARE, 2 * c, x)
    share = one / x.dtype.type(c)
    for i in range(begin, end):
        row, labels = x[i], target[i]
        out = dx[i] if dx.size else spare[:c]
        other = spare[c:]
        for j in range(c):
            other[j] = one
            out[j] = zero
        count = 0
        while count < c and labels[count] >= 0:
            other[labels[count]] = zero
            count += 1
        value = zero
        for k in range(count):
            base = one - row[labels[k]]
            s, on = zero, zero
            for j in range(c):
                z = base + row[j]
                z = zero if (z <= 0) | (other[j] == 0) else z
                slope = one if z > 0 else zero
                s += z
                on += slope
                out[j] += slope
            out[labels[k]] -= on
            value += s
        values[i] = value * share
        # until here whole numbers, exact
        for j in range(c):
            out[j] *= scale * share


@kernel
def multilabel_margin_forward(loss, dx, x, target, reduction):
    """A pass over the row for each of its labels."""
    n, c = x.shape
    values, scale = begin_rows(loss, x, reduction)
    check_labels(target.reshape(-1), -1, c, -1)
    parallel_for(_multilabel_margin, n, row_grain(c), (values, dx, x, target, scale))
    end_loss(loss, values, n, reduction)


@compiled
def _multilabel_soft_margin(begin, end, values, dx, dtarget, x, target, weight, scale):
    c = x.shape[1]
    one, share = x.dtype.type(1), x.dtype.type(1) / x.dtype.type(c)
    spare = scratch(SPARE, 2 * c, x)
    for i in range(begin, end):
        row, wanted = x[i], target[i]
        g = dx[i] if dx.size else spare[:c]
        h = dtarget[i] if dtarget.size else spare[c:]
        s = x.dtype.type(0)
        for j in range(c):
            value, dg, dh = bce_with_logits(row[j], wanted[j], one)
            w = weight[j] * share
            s += w * value
            g[j], h[j] = scale * w * dg, scale * w * dh
        values[i] = s if c > 0 else s / x.dtype.type(c)


@kernel
def multilabel_soft_margin_forward(loss, dx, dtarget, x, target, weight, reduction):
    """One exp and one log1p an element, summed over the row."""
    n, c = x.shape
    values, scale = begin_rows(loss, x, reduction)
    w, _ = class_weights(weight, c, x)
    parallel_for(_multilabel_soft_margin, n, row_grain(c), (values, dx, dtarget, x, target, w, scale))
    end_loss(loss, values, n, reduction)
