"""LARS on one parameter."""

import numpy as np

from .rule import count, descent, split


def lars_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize):
    """One step of LARS, in place, on the whole of one parameter: its length counts.

    g = -grad if maximize else grad
    trust = trust_coefficient * norm(param) / (norm(g) + weight_decay * norm(param) + eps)
    trust = 1 where either norm or trust_coefficient is 0
    d = trust * (g + weight_decay * param)
    b = momentum * b + d                     when momentum != 0
    d = d + momentum * b if nesterov, else b
    param = param - lr * d

    param            (N,)          [inout]  one parameter
    momentum_buffer  (N,) or (0,)  [inout]  b, zero before the first step; size 0 only when momentum is 0
    grad             (N,)                   its gradient
    step             (P,) float64  [inout]  steps made before this one; 1 is added
    hyper            (H,) float64           lr, momentum, weight_decay, trust_coefficient, eps, >= 0; 3 more: rule.py
    nesterov         bool                   look ahead along the momentum
    maximize         bool                   climb instead of descending

    eps is added to the denominator of the trust ratio; the norms are made in float64.

    Raises ValueError when step has size 0, or there is a momentum and no momentum_buffer.
    Source: You, Gitman & Ginsburg 2017; the learning rate stands outside of the momentum, as in torch.optim.SGD.
    """
    cast = param.dtype.type
    (lr, momentum, weight_decay, trust_coefficient, eps), shaping = split(hyper, 5)
    if momentum != 0 and momentum_buffer.size != param.size:
        raise ValueError("momentum needs a momentum_buffer of param's size, got size 0")
    count(step)
    g = descent(param, grad, 0, maximize, shaping)
    of_param, of_grad = (np.linalg.norm(x.astype(np.float64)) for x in (param, g))
    trust = 1.0
    if of_param != 0 and of_grad != 0 and trust_coefficient != 0:
        trust = trust_coefficient * of_param / (of_grad + weight_decay * of_param + eps)
    d = cast(trust) * descent(param, grad, weight_decay, maximize, shaping)
    if momentum != 0:
        momentum_buffer[...] = cast(momentum) * momentum_buffer + d
        d = d + cast(momentum) * momentum_buffer if nesterov else momentum_buffer
    param -= cast(lr) * d
