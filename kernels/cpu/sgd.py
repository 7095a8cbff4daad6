"""Stochastic gradient descent: one pass over parameter, momentum and gradient.

Every array is read once and written once, in vectors, in fixed chunks that threads share. The options are settled
outside the loops: those that stay inside them cost no memory traffic.
"""

from ..jit import compiled, kernel, parallel_for
from .grouping import check_rows, first_from
from .rule import GRAIN, descent, pulled


@compiled
def _plain(begin, end, param, grad, lr, pull):
    param, grad = param[begin:end], grad[begin:end]
    for i in range(param.size):
        param[i] -= lr * descent(param[i], grad[i], pull)


@compiled
def _first(begin, end, param, momentum_buffer, grad, lr, momentum, pull, nesterov):
    param, momentum_buffer, grad = param[begin:end], momentum_buffer[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        momentum_buffer[i] = g
        if nesterov:
            g += momentum * g
        param[i] -= lr * g


@compiled
def _momentum(begin, end, param, momentum_buffer, grad, lr, momentum, kept, pull, nesterov):
    param, momentum_buffer, grad = param[begin:end], momentum_buffer[begin:end], grad[begin:end]
    for i in range(param.size):
        g = descent(param[i], grad[i], pull)
        b = momentum * momentum_buffer[i] + kept * g
        momentum_buffer[i] = b
        if nesterov:
            b = g + momentum * b
        param[i] -= lr * b


@kernel
def sgd_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize):
    """12 bytes a float32 parameter without momentum, 20 with it."""
    real = param.dtype.type
    lr, momentum = real(hyper[0]), real(hyper[1])
    pull = pulled(hyper, 4, hyper[3], maximize, real)
    n = param.size
    if momentum == 0:
        parallel_for(_plain, n, GRAIN, (param, grad, lr, pull))
        return
    if momentum_buffer.size != n:
        raise ValueError("sgd_update: momentum needs a momentum_buffer of param's size, got size 0")
    if step.size == 0:
        raise ValueError("sgd_update: momentum needs step of size 1 or more, got size 0")
    if step[0] == 0:
        parallel_for(_first, n, GRAIN, (param, momentum_buffer, grad, lr, momentum, pull, nesterov))
    else:
        kept = real(1 - hyper[2])
        parallel_for(_momentum, n, GRAIN, (param, momentum_buffer, grad, lr, momentum, kept, pull, nesterov))
    for i in range(step.size):
        step[i] += 1


@compiled
def _rows(begin, end, param, rows, values, lr):
    for k in range(begin, end):
        p, g = param[rows[k]], values[k]
        for i in range(p.size):
            p[i] -= lr * g[i]


@compiled
def _rows_momentum(begin, end, param, momentum_buffer, rows, values, lr, momentum, kept, sign, nesterov, first):
    k = first_from(rows, begin)
    for row in range(begin, end):
        p, buffer = param[row], momentum_buffer[row]
        if k < rows.size and rows[k] == row:
            grad = values[k]
            k += 1
            for i in range(p.size):
                g = sign * grad[i]
                b = g if first else momentum * buffer[i] + kept * g
                buffer[i] = b
                p[i] -= lr * (g + momentum * b if nesterov else b)
        elif first:
            buffer[:] = 0
        else:
            for i in range(p.size):
                b = momentum * buffer[i]
                buffer[i] = b
                p[i] -= lr * (momentum * b if nesterov else b)


@kernel
def sgd_rows_update(param, momentum_buffer, rows, values, step, hyper, nesterov, maximize):
    """12 bytes a float32 element of a row that has a gradient; with momentum one pass over the whole table. Rows in
    parallel."""
    check_rows(rows, param.shape[0])
    real = param.dtype.type
    lr, momentum = real(hyper[0]), real(hyper[1])
    sign = real(-1) if maximize else real(1)
    if hyper[3] != 0:
        raise ValueError("sgd_rows_update: weight_decay is not compatible with sparse gradients")
    V, D = param.shape
    grain = max(1, GRAIN // max(1, D))
    if momentum == 0:
        parallel_for(_rows, rows.size, grain, (param, rows, values, sign * lr))
        return
    if momentum_buffer.size != param.size:
        raise ValueError("sgd_rows_update: momentum needs a momentum_buffer of param's size, got size 0")
    if step.size == 0:
        raise ValueError("sgd_rows_update: momentum needs step of size 1 or more, got size 0")
    factors = (lr, momentum, real(1 - hyper[2]), sign, nesterov, step[0] == 0)
    parallel_for(_rows_momentum, V, grain, (param, momentum_buffer, rows, values, *factors))
    for i in range(step.size):
        step[i] += 1
