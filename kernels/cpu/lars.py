"""LARS: a pass over parameter and gradient for their norms, then one that moves the parameter.

Norms are summed in float64 in chunks counted by shape, which are added in order.
"""

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .loss import wide
from .rule import GRAIN, count, descent, norms, pulled

SLOT = 3


@compiled
def _squares(begin, end, squares, param, grad, pull):
    for chunk in range(begin, end):
        p, g = param[chunk * GRAIN : (chunk + 1) * GRAIN], grad[chunk * GRAIN : (chunk + 1) * GRAIN]
        of_param = of_grad = 0.0
        for i in range(p.size):
            of_param += np.float64(p[i]) * np.float64(p[i])
            v = np.float64(descent(p[i], g[i], pull))
            of_grad += v * v
        squares[2 * chunk], squares[2 * chunk + 1] = of_param, of_grad


@compiled
def _move(begin, end, param, buffer, grad, lr, trust, momentum, pull, nesterov):
    param, buffer, grad = param[begin:end], buffer[begin:end], grad[begin:end]
    for i in range(param.size):
        d = trust * descent(param[i], grad[i], pull)
        if momentum != 0:
            b = momentum * buffer[i] + d
            buffer[i] = b
            d = d + momentum * b if nesterov else b
        param[i] -= lr * d


@kernel
def lars_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize):
    """28 bytes a float32 parameter, 20 without momentum: 8 for the norms, the rest for the move."""
    real = param.dtype.type
    lr, momentum, weight_decay, coefficient, eps = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    if momentum != 0 and momentum_buffer.size != param.size:
        raise ValueError("lars_update: momentum needs a momentum_buffer of param's size, got size 0")
    count(step)
    chunks = (param.size + GRAIN - 1) // GRAIN
    squares = wide(SLOT, 2 * chunks, param)
    parallel_for(_squares, chunks, 1, (squares, param, grad, pulled(hyper, 5, 0.0, maximize, real)))
    of_param, of_grad = norms(squares)
    trust = 1.0
    if of_param != 0 and of_grad != 0 and coefficient != 0:
        trust = coefficient * of_param / (of_grad + weight_decay * of_param + eps)
    numbers = (real(lr), real(trust), real(momentum), pulled(hyper, 5, weight_decay, maximize, real), nesterov)
    parallel_for(_move, param.size, GRAIN, (param, momentum_buffer, grad, *numbers))
