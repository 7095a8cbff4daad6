"""Adadelta: one pass over parameter, averages and gradient, every array read once and written once."""

import math

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _adadelta(begin, end, param, square_avg, acc_delta, grad, lr, rho, fresh, eps, pull):
    param, square_avg, acc_delta, grad = param[begin:end], square_avg[begin:end], acc_delta[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        v = rho * square_avg[i] + fresh * g * g
        square_avg[i] = v
        # two roots: the quotient of the sums may be out of range where its parts are not
        d = math.sqrt(acc_delta[i] + eps) / math.sqrt(v + eps) * g
        acc_delta[i] = rho * acc_delta[i] + fresh * d * d
        param[i] -= lr * d


@kernel
def adadelta_update(param, square_avg, acc_delta, grad, step, hyper, maximize):
    """28 bytes a float32 parameter."""
    real = param.dtype.type
    count(step)
    pull = pulled(hyper, 4, hyper[3], maximize, real)
    numbers = (real(hyper[0]), real(hyper[1]), real(1 - hyper[1]), real(hyper[2]), pull)
    parallel_for(_adadelta, param.size, GRAIN, (param, square_avg, acc_delta, grad, *numbers))
