"""RAdam: one pass over parameter, moments and gradient, every array read once and written once.

Bias corrections and the rectification are worked out once a call, in float64, and enter the loop as one factor.
"""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _radam(begin, end, param, exp_avg, exp_avg_sq, grad, step_size, adaptive, fresh1, beta2, fresh2, eps, keep, pull):
    param, exp_avg, exp_avg_sq, grad = param[begin:end], exp_avg[begin:end], exp_avg_sq[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        m = exp_avg[i] + fresh1 * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + fresh2 * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        d = step_size * m
        if adaptive:
            d /= math.sqrt(v) + eps
        param[i] = param[i] * keep - d


@kernel
def radam_update(param, exp_avg, exp_avg_sq, grad, step, hyper, decoupled, maximize):
    """28 bytes a float32 parameter."""
    real = param.dtype.type
    lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    t = count(step)
    step_size = lr / (1 - beta1**t)
    correction = 1 - beta2**t
    R = 2 / (1 - beta2) - 1
    r = R - 2 * t * beta2**t / correction
    if r > 5:
        step_size *= math.sqrt(correction * (r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r))
    pull = pulled(hyper, 5, 0.0 if decoupled else weight_decay, maximize, real)
    keep = real(1 - lr * weight_decay) if decoupled else real(1)
    factors = (real(step_size), r > 5, real(1 - beta1), real(beta2), real(1 - beta2), real(eps), keep)
    parallel_for(_radam, param.size, GRAIN, (param, exp_avg, exp_avg_sq, grad, *factors, pull))
