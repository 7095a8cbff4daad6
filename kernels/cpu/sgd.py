"""Stochastic gradient descent: one pass over parameter, momentum and gradient.

Every array is read once and written once, in vectors, in fixed chunks that threads share. The options are settled
outside the loops: those that stay inside them cost no memory traffic.
"""

from ..jit import compiled, kernel, parallel_for

# a chunk is tens of microseconds of memory traffic
GRAIN = 32768


@compiled
def _plain(begin, end, param, grad, lr, weight_decay):
    param, grad = param[begin:end], grad[begin:end]
    for i in range(param.size):
        g = grad[i]
        if weight_decay != 0:
            g += weight_decay * param[i]
        param[i] -= lr * g


@compiled
def _first(begin, end, param, momentum_buffer, grad, lr, momentum, weight_decay, sign, nesterov):
    param, momentum_buffer, grad = param[begin:end], momentum_buffer[begin:end], grad[begin:end]
    for i in range(param.size):
        g = sign * grad[i]
        if weight_decay != 0:
            g += weight_decay * param[i]
        momentum_buffer[i] = g
        if nesterov:
            g += momentum * g
        param[i] -= lr * g


@compiled
def _momentum(begin, end, param, momentum_buffer, grad, lr, momentum, kept, weight_decay, sign, nesterov):
    param, momentum_buffer, grad = param[begin:end], momentum_buffer[begin:end], grad[begin:end]
    for i in range(param.size):
        g = sign * grad[i]
        if weight_decay != 0:
            g += weight_decay * param[i]
        b = momentum * momentum_buffer[i] + kept * g
        momentum_buffer[i] = b
        if nesterov:
            b = g + momentum * b
        param[i] -= lr * b


@kernel
def sgd_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize):
    """12 bytes a float32 parameter without momentum, 20 with it. Without momentum, maximize turns the signs of lr
    and weight_decay."""
    real = param.dtype.type
    lr, momentum, weight_decay = real(hyper[0]), real(hyper[1]), real(hyper[3])
    sign = real(-1) if maximize else real(1)
    n = param.size
    if momentum == 0:
        parallel_for(_plain, n, GRAIN, (param, grad, sign * lr, sign * weight_decay))
        return
    if momentum_buffer.size != n:
        raise ValueError("sgd_update: momentum needs a momentum_buffer of param's size, got size 0")
    if step.size == 0:
        raise ValueError("sgd_update: momentum needs step of size 1 or more, got size 0")
    if step[0] == 0:
        parallel_for(_first, n, GRAIN, (param, momentum_buffer, grad, lr, momentum, weight_decay, sign, nesterov))
    else:
        kept = real(1 - hyper[2])
        parallel_for(
            _momentum, n, GRAIN, (param, momentum_buffer, grad, lr, momentum, kept, weight_decay, sign, nesterov)
        )
    for i in range(step.size):
        step[i] += 1
