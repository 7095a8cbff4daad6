"""Rprop: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
first = 1.0 if steps_before(step) == 0 else 0.0
lr, eta_minus, eta_plus, low, high = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
factor, bound, decay, l1 = pulled(hyper, 5, 0.0, maximize)
"""
# a NaN is neither below nor above
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
product = g * (real(0) if first != 0 else prev)
s = lr if first != 0 else step_size
if product > 0:
    s *= eta_plus
elif product < 0:
    s *= eta_minus
    g = real(0)
elif product != product:
    s = product
s = low if s < low else s
s = high if s > high else s
step_size = s
prev = g
p -= signed(g, s)
"""
NUMBERS = ("first", "lr", "eta_minus", "eta_plus", "low", "high", *PULL)
define(globals(), "_rprop", ("prev", "step_size"), BEGIN, NUMBERS, ELEMENT, ("maximize",))


@kernel
def rprop_update(param, prev, step_size, grad, step, hyper, maximize, stream=0):
    """28 bytes a float32 parameter."""
    check("rprop_update", hyper, 5, step)
    run(_rprop, stream, param, prev, step_size, grad, step, hyper, maximize)  # noqa: F821
