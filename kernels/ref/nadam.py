"""NAdam on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def nadam_update(param, exp_avg, exp_avg_sq, grad, step, mu_product, hyper, decoupled, maximize):
    """One step of NAdam, in place.

    t = step + 1;   g = -grad if maximize else grad
    decoupled:      param = param - lr * weight_decay * param
    otherwise:      g = g + weight_decay * param
    mu[t] = beta1 * (1 - 0.96**(t * momentum_decay) / 2);   M[t] = mu[1] * ... * mu[t]
    m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g * g
    d = (1 - mu[t]) / (1 - M[t]) * g + mu[t+1] / (1 - M[t+1]) * m
    param = param - lr * d / (sqrt(v / (1 - beta2**t)) + eps)

    param       (N,)          [inout]  parameters
    exp_avg     (N,)          [inout]  m, zero before the first step
    exp_avg_sq  (N,)          [inout]  v, zero before the first step
    grad        (N,)                   gradients
    step        (P,) float64  [inout]  steps made before this one, the same for the whole run; 1 is added
    mu_product  (P,) float64  [inout]  M[t-1], 1 before the first step, the same for the whole run
    hyper       (H,) float64           lr, beta1, beta2, eps, weight_decay, momentum_decay; 3 more: rule.py
    decoupled   bool                   weight decay outside the moments
    maximize    bool                   climb instead of descending

    eps is added after the bias correction of the root, and the corrections are made in float64.

    Raises ValueError when step has size 0.
    Source: Dozat 2016; as torch.optim.NAdam.
    """
    cast = param.dtype.type
    (lr, beta1, beta2, eps, weight_decay, momentum_decay), shaping = split(hyper, 6)
    t = count(step)
    mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in (t, t + 1))
    mu_product *= mu
    by_gradient = lr * (1 - mu) / (1 - mu_product[0])
    by_average = lr * mu_next / (1 - mu_product[0] * mu_next)
    g = descent(param, grad, 0 if decoupled else weight_decay, maximize, shaping)
    if decoupled and weight_decay != 0:
        param *= cast(1 - lr * weight_decay)
    exp_avg += cast(1 - beta1) * (g - exp_avg)
    exp_avg_sq[...] = cast(beta2) * exp_avg_sq + cast(1 - beta2) * g * g
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(exp_avg_sq / cast(1 - beta2**t)) + cast(eps)
        param -= (cast(by_gradient) * g + cast(by_average) * exp_avg) / root
