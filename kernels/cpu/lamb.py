"""LAMB: a pass that makes the moments and the norms, and one that moves the parameter.

The direction is worked out again in the second pass: that costs a root and a division where memory is waited for, and
saves an array. Norms are summed in float64 in chunks counted by shape, which are added in order.
"""

import math

import numpy as np

from ..jit import compiled, inlined, kernel, parallel_for
from .loss import wide
from .rule import GRAIN, count, descent, norms, pulled

SLOT = 3


@inlined
def _direction(p, m, v, correction, root, eps, decay):
    r = m * correction / (math.sqrt(v) * root + eps)
    # an infinite parameter is not multiplied by no decay
    return r + decay * p if decay != 0 else r


@compiled
def _moments(
    begin, end, squares, param, exp_avg, exp_avg_sq, grad, fresh1, beta2, fresh2, pull, correction, root, eps, decay
):
    for chunk in range(begin, end):
        first, last = chunk * GRAIN, min(grad.size, (chunk + 1) * GRAIN)
        p, m, v, g = param[first:last], exp_avg[first:last], exp_avg_sq[first:last], grad[first:last]
        of_param = of_direction = 0.0
        for i in range(p.size):
            gradient = descent(p[i], g[i], pull)
            m[i] += fresh1 * (gradient - m[i])
            v[i] = beta2 * v[i] + fresh2 * gradient * gradient
            r = np.float64(_direction(p[i], m[i], v[i], correction, root, eps, decay))
            of_param += np.float64(p[i]) * np.float64(p[i])
            of_direction += r * r
        squares[2 * chunk], squares[2 * chunk + 1] = of_param, of_direction


@compiled
def _move(begin, end, param, exp_avg, exp_avg_sq, step_size, correction, root, eps, decay):
    param, exp_avg, exp_avg_sq = param[begin:end], exp_avg[begin:end], exp_avg_sq[begin:end]
    for i in range(param.size):
        param[i] -= step_size * _direction(param[i], exp_avg[i], exp_avg_sq[i], correction, root, eps, decay)


@kernel
def lamb_update(param, exp_avg, exp_avg_sq, grad, step, hyper, maximize):
    """40 bytes a float32 parameter: 24 for the moments and the norms, 16 for the move."""
    real = param.dtype.type
    lr, beta1, beta2, eps, weight_decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    t = count(step)
    shape = (real(1 / (1 - beta1**t)), real(1 / math.sqrt(1 - beta2**t)), real(eps), real(weight_decay))
    chunks = (param.size + GRAIN - 1) // GRAIN
    squares = wide(SLOT, 2 * chunks, param)
    factors = (real(1 - beta1), real(beta2), real(1 - beta2), pulled(hyper, 5, 0.0, maximize, real))
    parallel_for(_moments, chunks, 1, (squares, param, exp_avg, exp_avg_sq, grad, *factors, *shape))
    of_param, of_direction = norms(squares)
    trust = of_param / of_direction if of_param != 0 and of_direction != 0 else 1.0
    parallel_for(_move, param.size, GRAIN, (param, exp_avg, exp_avg_sq, real(lr * trust), *shape))
