"""Schedule-free AdamW: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
first, fresh2 = 1.0 if t == 1 else 0.0, 1 - beta2
rate = lr * sqrt(1 - power(beta2, t))
if t < hyper[5]:
    rate *= t / hyper[5]
largest = max(lr_max[0], rate)
weight = t ** hyper[6] * largest ** hyper[7]
total = weight_sum[0] + weight
share = weight / total if total != 0 else 0.0
along = rate * (1 - beta1 * (1 - share))
factor, bound, decay, l1 = pulled(hyper, 8, 0.0, maximize)
"""
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
exp_avg_sq = beta2 * exp_avg_sq + fresh2 * g * g
d = g / (sqrt(exp_avg_sq) + eps)
if weight_decay != 0:
    d += weight_decay * p
before = p if first != 0 else z
p = p + share * (before - p) - along * d
z = before - rate * d
"""
AFTER = """
for k in range(step.size):
    lr_max[k], weight_sum[k] = largest, total
"""
NUMBERS = ("first", "beta2", "fresh2", "eps", "weight_decay", "share", "along", "rate", *PULL)
COUNTERS = ("weight_sum", "lr_max")
define(globals(), "_schedule_free", ("z", "exp_avg_sq"), BEGIN, NUMBERS, ELEMENT, ("maximize",), COUNTERS, AFTER)


@kernel
def schedule_free_adamw_update(param, z, exp_avg_sq, grad, step, weight_sum, lr_max, hyper, maximize, stream=0):
    """28 bytes a float32 parameter."""
    check("schedule_free_adamw_update", hyper, 8, step, weight_sum, lr_max)
    arrays = param, z, exp_avg_sq, grad, step, weight_sum, lr_max, hyper
    run(_schedule_free, stream, *arrays, maximize)  # noqa: F821
