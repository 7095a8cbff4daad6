"""Adadelta on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def adadelta_update(param, square_avg, acc_delta, grad, step, hyper, maximize):
    """One step of Adadelta, in place.

    g = (-grad if maximize else grad) + weight_decay * param
    v = rho * v + (1 - rho) * g * g
    d = sqrt(a + eps) / sqrt(v + eps) * g
    a = rho * a + (1 - rho) * d * d
    param = param - lr * d

    param       (N,)          [inout]  parameters
    square_avg  (N,)          [inout]  v, zero before the first step
    acc_delta   (N,)          [inout]  a, zero before the first step
    grad        (N,)                   gradients
    step        (P,) float64  [inout]  steps made before this one; 1 is added
    hyper       (H,) float64           lr, rho, eps, weight_decay; 3 more: rule.py
    maximize    bool                   climb instead of descending

    eps is added under both roots.

    Raises ValueError when step has size 0.
    Source: Zeiler 2012; as torch.optim.Adadelta.
    """
    cast = param.dtype.type
    (lr, rho, eps, weight_decay), shaping = split(hyper, 4)
    count(step)
    g = descent(param, grad, weight_decay, maximize, shaping)
    square_avg[...] = cast(rho) * square_avg + cast(1 - rho) * g * g
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.sqrt(acc_delta + cast(eps)) / np.sqrt(square_avg + cast(eps)) * g
    acc_delta[...] = cast(rho) * acc_delta + cast(1 - rho) * d * d
    param -= cast(lr) * d
