"""Rprop: one pass over parameter, former gradient, step size and gradient, every array read once and written once."""

from ..jit import compiled, kernel, parallel_for
from .rule import GRAIN, count, descent, pulled, signed


@compiled
def _rprop(begin, end, param, prev, step_size, grad, first, lr, eta_minus, eta_plus, low, high, pull):
    param, prev, step_size, grad = param[begin:end], prev[begin:end], step_size[begin:end], grad[begin:end]
    zero = param.dtype.type(0)
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        product = g * (zero if first else prev[i])
        s = lr if first else step_size[i]
        if product > 0:
            s *= eta_plus
        elif product < 0:
            s *= eta_minus
            g = zero
        elif product != product:
            s = product
        # a NaN is neither below nor above
        s = low if s < low else s
        s = high if s > high else s
        step_size[i] = s
        prev[i] = g
        param[i] -= signed(g, s)


@kernel
def rprop_update(param, prev, step_size, grad, step, hyper, maximize):
    """28 bytes a float32 parameter."""
    real = param.dtype.type
    first = count(step) == 1
    pull = pulled(hyper, 5, 0.0, maximize, real)
    numbers = (real(hyper[0]), real(hyper[1]), real(hyper[2]), real(hyper[3]), real(hyper[4]), pull)
    parallel_for(_rprop, param.size, GRAIN, (param, prev, step_size, grad, first, *numbers))
