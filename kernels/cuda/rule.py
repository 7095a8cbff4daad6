"""What update rules share on a device: what is done to a gradient before a rule goes down it."""

from .target import device


@device
def descent(param, grad, i, hyper, own, maximize):
    """g of element i; behind a rule's `own` numbers there may be three of the gradient (kernels/ref/rule.py)."""
    real = param.dtype.type
    g = -grad[i] if maximize else grad[i]
    if hyper.size > own:
        g *= real(hyper[own])
        bound, l1 = real(hyper[own + 1]), real(hyper[own + 2])
        # a NaN is neither above nor below
        if g > bound:
            g = bound
        elif g < -bound:
            g = -bound
        if param[i] > 0:
            g += l1
        elif param[i] < 0:
            g -= l1
    return g
