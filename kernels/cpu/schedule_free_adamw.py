"""Schedule-free AdamW: one pass over y, z, moment and gradient, every array read once and written once.

The rate and the share c of z in the average are worked out once a call, in float64.
"""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _schedule_free(begin, end, param, z, exp_avg_sq, grad, first, beta2, fresh2, eps, decay, share, along, rate, pull):
    param, z, exp_avg_sq, grad = param[begin:end], z[begin:end], exp_avg_sq[begin:end], grad[begin:end]
    for i in range(param.size):
        y = param[i]
        g = descent(y, grad[i], pull)
        v = beta2 * exp_avg_sq[i] + fresh2 * g * g
        exp_avg_sq[i] = v
        d = g / (math.sqrt(v) + eps)
        if decay != 0:
            d += decay * y
        before = y if first else z[i]
        param[i] = y + share * (before - y) - along * d
        z[i] = before - rate * d


@kernel
def schedule_free_adamw_update(param, z, exp_avg_sq, grad, step, weight_sum, lr_max, hyper, maximize):
    """28 bytes a float32 parameter."""
    real = param.dtype.type
    lr, beta1, beta2, eps, decay = hyper[0], hyper[1], hyper[2], real(hyper[3]), real(hyper[4])
    t = count(step)
    if weight_sum.size == 0 or lr_max.size == 0:
        raise ValueError("schedule_free_adamw_update: weight_sum and lr_max need as many entries as step, got size 0")
    rate = lr * math.sqrt(1 - beta2**t)
    if t < hyper[5]:
        rate *= t / hyper[5]
    largest = max(lr_max[0], rate)
    weight = t ** hyper[6] * largest ** hyper[7]
    total = weight_sum[0] + weight
    for i in range(step.size):
        lr_max[i], weight_sum[i] = largest, total
    share = weight / total if total != 0 else 0.0
    along = rate * (1 - beta1 * (1 - share))
    numbers = (t == 1, real(beta2), real(1 - beta2), eps, decay, real(share), real(along), real(rate))
    parallel_for(
        _schedule_free, param.size, GRAIN, (param, z, exp_avg_sq, grad, *numbers, pulled(hyper, 8, 0.0, maximize, real))
    )
