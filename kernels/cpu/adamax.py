"""Adamax: one pass over parameter, average, maximum and gradient, every array read once and written once."""

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _adamax(begin, end, param, exp_avg, exp_inf, grad, step_size, fresh1, beta2, eps, pull):
    param, exp_avg, exp_inf, grad = param[begin:end], exp_avg[begin:end], exp_inf[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        m = exp_avg[i] + fresh1 * (g - exp_avg[i])
        exp_avg[i] = m
        u, old = abs(g) + eps, beta2 * exp_inf[i]
        # a NaN in either takes over, as in torch.maximum
        if old > u or old != old:
            u = old
        exp_inf[i] = u
        param[i] -= step_size * m / u


@kernel
def adamax_update(param, exp_avg, exp_inf, grad, step, hyper, maximize):
    """28 bytes a float32 parameter."""
    real = param.dtype.type
    lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    step_size = real(lr / (1 - beta1 ** count(step)))
    pull = pulled(hyper, 5, weight_decay, maximize, real)
    numbers = (step_size, real(1 - beta1), real(beta2), real(eps), pull)
    parallel_for(_adamax, param.size, GRAIN, (param, exp_avg, exp_inf, grad, *numbers))
