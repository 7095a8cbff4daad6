"""Averaged SGD: one pass over parameter, average and gradient, every array read once and written once."""

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled


@compiled
def _asgd(begin, end, param, ax, grad, eta, keep, mu, pull):
    param, ax, grad = param[begin:end], ax[begin:end], grad[begin:end]
    for i in range(param.size):
        p = keep * param[i] - eta * descent(param[i], grad[i], pull)
        param[i] = p
        ax[i] = p if mu == 1 else ax[i] + mu * (p - ax[i])


@kernel
def asgd_update(param, ax, grad, step, eta, mu, hyper, maximize):
    """20 bytes a float32 parameter; 16 while the average has not begun."""
    real = param.dtype.type
    lr, lambd, alpha, t0, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    t = count(step)
    e = lr if t == 1 else eta[0]
    pull = pulled(hyper, 5, weight_decay, maximize, real)
    numbers = (real(e), real(1 - lambd * e), real(mu[0]), pull)
    parallel_for(_asgd, param.size, GRAIN, (param, ax, grad, *numbers))
    for i in range(step.size):
        eta[i] = lr / (1 + lambd * lr * t) ** alpha
        mu[i] = 1 / max(1.0, t - t0)
