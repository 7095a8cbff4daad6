"""Adam on few rows of a table: one pass over these rows of parameter, moments and gradient.

As in adam.py: corrections are made once a call, in float64, and an element costs one root and one division.
"""

import math

from ..jit import compiled, kernel, parallel_for
from .grouping import check_rows
from .rule import GRAIN, count
from .rule import sign as sign_of


@compiled
def _rows(begin, end, param, exp_avg, exp_avg_sq, rows, values, step_size, fresh1, fresh2, eps, sign):
    for k in range(begin, end):
        row = rows[k]
        p, first, second, grad = param[row], exp_avg[row], exp_avg_sq[row], values[k]
        for i in range(p.size):
            g = sign * grad[i]
            m = first[i] + fresh1 * (g - first[i])
            v = second[i] + fresh2 * (g * g - second[i])
            first[i] = m
            second[i] = v
            p[i] -= step_size * (m / (math.sqrt(v) + eps))


@kernel
def sparse_adam_update(param, exp_avg, exp_avg_sq, rows, values, step, hyper, maximize):
    """28 bytes a float32 element of a row that has a gradient; rows in parallel."""
    check_rows(rows, param.shape[0])
    real = param.dtype.type
    t = count(step)
    lr, beta1, beta2, eps = hyper[0], hyper[1], hyper[2], hyper[3]
    step_size = real(lr * math.sqrt(1 - beta2**t) / (1 - beta1**t))
    factors = (step_size, real(1 - beta1), real(1 - beta2), real(eps), sign_of(maximize, real))
    grain = max(1, GRAIN // max(1, param.shape[1]))
    parallel_for(_rows, rows.size, grain, (param, exp_avg, exp_avg_sq, rows, values, *factors))
