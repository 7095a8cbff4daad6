"""Lion: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
lr, beta1, fresh1, fresh2, keep = hyper[0], hyper[1], 1 - hyper[1], 1 - hyper[2], 1 - hyper[0] * hyper[3]
factor, bound, decay, l1 = pulled(hyper, 4, 0.0, maximize)
"""
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
p = p * keep - signed(beta1 * exp_avg + fresh1 * g, lr)
exp_avg += fresh2 * (g - exp_avg)
"""
NUMBERS = ("lr", "beta1", "fresh1", "fresh2", "keep", *PULL)
define(globals(), "_lion", ("exp_avg",), BEGIN, NUMBERS, ELEMENT, ("maximize",))


@kernel
def lion_update(param, exp_avg, grad, step, hyper, maximize, stream=0):
    """20 bytes a float32 parameter."""
    check("lion_update", hyper, 4, step)
    run(_lion, stream, param, exp_avg, grad, step, hyper, maximize)  # noqa: F821
