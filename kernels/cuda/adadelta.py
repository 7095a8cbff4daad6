"""Adadelta: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
lr, rho, fresh, eps = hyper[0], hyper[1], 1 - hyper[1], hyper[2]
factor, bound, decay, l1 = pulled(hyper, 4, hyper[3], maximize)
"""
# two roots: the quotient of the sums may be out of range where its parts are not
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
square_avg = rho * square_avg + fresh * g * g
d = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g
acc_delta = rho * acc_delta + fresh * d * d
p -= lr * d
"""
NUMBERS = ("lr", "rho", "fresh", "eps", *PULL)
define(globals(), "_adadelta", ("square_avg", "acc_delta"), BEGIN, NUMBERS, ELEMENT, ("maximize",))


@kernel
def adadelta_update(param, square_avg, acc_delta, grad, step, hyper, maximize, stream=0):
    """28 bytes a float32 parameter."""
    check("adadelta_update", hyper, 4, step)
    run(_adadelta, stream, param, square_avg, acc_delta, grad, step, hyper, maximize)  # noqa: F821
