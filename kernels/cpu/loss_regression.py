"""Losses of regression on the CPU: a loop over a formula in each block, as loss.py describes."""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import BLOCK, GRAIN, SPARE, begin_loss, end_loss, formulas, part, span, total

of_error, stirling, gaussian_nll = formulas.of_error, formulas.stirling, formulas.gaussian_nll
poisson_nll, poisson_nll_log = formulas.poisson_nll, formulas.poisson_nll_log
MSE, L1, SMOOTH_L1, HUBER = formulas.MSE, formulas.L1, formulas.SMOOTH_L1, formulas.HUBER
HALF_LOG_2PI = formulas.HALF_LOG_2PI


def _losses_of_error(code):
    """The body of a loss of x - target; `bend` is where its parabola meets its line."""

    @compiled
    def blocks(begin, end, values, dx, dtarget, x, target, bend, scale, sums):
        spare = scratch(SPARE, 3 * BLOCK, x)
        for k in range(begin, end):
            first, n = span(k, x.size)
            a, b = x[first : first + n], target[first : first + n]
            value, g = part(values, first, n, spare, 0), part(dx, first, n, spare, 1)
            h = part(dtarget, first, n, spare, 2)
            for i in range(n):
                value[i], slope = of_error(code, a[i] - b[i], bend)
                g[i], h[i] = scale * slope, -scale * slope
            sums[k] = total(value)

    return blocks


_mse, _l1, _smooth_l1, _huber = map(_losses_of_error, (MSE, L1, SMOOTH_L1, HUBER))


@kernel
def mse_forward(loss, dx, dtarget, x, target, reduction):
    """Blocks in parallel; three streams of memory where one gradient is asked for."""
    values, scale, sums = begin_loss(loss, x, reduction)
    parallel_for(_mse, sums.size, GRAIN, (values, dx, dtarget, x, target, scale, scale, sums))
    end_loss(loss, sums, x.size, reduction)


@kernel
def l1_forward(loss, dx, dtarget, x, target, reduction):
    """As mse_forward."""
    values, scale, sums = begin_loss(loss, x, reduction)
    parallel_for(_l1, sums.size, GRAIN, (values, dx, dtarget, x, target, scale, scale, sums))
    end_loss(loss, sums, x.size, reduction)


@kernel
def smooth_l1_forward(loss, dx, dtarget, x, target, beta, reduction):
    """As mse_forward."""
    if beta < 0:
        raise ValueError("smooth_l1_forward: beta: expected 0 or more")
    values, scale, sums = begin_loss(loss, x, reduction)
    parallel_for(_smooth_l1, sums.size, GRAIN, (values, dx, dtarget, x, target, x.dtype.type(beta), scale, sums))
    end_loss(loss, sums, x.size, reduction)


@kernel
def huber_forward(loss, dx, dtarget, x, target, delta, reduction):
    """As mse_forward."""
    if not delta > 0:
        raise ValueError("huber_forward: delta: expected more than 0")
    values, scale, sums = begin_loss(loss, x, reduction)
    parallel_for(_huber, sums.size, GRAIN, (values, dx, dtarget, x, target, x.dtype.type(delta), scale, sums))
    end_loss(loss, sums, x.size, reduction)


@compiled
def _poisson_nll(begin, end, values, dx, dtarget, x, target, log_input, full, eps, scale, sums):
    spare = scratch(SPARE, 3 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b = x[first : first + n], target[first : first + n]
        value, g, h = part(values, first, n, spare, 0), part(dx, first, n, spare, 1), part(dtarget, first, n, spare, 2)
        if log_input:
            for i in range(n):
                value[i], dg, dh = poisson_nll_log(a[i], b[i])
                g[i], h[i] = scale * dg, scale * dh
        else:
            for i in range(n):
                value[i], dg, dh = poisson_nll(a[i], b[i], eps)
                g[i], h[i] = scale * dg, scale * dh
        if full:
            for i in range(n):
                more, dh = stirling(b[i])
                value[i] += more
                h[i] += scale * dh
        sums[k] = total(value)


@kernel
def poisson_nll_forward(loss, dx, dtarget, x, target, log_input, full, eps, reduction):
    """As mse_forward, with one loop for each form of x and one more for Stirling's term."""
    values, scale, sums = begin_loss(loss, x, reduction)
    scalars = (log_input, full, x.dtype.type(eps), scale, sums)
    parallel_for(_poisson_nll, sums.size, GRAIN, (values, dx, dtarget, x, target, *scalars))
    end_loss(loss, sums, x.size, reduction)


@compiled
def _gaussian_nll(begin, end, values, dx, dtarget, dvar, x, target, var, constant, eps, scale, sums):
    spare = scratch(SPARE, 4 * BLOCK, x)
    for k in range(begin, end):
        first, n = span(k, x.size)
        a, b, c = x[first : first + n], target[first : first + n], var[first : first + n]
        value, g, h = part(values, first, n, spare, 0), part(dx, first, n, spare, 1), part(dtarget, first, n, spare, 2)
        v = part(dvar, first, n, spare, 3)
        for i in range(n):
            nll, dg, dh, dv = gaussian_nll(a[i], b[i], c[i], eps)
            value[i] = nll + constant
            g[i], h[i], v[i] = scale * dg, scale * dh, scale * dv
        sums[k] = total(value)


@compiled
def _any_negative(values):
    count = 0
    for i in range(values.size):
        count += values[i] < 0
    return count > 0


@kernel
def gaussian_nll_forward(loss, dx, dtarget, dvar, x, target, var, full, eps, reduction):
    """As mse_forward, after a look for negative variances."""
    if _any_negative(var):
        raise ValueError("gaussian_nll_forward: var: expected 0 or more")
    values, scale, sums = begin_loss(loss, x, reduction)
    constant = x.dtype.type(HALF_LOG_2PI if full else 0.0)
    scalars = (constant, x.dtype.type(eps), scale, sums)
    parallel_for(_gaussian_nll, sums.size, GRAIN, (values, dx, dtarget, dvar, x, target, var, *scalars))
    end_loss(loss, sums, x.size, reduction)
