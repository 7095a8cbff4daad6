"""Averaged SGD: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
lr, lambd = hyper[0], hyper[1]
rate = lr if t == 1 else eta[0]
keep, share = 1 - lambd * rate, mu[0]
factor, bound, decay, l1 = pulled(hyper, 5, hyper[4], maximize)
"""
ELEMENT = """
p = keep * p - rate * descent(p, g, factor, bound, decay, l1)
ax = p if share == real(1) else ax + share * (p - ax)
"""
AFTER = """
for k in range(step.size):
    eta[k] = lr / (1 + lambd * lr * t) ** hyper[2]
    mu[k] = 1 / max(1.0, t - hyper[3])
"""
NUMBERS = ("rate", "keep", "share", *PULL)
define(globals(), "_asgd", ("ax",), BEGIN, NUMBERS, ELEMENT, ("maximize",), ("eta", "mu"), AFTER)


@kernel
def asgd_update(param, ax, grad, step, eta, mu, hyper, maximize, stream=0):
    """20 bytes a float32 parameter."""
    check("asgd_update", hyper, 5, step)
    run(_asgd, stream, param, ax, grad, step, eta, mu, hyper, maximize)  # noqa: F821
