"""Adam and AdamW: a thread makes the numbers of the step, then one pass over parameter, moments and gradient.

The step counter and `hyper` are read on the device, so that a captured step goes on counting and sees a new learning
rate. Not yet run on hardware.
"""

import numpy as np

from .functions import sqrt
from .rule import descent
from .target import cuda, empty, jit, kernel, launch, spread


@jit
def _begin(numbers, step, hyper):
    """numbers = lr / (1 - beta1**t), sqrt(1 - beta2**t); and the step is counted."""
    t = step[0] + 1
    for i in range(step.size):
        step[i] = t
    numbers[0] = hyper[0] / (1 - hyper[1] ** t)
    numbers[1] = sqrt(1 - hyper[2] ** t)


@jit
def _pass(param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, numbers, hyper, decoupled, maximize):
    real = param.dtype.type
    step_size, root_correction = real(numbers[0]), real(numbers[1])
    beta2, eps, weight_decay = real(hyper[2]), real(hyper[3]), real(hyper[4])
    rest1, rest2, shrink = real(1 - hyper[1]), real(1 - hyper[2]), real(1 - hyper[0] * hyper[4])
    for i in range(cuda.grid(1), param.size, cuda.gridsize(1)):
        g = descent(param, grad, i, hyper, 5, maximize)
        p = param[i]
        if weight_decay != 0:
            if decoupled:
                p *= shrink
            else:
                g += weight_decay * p
        m = exp_avg[i] + rest1 * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + rest2 * g * g
        exp_avg[i], exp_avg_sq[i] = m, v
        if max_exp_avg_sq.size > 0:
            v = max(max_exp_avg_sq[i], v)
            max_exp_avg_sq[i] = v
        param[i] = p - step_size * m / (sqrt(v) / root_correction + eps)


@kernel
def adam_update(param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, step, hyper, decoupled, maximize, stream=0):
    """Two launches, the first of one thread."""
    if step.size == 0:
        raise ValueError("adam_update: step needs size 1 or more, got size 0")
    numbers = empty((2,), np.float64)
    launch(_begin, 1, 1, stream, numbers, step, hyper)
    args = (param, exp_avg, exp_avg_sq, max_exp_avg_sq, grad, numbers, hyper, decoupled, maximize)
    spread(_pass, param.size, stream, *args)
