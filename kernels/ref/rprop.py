"""Resilient backpropagation on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def rprop_update(param, prev, step_size, grad, step, hyper, maximize):
    """One step of Rprop, in place.

    g = -grad if maximize else grad;   at the first step prev = 0, s = lr
    s = s * (eta_plus where g * prev > 0, eta_minus where g * prev < 0, else 1)
    s = min(max(s, step_size_min), step_size_max)
    g = 0 where g * prev < 0, else g
    param = param - sign(g) * s;   prev = g

    param      (N,)          [inout]  parameters
    prev       (N,)          [inout]  g of the step before; not read at the first step
    step_size  (N,)          [inout]  s; not read at the first step
    grad       (N,)                   gradients
    step       (P,) float64  [inout]  steps made before this one, 0 for all or for none; 1 is added
    hyper      (H,) float64           lr, eta_minus, eta_plus, step_size_min, step_size_max; 3 more: rule.py
    maximize   bool                   climb instead of descending

    There is no eps and no weight decay. A NaN in g * prev makes s a NaN.

    Raises ValueError when step has size 0.
    Source: Riedmiller & Braun 1993, without going back; as torch.optim.Rprop.
    """
    own, shaping = split(hyper, 5)
    lr, eta_minus, eta_plus, low, high = (param.dtype.type(number) for number in own)
    first = count(step) == 1
    g = descent(param, grad, 0, maximize, shaping)
    if first:
        prev[...] = 0
        step_size[...] = lr
    with np.errstate(invalid="ignore"):
        product = g * prev
    factor = np.where(product > 0, eta_plus, np.where(product < 0, eta_minus, np.where(product == 0, 1, product)))
    step_size[...] = np.clip(step_size * factor.astype(param.dtype), low, high)
    g = np.where(product < 0, 0, g)
    param -= np.sign(g) * step_size
    prev[...] = g
