"""Adagrad: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
first = 1.0 if t == 1 else 0.0
step_size, initial, eps = hyper[0] / (1 + (t - 1) * hyper[1]), hyper[3], hyper[4]
factor, bound, decay, l1 = pulled(hyper, 5, hyper[2], maximize)
"""
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
sum = (initial if first != 0 else sum) + g * g
p -= step_size * g / (sqrt(sum) + eps)
"""
NUMBERS = ("first", "step_size", "initial", "eps", *PULL)
define(globals(), "_adagrad", ("sum",), BEGIN, NUMBERS, ELEMENT, ("maximize",))


@kernel
def adagrad_update(param, sum, grad, step, hyper, maximize, stream=0):
    """20 bytes a float32 parameter."""
    check("adagrad_update", hyper, 5, step)
    run(_adagrad, stream, param, sum, grad, step, hyper, maximize)  # noqa: F821
