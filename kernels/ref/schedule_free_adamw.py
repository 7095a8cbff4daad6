"""Schedule-free AdamW on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def schedule_free_adamw_update(param, z, exp_avg_sq, grad, step, weight_sum, lr_max, hyper, maximize):
    """One step of schedule-free AdamW, in place; param is y, where gradients are taken.

    t = step + 1;   g = -grad if maximize else grad
    rate = lr * min(1, t / warmup_steps) * sqrt(1 - beta2**t);   lr_max = max(lr_max, rate)
    weight = t**r * lr_max**weight_lr_power;   weight_sum = weight_sum + weight
    c = weight / weight_sum, 0 where weight_sum is
    v = beta2 * v + (1 - beta2) * g * g
    d = g / (sqrt(v) + eps) + weight_decay * y
    y = (1 - c) * y + c * z - rate * (1 - beta1 * (1 - c)) * d
    z = z - rate * d

    param       (N,)          [inout]  y
    z           (N,)          [inout]  z; not read at the first step, where it is y
    exp_avg_sq  (N,)          [inout]  v, zero before the first step
    grad        (N,)                   gradients
    step        (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    weight_sum  (P,) float64  [inout]  of the weights so far
    lr_max      (P,) float64  [inout]  the largest rate so far
    hyper       (H,) float64           lr, beta1, beta2, eps, weight_decay, warmup_steps, r, weight_lr_power; 3 more
    maximize    bool                   climb instead of descending

    eps is added to the root, without a correction of its own: that is in the rate.

    Raises ValueError when step, weight_sum or lr_max has size 0.
    Source: Defazio et al. 2024, algorithm 1.
    """
    cast = param.dtype.type
    (lr, beta1, beta2, eps, weight_decay, warmup_steps, r, power), shaping = split(hyper, 8)
    t = count(step)
    if weight_sum.size == 0 or lr_max.size == 0:
        raise ValueError("weight_sum and lr_max need as many entries as step, got size 0")
    rate = lr * min(1, t / warmup_steps if warmup_steps > 0 else 1) * np.sqrt(1 - beta2**t)
    lr_max[...] = np.maximum(lr_max, rate)
    weight = t**r * lr_max[0] ** power
    weight_sum += weight
    c = weight / weight_sum[0] if weight_sum[0] != 0 else 0.0
    g = descent(param, grad, 0, maximize, shaping)
    if t == 1:
        z[...] = param
    exp_avg_sq[...] = cast(beta2) * exp_avg_sq + cast(1 - beta2) * g * g
    with np.errstate(divide="ignore", invalid="ignore"):
        d = g / (np.sqrt(exp_avg_sq) + cast(eps))
    if weight_decay != 0:
        d += cast(weight_decay) * param
    param += cast(c) * (z - param) - cast(rate * (1 - beta1 * (1 - c))) * d
    z -= cast(rate) * d
