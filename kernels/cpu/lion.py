"""Lion: one pass over parameter, average and gradient, every array read once and written once."""

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled, signed


@compiled
def _lion(begin, end, param, exp_avg, grad, lr, beta1, fresh1, fresh2, keep, pull):
    param, exp_avg, grad = param[begin:end], exp_avg[begin:end], grad[begin:end]
    for i in range(param.size):
        g, m = descent(param[i], grad[i], pull), exp_avg[i]
        param[i] = param[i] * keep - signed(beta1 * m + fresh1 * g, lr)
        exp_avg[i] = m + fresh2 * (g - m)


@kernel
def lion_update(param, exp_avg, grad, step, hyper, maximize):
    """20 bytes a float32 parameter."""
    real = param.dtype.type
    lr, beta1, beta2, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3]
    count(step)
    numbers = (real(lr), real(beta1), real(1 - beta1), real(1 - beta2), real(1 - lr * weight_decay))
    parallel_for(_lion, param.size, GRAIN, (param, exp_avg, grad, *numbers, pulled(hyper, 4, 0.0, maximize, real)))
