"""LAMB on one parameter."""

import numpy as np

from .rule import count, descent, split


def lamb_update(param, exp_avg, exp_avg_sq, grad, step, hyper, maximize):
    """One step of LAMB, in place, on the whole of one parameter: its length counts.

    t = step + 1;   g = -grad if maximize else grad
    m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g * g
    r = m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps) + weight_decay * param
    trust = norm(param) / norm(r), 1 where either norm is 0
    param = param - lr * trust * r

    param       (N,)          [inout]  one parameter
    exp_avg     (N,)          [inout]  m, zero before the first step
    exp_avg_sq  (N,)          [inout]  v, zero before the first step
    grad        (N,)                   its gradient
    step        (P,) float64  [inout]  steps made before this one, all the same; 1 is added
    hyper       (H,) float64           lr, beta1, beta2, eps, weight_decay; 3 more: rule.py
    maximize    bool                   climb instead of descending

    eps is added after the bias correction of the root; the corrections and the norms are made in float64.

    Raises ValueError when step has size 0.
    Source: You et al. 2020, with phi(x) = x.
    """
    cast = param.dtype.type
    (lr, beta1, beta2, eps, weight_decay), shaping = split(hyper, 5)
    t = count(step)
    g = descent(param, grad, 0, maximize, shaping)
    exp_avg += cast(1 - beta1) * (g - exp_avg)
    exp_avg_sq[...] = cast(beta2) * exp_avg_sq + cast(1 - beta2) * g * g
    with np.errstate(divide="ignore", invalid="ignore"):
        r = exp_avg / cast(1 - beta1**t) / (np.sqrt(exp_avg_sq / cast(1 - beta2**t)) + cast(eps))
    if weight_decay != 0:
        r = r + cast(weight_decay) * param
    lengths = [np.linalg.norm(x.astype(np.float64)) for x in (param, r)]
    trust = lengths[0] / lengths[1] if lengths[0] != 0 and lengths[1] != 0 else 1
    param -= cast(lr * trust) * r
