"""NAdam: one pass over parameter, moments and gradient, every array read once and written once.

Bias corrections and the schedule of the momentum are worked out once a call, in float64.
"""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _nadam(
    begin,
    end,
    param,
    exp_avg,
    exp_avg_sq,
    grad,
    by_gradient,
    by_average,
    fresh1,
    beta2,
    fresh2,
    root,
    eps,
    keep,
    pull,
):
    param, exp_avg, exp_avg_sq, grad = param[begin:end], exp_avg[begin:end], exp_avg_sq[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        m = exp_avg[i] + fresh1 * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + fresh2 * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        param[i] = param[i] * keep - (by_gradient * g + by_average * m) / (math.sqrt(v) * root + eps)


@compiled
def _momentum(beta1, momentum_decay, t):
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))


@kernel
def nadam_update(param, exp_avg, exp_avg_sq, grad, step, mu_product, hyper, decoupled, maximize):
    """28 bytes a float32 parameter."""
    real = param.dtype.type
    lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    t = count(step)
    mu, mu_next = _momentum(beta1, hyper[5], t), _momentum(beta1, hyper[5], t + 1)
    for i in range(mu_product.size):
        mu_product[i] *= mu
    by_gradient = real(lr * (1 - mu) / (1 - mu_product[0]))
    by_average = real(lr * mu_next / (1 - mu_product[0] * mu_next))
    root = real(1 / math.sqrt(1 - beta2**t))
    factors = (by_gradient, by_average, real(1 - beta1), real(beta2), real(1 - beta2), root, real(eps))
    pull = pulled(hyper, 6, 0.0 if decoupled else weight_decay, maximize, real)
    keep = real(1 - lr * weight_decay) if decoupled else real(1)
    arguments = (param, exp_avg, exp_avg_sq, grad, *factors, keep, pull)
    parallel_for(_nadam, param.size, GRAIN, arguments)
