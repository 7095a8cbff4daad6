"""RAdam: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
faded = power(beta2, t)
step_size, correction = lr / (1 - power(beta1, t)), 1 - faded
R = 2 / (1 - beta2) - 1
r = R - 2 * t * faded / correction
adaptive = 1.0 if r > 5 else 0.0
if r > 5:
    step_size *= sqrt(correction * (r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r))
fresh1, fresh2 = 1 - beta1, 1 - beta2
keep = 1 - lr * weight_decay if decoupled else 1.0
factor, bound, decay, l1 = pulled(hyper, 5, 0.0 if decoupled else weight_decay, maximize)
"""
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
exp_avg += fresh1 * (g - exp_avg)
exp_avg_sq = beta2 * exp_avg_sq + fresh2 * g * g
d = step_size * exp_avg
if adaptive != 0:
    d /= sqrt(exp_avg_sq) + eps
p = p * keep - d
"""
NUMBERS = ("step_size", "adaptive", "fresh1", "beta2", "fresh2", "eps", "keep", *PULL)
FLAGS = ("decoupled", "maximize")
define(globals(), "_radam", ("exp_avg", "exp_avg_sq"), BEGIN, NUMBERS, ELEMENT, FLAGS)


@kernel
def radam_update(param, exp_avg, exp_avg_sq, grad, step, hyper, decoupled, maximize, stream=0):
    """28 bytes a float32 parameter."""
    check("radam_update", hyper, 5, step)
    run(_radam, stream, param, exp_avg, exp_avg_sq, grad, step, hyper, decoupled, maximize)  # noqa: F821
