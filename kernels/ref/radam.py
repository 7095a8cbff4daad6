"""RAdam on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def radam_update(param, exp_avg, exp_avg_sq, grad, step, hyper, decoupled, maximize):
    """One step of RAdam, in place.

    t = step + 1;   g = -grad if maximize else grad
    decoupled:      param = param - lr * weight_decay * param
    otherwise:      g = g + weight_decay * param
    m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g * g
    R = 2 / (1 - beta2) - 1;   r = R - 2 * t * beta2**t / (1 - beta2**t)
    r > 5:      c = sqrt((r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r))
                param = param - lr / (1 - beta1**t) * m * c * sqrt(1 - beta2**t) / (sqrt(v) + eps)
    otherwise:  param = param - lr / (1 - beta1**t) * m

    param       (N,)          [inout]  parameters
    exp_avg     (N,)          [inout]  m, zero before the first step
    exp_avg_sq  (N,)          [inout]  v, zero before the first step
    grad        (N,)                   gradients
    step        (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    hyper       (H,) float64           lr, beta1, beta2, eps, weight_decay; 3 more: rule.py
    decoupled   bool                   weight decay outside the moments
    maximize    bool                   climb instead of descending

    eps is added to the root, before its bias correction; that and c are made in float64.

    Raises ValueError when step has size 0.
    Source: Liu et al. 2020; as torch.optim.RAdam.
    """
    cast = param.dtype.type
    (lr, beta1, beta2, eps, weight_decay), shaping = split(hyper, 5)
    t = count(step)
    step_size = lr / (1 - beta1**t)
    g = descent(param, grad, 0 if decoupled else weight_decay, maximize, shaping)
    if decoupled and weight_decay != 0:
        param *= cast(1 - lr * weight_decay)
    exp_avg += cast(1 - beta1) * (g - exp_avg)
    exp_avg_sq[...] = cast(beta2) * exp_avg_sq + cast(1 - beta2) * g * g
    correction = 1 - beta2**t
    R = 2 / (1 - beta2) - 1
    r = R - 2 * t * beta2**t / correction
    if r > 5:
        c = np.sqrt((r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r))
        with np.errstate(divide="ignore", invalid="ignore"):
            param -= cast(step_size * c * np.sqrt(correction)) * exp_avg / (np.sqrt(exp_avg_sq) + cast(eps))
    else:
        param -= cast(step_size) * exp_avg
