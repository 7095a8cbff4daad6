"""LAMB: a pass that makes the moments and the norms, and one that moves the parameter (passes.py).

The direction is worked out again in the second pass: that saves an array.
"""

from .passes import define_pass, run, sums_of
from .rule import PULL, check
from .rule import counted as counted  # for the lines below, as the next
from .rule import descent as descent
from .rule import power as power
from .rule import pulled as pulled
from .rule import sqrt as sqrt
from .rule import steps_before as steps_before
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
correction, root = 1 / (1 - power(beta1, t)), 1 / sqrt(1 - power(beta2, t))
"""
NUMBERS = ("correction", "root", "eps", "weight_decay")
# an infinite parameter is not multiplied by no decay
DIRECTION = """
r = exp_avg * correction / (sqrt(exp_avg_sq) * root + eps)
if weight_decay != 0:
    r += weight_decay * p
"""
MOMENTS = """
g = descent(p, g, factor, bound, decay, l1)
exp_avg += fresh1 * (g - exp_avg)
exp_avg_sq = beta2 * exp_avg_sq + fresh2 * g * g
"""
define_pass(
    globals(),
    "_lamb_moments",
    ("exp_avg", "exp_avg_sq"),
    ("param", "grad"),
    ("step", "hyper", "maximize", "sums"),
    MOMENTS + DIRECTION,
    begin=BEGIN + "fresh1, fresh2 = 1 - beta1, 1 - beta2\nfactor, bound, decay, l1 = pulled(hyper, 5, 0.0, maximize)",
    numbers=("fresh1", "beta2", "fresh2", *NUMBERS, *PULL),
    sums=("np.float64(p) * np.float64(p)", "np.float64(r) * np.float64(r)"),
)
MOVE = """
p -= step_size * r
"""
TRUST = """
norm, length = sqrt(of_param), sqrt(of_direction)
step_size = lr * (norm / length if norm != 0 and length != 0 else 1.0)
"""
define_pass(
    globals(),
    "_lamb_move",
    ("param",),
    ("exp_avg", "exp_avg_sq"),
    ("step", "hyper", "partial"),
    DIRECTION + MOVE,
    begin=BEGIN + TRUST,
    numbers=("step_size", *NUMBERS),
    totals={"of_param": 0, "of_direction": 1},
    end="counted(step)",
)


@kernel
def lamb_update(param, exp_avg, exp_avg_sq, grad, step, hyper, maximize, stream=0):
    """40 bytes a float32 parameter: 24 for the moments and the norms, 16 for the move."""
    check("lamb_update", hyper, 5, step)
    partial = sums_of(_lamb_moments, 2, stream, exp_avg, exp_avg_sq, param, grad, step, hyper, maximize)  # noqa: F821
    run(_lamb_move, stream, param, exp_avg, exp_avg_sq, step, hyper, partial)  # noqa: F821
