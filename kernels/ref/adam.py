"""Adam and AdamW on a flat run of parameters."""

import numpy as np

from .rule import descent, split


def adam_update(param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, step, hyper, decoupled, maximize):
    """One step of Adam (AdamW when decoupled), in place.

    t = step + 1;   g = -grad if maximize else grad
    decoupled:      param = param - lr * weight_decay * param
    otherwise:      g = g + weight_decay * param
    m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g * g
    u = max(u, v) with amsgrad, else v
    param = param - lr / (1 - beta1**t) * m / (sqrt(u) / sqrt(1 - beta2**t) + eps)

    param           (N,)          [inout]  parameters
    exp_avg         (N,)          [inout]  m, zero before the first step
    exp_avg_sq      (N,)          [inout]  v, zero before the first step
    max_exp_avg_sq  (N,) or (0,)  [inout]  u, zero before the first step; size 0: no amsgrad
    grad            (N,)                   gradients
    step            (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    hyper           (H,) float64           lr, beta1, beta2, eps, weight_decay; 3 more: rule.py
    decoupled       bool                   weight decay outside the moments (AdamW)
    maximize        bool                   climb instead of descending

    eps is added after the bias correction of the root, and the corrections are made in float64.

    Raises ValueError when step has size 0.
    Source: Kingma & Ba 2015, Loshchilov & Hutter 2019; as torch.optim.Adam, AdamW.
    """
    if step.size == 0:
        raise ValueError("step needs size 1 or more, got size 0")
    (lr, beta1, beta2, eps, weight_decay), shaping = split(hyper, 5)
    step += 1
    cast = param.dtype.type
    step_size = cast(lr / (1 - beta1 ** step[0]))
    root_correction = cast(np.sqrt(1 - beta2 ** step[0]))
    if decoupled and weight_decay != 0:
        param *= cast(1 - lr * weight_decay)
    gradient = descent(param, grad, 0 if decoupled else weight_decay, maximize, shaping)
    exp_avg += cast(1 - beta1) * (gradient - exp_avg)
    exp_avg_sq[...] = cast(beta2) * exp_avg_sq + cast(1 - beta2) * gradient * gradient
    second = exp_avg_sq
    if max_exp_avg_sq.size or not param.size:
        np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
        second = max_exp_avg_sq
    with np.errstate(divide="ignore", invalid="ignore"):
        param -= step_size * exp_avg / (np.sqrt(second) / root_correction + cast(eps))
