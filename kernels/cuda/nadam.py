"""NAdam: one launch, every array read once and written once (rule.py)."""

from .passes import run
from .rule import PULL, check, define
from .target import kernel

BEGIN = """
t = steps_before(step) + 1
lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
now = beta1 * (1 - 0.5 * 0.96 ** (t * hyper[5]))
following = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * hyper[5]))
product = mu_product[0] * now
by_gradient = lr * (1 - now) / (1 - product)
by_average = lr * following / (1 - product * following)
root, fresh1, fresh2 = 1 / sqrt(1 - power(beta2, t)), 1 - beta1, 1 - beta2
keep = 1 - lr * weight_decay if decoupled else 1.0
factor, bound, decay, l1 = pulled(hyper, 6, 0.0 if decoupled else weight_decay, maximize)
"""
ELEMENT = """
g = descent(p, g, factor, bound, decay, l1)
exp_avg += fresh1 * (g - exp_avg)
exp_avg_sq = beta2 * exp_avg_sq + fresh2 * g * g
p = p * keep - (by_gradient * g + by_average * exp_avg) / (sqrt(exp_avg_sq) * root + eps)
"""
AFTER = """
for k in range(mu_product.size):
    mu_product[k] = product
"""
NUMBERS = ("by_gradient", "by_average", "fresh1", "beta2", "fresh2", "root", "eps", "keep", *PULL)
FLAGS = ("decoupled", "maximize")
define(globals(), "_nadam", ("exp_avg", "exp_avg_sq"), BEGIN, NUMBERS, ELEMENT, FLAGS, ("mu_product",), AFTER)


@kernel
def nadam_update(param, exp_avg, exp_avg_sq, grad, step, mu_product, hyper, decoupled, maximize, stream=0):
    """28 bytes a float32 parameter."""
    check("nadam_update", hyper, 6, step)
    arrays = param, exp_avg, exp_avg_sq, grad, step, mu_product, hyper
    run(_nadam, stream, *arrays, decoupled, maximize)  # noqa: F821
