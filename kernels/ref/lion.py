"""Lion on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def lion_update(param, exp_avg, grad, step, hyper, maximize):
    """One step of Lion, in place.

    g = -grad if maximize else grad
    param = param - lr * weight_decay * param - lr * sign(beta1 * m + (1 - beta1) * g)
    m = beta2 * m + (1 - beta2) * g

    param     (N,)          [inout]  parameters
    exp_avg   (N,)          [inout]  m, zero before the first step
    grad      (N,)                   gradients
    step      (P,) float64  [inout]  steps made before this one; 1 is added
    hyper     (H,) float64           lr, beta1, beta2, weight_decay; 3 more: rule.py
    maximize  bool                   climb instead of descending

    There is no eps; sign(0) = 0.

    Raises ValueError when step has size 0.
    Source: Chen et al. 2023.
    """
    cast = param.dtype.type
    (lr, beta1, beta2, weight_decay), shaping = split(hyper, 4)
    count(step)
    g = descent(param, grad, 0, maximize, shaping)
    if weight_decay != 0:
        param *= cast(1 - lr * weight_decay)
    param -= cast(lr) * np.sign(cast(beta1) * exp_avg + cast(1 - beta1) * g)
    exp_avg += cast(1 - beta2) * (g - exp_avg)
