"""Stochastic gradient descent on a flat run of parameters, and on a table of which few rows have gradients."""

import numpy as np

from .rows import check_rows
from .rule import descent, split


def sgd_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize):
    """One step of SGD, in place.

    g = (-grad if maximize else grad) + weight_decay * param
    b = g at the first step, else momentum * b + (1 - dampening) * g        when momentum != 0
    d = g + momentum * b if nesterov, else b, else g when momentum == 0
    param = param - lr * d

    param            (N,)          [inout]  parameters
    momentum_buffer  (N,) or (0,)  [inout]  b; not read at the first step; size 0 only when momentum is 0
    grad             (N,)                   gradients
    step             (P,) float64  [inout]  momentum steps made before this one, the same for the whole run; 1 is added
    hyper            (H,) float64           lr, momentum, dampening, weight_decay; 3 more: rule.py
    nesterov         bool                   look ahead along the momentum
    maximize         bool                   climb instead of descending

    step counts only while momentum is not 0: it tells whether b has begun. A run of several parameters has an entry for
    each, all equal (P is 1 for one).

    Raises ValueError when momentum is not 0 and there is no momentum_buffer or no step.
    Source: as torch.optim.SGD.
    """
    cast = param.dtype.type
    (lr, momentum, dampening, weight_decay), shaping = split(hyper, 4)
    lr, momentum, kept = cast(lr), cast(momentum), cast(1 - dampening)
    gradient = descent(param, grad, weight_decay, maximize, shaping)
    if momentum != 0:
        if momentum_buffer.size != param.size:
            raise ValueError("momentum needs a momentum_buffer of param's size, got size 0")
        if step.size == 0:
            raise ValueError("momentum needs step of size 1 or more, got size 0")
        if step[0] == 0:
            momentum_buffer[...] = gradient
        else:
            momentum_buffer[...] = momentum * momentum_buffer + kept * gradient
        step += 1
        gradient = gradient + momentum * momentum_buffer if nesterov else momentum_buffer
    param -= lr * gradient


def sgd_rows_update(param, momentum_buffer, rows, values, step, hyper, nesterov, maximize):
    """One step of SGD on a table whose gradient is 0 but for some rows, in place. Formulas as sgd_update.

    param            (V, D)           [inout]  parameters
    momentum_buffer  (V, D) or (0,)   [inout]  b; not read at the first step; size 0 only when momentum is 0
    rows             (K,) int64                those that have gradients: 0 .. V-1, ascending
    values           (K, D)                    their gradients
    step             (P,) float64     [inout]  momentum steps made before this one; 1 is added
    hyper            (4,) float64              lr, momentum, dampening, weight_decay, which must be 0
    nesterov         bool                      look ahead along the momentum
    maximize         bool                      climb instead of descending

    Without momentum the other rows stay as they are, with momentum they go on moving.

    Raises ValueError for a weight_decay, for rows that do not ascend, and as sgd_update; IndexError for a row out of
    range. Source: as torch.optim.SGD on a sparse gradient.
    """
    check_rows(rows, param.shape[0])
    if hyper[3] != 0:
        raise ValueError("weight_decay is not compatible with sparse gradients")
    if hyper[1] == 0:
        lr = param.dtype.type(hyper[0])
        param[rows] -= lr * (-values if maximize else values)
        return
    grad = np.zeros_like(param)
    grad[rows] = values
    sgd_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize)
