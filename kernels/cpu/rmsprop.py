"""RMSprop: one pass over parameter, averages and gradient, every array read once and written once.

What the options leave out has size 0 and is not touched: LLVM settles them outside of the loop.
"""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _rmsprop(begin, end, param, square_avg, grad_avg, buffer, grad, lr, alpha, fresh, eps, momentum, pull, centered):
    param, square_avg, grad = param[begin:end], square_avg[begin:end], grad[begin:end]
    grad_avg, buffer = grad_avg[begin:end], buffer[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        u = alpha * square_avg[i] + fresh * g * g
        square_avg[i] = u
        if centered:
            a = grad_avg[i] + fresh * (g - grad_avg[i])
            grad_avg[i] = a
            u -= a * a
        d = g / (math.sqrt(u) + eps)
        if momentum > 0:
            d += momentum * buffer[i]
            buffer[i] = d
        param[i] -= lr * d


@kernel
def rmsprop_update(param, square_avg, grad_avg, momentum_buffer, grad, step, hyper, maximize):
    """20 bytes a float32 parameter, 8 more with momentum, 8 more when centered."""
    real = param.dtype.type
    lr, alpha, eps, momentum = real(hyper[0]), real(hyper[1]), real(hyper[2]), real(hyper[4])
    if momentum > 0 and momentum_buffer.size != param.size:
        raise ValueError("rmsprop_update: momentum needs a momentum_buffer of param's size, got size 0")
    count(step)
    pull = pulled(hyper, 5, hyper[3], maximize, real)
    numbers = (lr, alpha, real(1 - hyper[1]), eps, momentum, pull, grad_avg.size > 0)
    parallel_for(_rmsprop, param.size, GRAIN, (param, square_avg, grad_avg, momentum_buffer, grad, *numbers))
