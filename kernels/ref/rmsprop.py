"""RMSprop on a flat run of parameters."""

import numpy as np

from .rule import count, descent, split


def rmsprop_update(param, square_avg, grad_avg, momentum_buffer, grad, step, hyper, maximize):
    """One step of RMSprop, in place.

    g = (-grad if maximize else grad) + weight_decay * param
    v = alpha * v + (1 - alpha) * g * g
    a = alpha * a + (1 - alpha) * g;   u = v - a * a            when centered, else u = v
    d = g / (sqrt(u) + eps)
    b = momentum * b + d;              param = param - lr * b   when momentum > 0, else param = param - lr * d

    param            (N,)          [inout]  parameters
    square_avg       (N,)          [inout]  v, zero before the first step
    grad_avg         (N,) or (0,)  [inout]  a, zero before the first step; size 0: not centered
    momentum_buffer  (N,) or (0,)  [inout]  b, zero before the first step; size 0: no momentum
    grad             (N,)                   gradients
    step             (P,) float64  [inout]  steps made before this one; 1 is added
    hyper            (H,) float64           lr, alpha, eps, weight_decay, momentum; 3 more: rule.py
    maximize         bool                   climb instead of descending

    eps is added to the root.

    Raises ValueError when step has size 0, or there is a momentum and no momentum_buffer.
    Source: Tieleman & Hinton 2012, Graves 2013 (centered); as torch.optim.RMSprop.
    """
    cast = param.dtype.type
    (lr, alpha, eps, weight_decay, momentum), shaping = split(hyper, 5)
    if momentum > 0 and momentum_buffer.size != param.size:
        raise ValueError("momentum needs a momentum_buffer of param's size, got size 0")
    count(step)
    g = descent(param, grad, weight_decay, maximize, shaping)
    square_avg[...] = cast(alpha) * square_avg + cast(1 - alpha) * g * g
    u = square_avg
    if grad_avg.size:
        grad_avg += cast(1 - alpha) * (g - grad_avg)
        u = square_avg - grad_avg * grad_avg
    with np.errstate(divide="ignore", invalid="ignore"):
        d = g / (np.sqrt(u) + cast(eps))
    if momentum > 0:
        momentum_buffer[...] = cast(momentum) * momentum_buffer + d
        d = momentum_buffer
    param -= cast(lr) * d
