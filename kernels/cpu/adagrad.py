"""Adagrad: one pass over parameter, sum of squares and gradient, every array read once and written once."""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _adagrad(begin, end, param, sum, grad, first, initial, step_size, eps, pull):
    param, sum, grad = param[begin:end], sum[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        s = (initial if first else sum[i]) + g * g
        sum[i] = s
        param[i] -= step_size * g / (math.sqrt(s) + eps)


@kernel
def adagrad_update(param, sum, grad, step, hyper, maximize):
    """20 bytes a float32 parameter."""
    real = param.dtype.type
    t = count(step)
    step_size = real(hyper[0] / (1 + (t - 1) * hyper[1]))
    initial, eps, pull = real(hyper[3]), real(hyper[4]), pulled(hyper, 5, hyper[2], maximize, real)
    arguments = (param, sum, grad, t == 1, initial, step_size, eps, pull)
    parallel_for(_adagrad, param.size, GRAIN, arguments)
