"""Adamax on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def adamax_update(param, exp_avg, exp_inf, grad, step, hyper, maximize):
    """One step of Adamax, in place.

    t = step + 1;   g = (-grad if maximize else grad) + weight_decay * param
    m = beta1 * m + (1 - beta1) * g
    u = max(beta2 * u, abs(g) + eps)
    param = param - lr / (1 - beta1**t) * m / u

    param     (N,)          [inout]  parameters
    exp_avg   (N,)          [inout]  m, zero before the first step
    exp_inf   (N,)          [inout]  u, zero before the first step
    grad      (N,)                   gradients
    step      (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    hyper     (H,) float64           lr, beta1, beta2, eps, weight_decay; 3 more: rule.py
    maximize  bool                   climb instead of descending

    eps is added to the absolute value, inside the maximum.

    Raises ValueError when step has size 0.
    Source: Kingma & Ba 2015, section 7.1; as torch.optim.Adamax.
    """
    cast = param.dtype.type
    (lr, beta1, beta2, eps, weight_decay), shaping = split(hyper, 5)
    t = count(step)
    g = descent(param, grad, weight_decay, maximize, shaping)
    exp_avg += cast(1 - beta1) * (g - exp_avg)
    np.maximum(cast(beta2) * exp_inf, np.abs(g) + cast(eps), out=exp_inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        param -= cast(lr / (1 - beta1**t)) * exp_avg / exp_inf
