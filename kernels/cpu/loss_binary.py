"""Losses of single probabilities on the CPU: a loop over a formula in each block, as loss.py describes."""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import BLOCK, FAULTS, GRAIN, SPARE, begin_loss, end_loss, formulas, multiply, part, span, total

bce, bce_with_logits, soft_margin = formulas.bce, formulas.bce_with_logits, formulas.soft_margin
kl_div, kl_div_log = formulas.kl_div, formulas.kl_div_log


@compiled
def _improper(p):
    """How many are outside 0 .. 1, or NaN."""
    count = 0
    for i in range(p.size):
        count += not ((p[i] >= 0) & (p[i] <= 1))
    return count


@compiled
def _bce(begin, end, values, dx, dtarget, x, target, weight, scale, sums, improper):
    spare = scratch(SPARE, 3 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b = x[first : first + n], target[first : first + n]
        value, g, h = part(values, first, n, spare, 0), part(dx, first, n, spare, 1), part(dtarget, first, n, spare, 2)
        improper[k] = _improper(a) + _improper(b)
        for i in range(n):
            value[i], dg, dh = bce(a[i], b[i])
            g[i], h[i] = scale * dg, scale * dh
        if weight.size:
            factors = weight[first : first + n]
            multiply(value, factors)
            multiply(g, factors)
            multiply(h, factors)
        sums[k] = total(value)


@kernel
def bce_forward(loss, dx, dtarget, x, target, weight, reduction):
    """Blocks in parallel. A block counts what is no probability; the count is looked at after the last."""
    values, scale, sums = begin_loss(loss, x, reduction)
    improper = scratch(FAULTS, sums.size, x)
    parallel_for(_bce, sums.size, GRAIN, (values, dx, dtarget, x, target, weight, scale, sums, improper))
    if total(improper) > 0:
        raise ValueError("bce_forward: x and target: expected values between 0 and 1")
    end_loss(loss, sums, x.size, reduction)


@compiled
def _bce_with_logits(begin, end, values, dx, dtarget, x, target, weight, pos_weight, scale, sums):
    one = x.dtype.type(1)
    spare = scratch(SPARE, 3 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b = x[first : first + n], target[first : first + n]
        value, g, h = part(values, first, n, spare, 0), part(dx, first, n, spare, 1), part(dtarget, first, n, spare, 2)
        if pos_weight.size:
            w = pos_weight[first : first + n]
            for i in range(n):
                value[i], dg, dh = bce_with_logits(a[i], b[i], w[i])
                g[i], h[i] = scale * dg, scale * dh
        else:
            for i in range(n):
                value[i], dg, dh = bce_with_logits(a[i], b[i], one)
                g[i], h[i] = scale * dg, scale * dh
        if weight.size:
            factors = weight[first : first + n]
            multiply(value, factors)
            multiply(g, factors)
            multiply(h, factors)
        sums[k] = total(value)


@kernel
def bce_with_logits_forward(loss, dx, dtarget, x, target, weight, pos_weight, reduction):
    """Blocks in parallel; one exp, one log1p and two divisions an element."""
    values, scale, sums = begin_loss(loss, x, reduction)
    arguments = (values, dx, dtarget, x, target, weight, pos_weight, scale, sums)
    parallel_for(_bce_with_logits, sums.size, GRAIN, arguments)
    end_loss(loss, sums, x.size, reduction)


@compiled
def _kl_div(begin, end, values, dx, dtarget, x, target, log_target, scale, sums):
    spare = scratch(SPARE, 3 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b = x[first : first + n], target[first : first + n]
        value, g, h = part(values, first, n, spare, 0), part(dx, first, n, spare, 1), part(dtarget, first, n, spare, 2)
        if log_target:
            for i in range(n):
                value[i], dg, dh = kl_div_log(a[i], b[i])
                g[i], h[i] = scale * dg, scale * dh
        else:
            for i in range(n):
                value[i], dg, dh = kl_div(a[i], b[i])
                g[i], h[i] = scale * dg, scale * dh
        sums[k] = total(value)


@kernel
def kl_div_forward(loss, dx, dtarget, x, target, log_target, reduction):
    """Blocks in parallel, one loop for each form of target."""
    values, scale, sums = begin_loss(loss, x, reduction)
    parallel_for(_kl_div, sums.size, GRAIN, (values, dx, dtarget, x, target, log_target, scale, sums))
    end_loss(loss, sums, x.size, reduction)


@compiled
def _soft_margin(begin, end, values, dx, x, target, scale, sums):
    spare = scratch(SPARE, 2 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b = x[first : first + n], target[first : first + n]
        value, g = part(values, first, n, spare, 0), part(dx, first, n, spare, 1)
        for i in range(n):
            value[i], dg = soft_margin(a[i], b[i])
            g[i] = scale * dg
        sums[k] = total(value)


@kernel
def soft_margin_forward(loss, dx, x, target, reduction):
    """Blocks in parallel; finite where log(1 + exp(z)) overflows."""
    values, scale, sums = begin_loss(loss, x, reduction)
    parallel_for(_soft_margin, sums.size, GRAIN, (values, dx, x, target, scale, sums))
    end_loss(loss, sums, x.size, reduction)
