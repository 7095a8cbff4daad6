"""Adam and AdamW: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
step_size, root = lr / (1 - power(beta1, t)), 1 / sqrt(1 - power(beta2, t))
fresh1, fresh2 = 1 - beta1, 1 - beta2
keep = 1 - lr * weight_decay if decoupled else 1.0
factor, bound, decay, l1 = pulled(hyper, 5, 0.0 if decoupled else weight_decay, maximize)
"""
NUMBERS = ("step_size", "root", "fresh1", "beta2", "fresh2", "eps", "keep", *PULL)
MOMENTS = """
p *= keep
g = descent(p, g, factor, bound, decay, l1)
exp_avg += fresh1 * (g - exp_avg)
exp_avg_sq = beta2 * exp_avg_sq + fresh2 * g * g
"""
MOVE = "p -= step_size * exp_avg / (sqrt({second}) * root + eps)"
# a NaN takes over, as in torch.maximum
TOP = """
if exp_avg_sq > top or exp_avg_sq != exp_avg_sq:
    top = exp_avg_sq
"""
FLAGS = ("decoupled", "maximize")
STATES = ("exp_avg", "exp_avg_sq")
define(globals(), "_adam", STATES, BEGIN, NUMBERS, MOMENTS + MOVE.format(second="exp_avg_sq"), FLAGS)
define(globals(), "_amsgrad", (*STATES, "top"), BEGIN, NUMBERS, MOMENTS + TOP + MOVE.format(second="top"), FLAGS)


@kernel
def adam_update(param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, step, hyper, decoupled, maximize, stream=0):
    """28 bytes a float32 parameter, 36 with amsgrad."""
    check("adam_update", hyper, 5, step)
    rest = grad, step, hyper, decoupled, maximize
    if max_exp_avg_sq.size:
        run(_amsgrad, stream, param, exp_avg, exp_avg_sq, max_exp_avg_sq, *rest)  # noqa: F821
    else:
        run(_adam, stream, param, exp_avg, exp_avg_sq, *rest)  # noqa: F821
