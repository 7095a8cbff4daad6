"""Adam and AdamW: one pass over parameter, moments and gradient.

Every array is read once and written once, in vectors, in fixed chunks that threads share. Bias corrections are made
once a call, in float64, and enter the loop as two factors, so that an element costs one root and one division.
"""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, descent, pulled


@compiled
def _adam(begin, end, param, exp_avg, exp_avg_sq, grad, step_size, fresh1, beta2, fresh2, root, eps, keep, pull):
    param, exp_avg, exp_avg_sq, grad = param[begin:end], exp_avg[begin:end], exp_avg_sq[begin:end], grad[begin:end]
    for i in range(param.size):
        p = param[i] * keep
        g = descent(p, grad[i], pull)
        m = exp_avg[i] + fresh1 * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + fresh2 * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        param[i] = p - step_size * m / (math.sqrt(v) * root + eps)


@compiled
def _amsgrad(
    begin, end, param, exp_avg, exp_avg_sq, top, grad, step_size, fresh1, beta2, fresh2, root, eps, keep, pull
):
    param, exp_avg, exp_avg_sq, top, grad = (
        param[begin:end],
        exp_avg[begin:end],
        exp_avg_sq[begin:end],
        top[begin:end],
        grad[begin:end],
    )
    for i in range(param.size):
        p = param[i] * keep
        g = descent(p, grad[i], pull)
        m = exp_avg[i] + fresh1 * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + fresh2 * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        u = top[i]
        # a NaN in v takes over, as in torch.maximum
        if v > u or v != v:
            u = v
        top[i] = u
        param[i] = p - step_size * m / (math.sqrt(u) * root + eps)


@kernel
def adam_update(param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, step, hyper, decoupled, maximize):
    """28 bytes a float32 parameter, 36 with amsgrad."""
    if step.size == 0:
        raise ValueError("adam_update: step needs size 1 or more, got size 0")
    real = param.dtype.type
    lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    for i in range(step.size):
        step[i] += 1
    step_size = real(lr / (1 - beta1 ** step[0]))
    root = real(1 / math.sqrt(1 - beta2 ** step[0]))
    pull = pulled(hyper, 5, 0.0 if decoupled else weight_decay, maximize, real)
    keep = real(1 - lr * weight_decay) if decoupled else real(1)
    factors = (step_size, real(1 - beta1), real(beta2), real(1 - beta2), root, real(eps), keep, pull)
    n = param.size
    if max_exp_avg_sq.size == n:
        parallel_for(_amsgrad, n, GRAIN, (param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, *factors))
    else:
        parallel_for(_adam, n, GRAIN, (param, exp_avg, exp_avg_sq, grad, *factors))
