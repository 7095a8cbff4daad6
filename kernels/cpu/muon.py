"""Muon: a pass that makes the momentum and its norm, matrix products in this thread's workspace, a pass that moves.

An iteration is three products on the GEMM core. Its polynomial takes a's identity along,

    s = x x^T;   q = a I + b s + c s s;   x = q x

so that no product has to be added to anything. A tall matrix is multiplied from the other side, x = x q with s = x^T x,
where it lies: nothing is transposed.
"""

import math

import numpy as np

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import total, wide
from .pack import matrix
from .product import product
from .rule import GRAIN, count

SUMS, FIRST, SECOND, GRAM, POLYNOMIAL = 3, 4, 5, 6, 7


@compiled
def _momentum(begin, end, sums, x, buffer, grad, momentum, fresh, nesterov):
    for chunk in range(begin, end):
        first, last = chunk * GRAIN, min(x.size, (chunk + 1) * GRAIN)
        y, b, g = x[first:last], buffer[first:last], grad[first:last]
        s = 0.0
        for i in range(y.size):
            average = b[i] + fresh * (g[i] - b[i])
            b[i] = average
            v = g[i] + momentum * (average - g[i]) if nesterov else average
            y[i] = v
            s += np.float64(v) * np.float64(v)
        sums[chunk] = s


@compiled
def _scale(begin, end, x, factor):
    x = x[begin:end]
    for i in range(x.size):
        x[i] *= factor


@compiled
def _polynomial(begin, end, q, s, k, a, b, c):
    for row in range(begin, end):
        y, x = q[row * k : (row + 1) * k], s[row * k : (row + 1) * k]
        for i in range(k):
            y[i] = b * x[i] + c * y[i]
        y[row] += a


@compiled
def _move(begin, end, param, x, keep, length):
    param, x = param[begin:end], x[begin:end]
    for i in range(param.size):
        param[i] = keep * param[i] - length * x[i]


@kernel
def muon_update(param, momentum_buffer, grad, step, hyper, ratio, ns_steps, nesterov):
    """Per iteration two products of the shorter side k with the longer one and one of k with itself."""
    real = param.dtype.type
    lr, weight_decay, momentum, eps = hyper[0], hyper[1], hyper[2], hyper[6]
    a, b, c = real(hyper[3]), real(hyper[4]), real(hyper[5])
    count(step)
    rows, columns, size = param.shape[0], param.shape[1], param.size
    if size == 0:
        return
    flat, buffer = param.reshape(-1), momentum_buffer.reshape(-1)
    x, y = scratch(FIRST, size, param), scratch(SECOND, size, param)
    sums = wide(SUMS, (size + GRAIN - 1) // GRAIN, param)
    numbers = (real(momentum), real(1 - momentum), nesterov)
    parallel_for(_momentum, sums.size, 1, (sums, x, buffer, grad.reshape(-1), *numbers))
    norm = math.sqrt(total(sums))
    parallel_for(_scale, size, GRAIN, (x, real(1 / (eps if norm < eps else norm))))
    k = min(rows, columns)
    s, q = scratch(GRAM, k * k, param), scratch(POLYNOMIAL, k * k, param)
    for _ in range(ns_steps):
        # the left operand runs along the depth line by line where the matrix is wide, the right one where it is tall
        wide_one = rows <= columns
        product(k, k, max(rows, columns), matrix(x, columns, k, wide_one), matrix(x, columns, k, wide_one), s, k, False)
        product(k, k, k, matrix(s, k, k, True), matrix(s, k, k, False), q, k, False)
        parallel_for(_polynomial, k, max(1, GRAIN // k), (q, s, k, a, b, c))
        if wide_one:
            product(rows, columns, k, matrix(q, k, rows, True), matrix(x, columns, columns, False), y, columns, False)
        else:
            product(rows, columns, k, matrix(x, columns, rows, True), matrix(q, k, columns, False), y, columns, False)
        x, y = y, x
    parallel_for(_move, size, GRAIN, (flat, x, real(1 - lr * weight_decay), real(lr * ratio)))
