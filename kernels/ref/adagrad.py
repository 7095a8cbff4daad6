"""Adagrad on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def adagrad_update(param, sum, grad, step, hyper, maximize):
    """One step of Adagrad, in place.

    t = step + 1;   g = (-grad if maximize else grad) + weight_decay * param
    s = (initial_accumulator_value at the first step, else s) + g * g
    param = param - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    param     (N,)          [inout]  parameters
    sum       (N,)          [inout]  s; not read at the first step
    grad      (N,)                   gradients
    step      (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    hyper     (H,) float64           lr, lr_decay, weight_decay, initial_accumulator_value, eps; 3 more: rule.py
    maximize  bool                   climb instead of descending

    eps is added to the root.

    Raises ValueError when step has size 0.
    Source: Duchi, Hazan & Singer 2011; as torch.optim.Adagrad.
    """
    cast = param.dtype.type
    (lr, lr_decay, weight_decay, initial, eps), shaping = split(hyper, 5)
    t = count(step)
    g = descent(param, grad, weight_decay, maximize, shaping)
    if t == 1:
        sum[...] = cast(initial)
    sum += g * g
    with np.errstate(divide="ignore", invalid="ignore"):
        param -= cast(lr / (1 + (t - 1) * lr_decay)) * g / (np.sqrt(sum) + cast(eps))
