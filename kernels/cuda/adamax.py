"""Adamax: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
step_size, fresh1, beta2, eps = hyper[0] / (1 - power(hyper[1], t)), 1 - hyper[1], hyper[2], hyper[3]
factor, bound, decay, l1 = pulled(hyper, 5, hyper[4], maximize)
"""
# a NaN in either takes over, as in torch.maximum
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
exp_avg += fresh1 * (g - exp_avg)
u, old = abs(g) + eps, beta2 * exp_inf
exp_inf = old if old > u or old != old else u
p -= step_size * exp_avg / exp_inf
"""
NUMBERS = ("step_size", "fresh1", "beta2", "eps", *PULL)
define(globals(), "_adamax", ("exp_avg", "exp_inf"), BEGIN, NUMBERS, ELEMENT, ("maximize",))


@kernel
def adamax_update(param, exp_avg, exp_inf, grad, step, hyper, maximize, stream=0):
    """28 bytes a float32 parameter."""
    check("adamax_update", hyper, 5, step)
    run(_adamax, stream, param, exp_avg, exp_inf, grad, step, hyper, maximize)  # noqa: F821
