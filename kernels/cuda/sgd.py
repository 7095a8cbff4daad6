"""Stochastic gradient descent: one pass over parameter, momentum and gradient, then one over the counters.

The numbers of `hyper` are read on the device, so that a captured step sees them change. Not yet run on hardware.
"""

from . import status
from .rule import descent
from .target import cuda, jit, kernel, spread


@jit
def _step(param, momentum_buffer, grad, step, hyper, nesterov, maximize, problem):
    real = param.dtype.type
    lr, momentum, weight_decay = real(hyper[0]), real(hyper[1]), real(hyper[3])
    kept = real(1 - hyper[2])
    if momentum != 0 and (momentum_buffer.size != param.size or step.size == 0):
        problem[0] = status.MOMENTUM
        return
    for i in range(cuda.grid(1), param.size, cuda.gridsize(1)):
        g = descent(param, grad, i, hyper, 4, maximize)
        if weight_decay != 0:
            g += weight_decay * param[i]
        if momentum != 0:
            b = g if step[0] == 0 else momentum * momentum_buffer[i] + kept * g
            momentum_buffer[i] = b
            g = g + momentum * b if nesterov else b
        param[i] -= lr * g


@jit
def _count(step, hyper):
    if hyper[1] != 0:
        for i in range(cuda.grid(1), step.size, cuda.gridsize(1)):
            step[i] += 1


@kernel
def sgd_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize, stream=0):
    """A missing momentum_buffer or step is told by the next call that waits for the device."""
    args = (param, momentum_buffer, grad, step, hyper, nesterov, maximize)
    spread(_step, param.size, stream, *args, status.word())
    spread(_count, step.size, stream, step, hyper)
