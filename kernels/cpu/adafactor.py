"""Adafactor: a pass for the moments, one for the length of the step, one that moves the parameter.

The estimate of a variance is worked out again in each pass from a number of its row and one of its column: no array as
large as the parameter is kept or written. Matrices are cut into parts of whole rows, counted by shape; a part sums its
columns for itself, and parts are added in order. Sums are in float64.
"""

import math

import numpy as np

from ..jit import compiled, inlined, kernel, parallel_for
from .loss import wide
from .rule import GRAIN, count, sign

SUMS, COLUMNS, MEANS = 3, 4, 5
# parts of a matrix at most: each has a row of sums
PARTS = 64


@compiled
def _length(squares, n, least):
    """The rms of n numbers from sums of their squares, but at least `least`; a NaN is not larger."""
    s = 0.0
    for i in range(squares.size):
        s += squares[i]
    rms = math.sqrt(s / n)
    return rms if rms > least else least


@inlined
def _largest(v, floor):
    """A NaN in v stays."""
    return floor if v < floor else v


# ---- vectors


@compiled
def _vector_moments(begin, end, of_param, of_update, param, variance, grad, fresh, floor):
    for chunk in range(begin, end):
        first, last = chunk * GRAIN, min(param.size, (chunk + 1) * GRAIN)
        p, v, g = param[first:last], variance[first:last], grad[first:last]
        a = b = 0.0
        for i in range(p.size):
            v[i] += fresh * (g[i] * g[i] - v[i])
            u = np.float64(g[i] * g[i] / _largest(v[i], floor))
            a += np.float64(p[i]) * np.float64(p[i])
            b += u
        of_param[chunk], of_update[chunk] = a, b


@compiled
def _vector_move(begin, end, param, variance, grad, keep, length, floor):
    param, variance, grad = param[begin:end], variance[begin:end], grad[begin:end]
    for i in range(param.size):
        param[i] = keep * param[i] - length * grad[i] / math.sqrt(_largest(variance[i], floor))


@kernel
def vector_update(param, variance, grad, step, hyper, eps1, eps2, maximize):
    """32 bytes a float32 parameter: 16 for the moment and the lengths, 16 for the move."""
    real = param.dtype.type
    lr, t, n = hyper[0], count(step), param.size
    chunks = (n + GRAIN - 1) // GRAIN
    sums = wide(SUMS, 2 * chunks, param)
    of_param, of_update = sums[:chunks], sums[chunks:]
    floor = real(eps1 * eps1)
    arrays = (param, variance, grad)
    parallel_for(_vector_moments, chunks, 1, (of_param, of_update, *arrays, real(t ** hyper[1]), floor))
    if n > 0:
        alpha = _length(of_param, n, eps2) * min(lr, 1 / math.sqrt(t))
        length = real(alpha / _length(of_update, n * hyper[2] * hyper[2], 1.0)) * sign(maximize, real)
        parallel_for(_vector_move, n, GRAIN, (*arrays, real(1 - lr * hyper[3]), length, floor))


# ---- matrices


@compiled
def _matrix_moments(begin, end, of_param, sums, param, row_var, grad, parts, height, fresh):
    rows, columns = param.shape[1], param.shape[2]
    for unit in range(begin, end):
        b, part = unit // parts, unit % parts
        total, s = sums[unit * columns : (unit + 1) * columns], 0.0
        total[:] = 0.0
        for i in range(part * height, min(rows, (part + 1) * height)):
            p, g = param[b, i], grad[b, i]
            of_row = 0.0
            for j in range(total.size):
                square = np.float64(g[j]) * np.float64(g[j])
                of_row += square
                total[j] += square
                s += np.float64(p[j]) * np.float64(p[j])
            row_var[b, i] += fresh * (param.dtype.type(of_row / columns) - row_var[b, i])
        of_param[unit] = s


@compiled
def _matrix_means(begin, end, means, sums, row_var, col_var, parts, fresh, eps1):
    rows, columns = row_var.shape[1], col_var.shape[1]
    for b in range(begin, end):
        first = sums[b * parts * columns : (b * parts + 1) * columns]
        for part in range(1, parts):
            other = sums[(b * parts + part) * columns : (b * parts + part + 1) * columns]
            for j in range(first.size):
                first[j] += other[j]
        for j in range(columns):
            col_var[b, j] += fresh * (col_var.dtype.type(first[j] / rows) - col_var[b, j])
        mean = 0.0
        for i in range(rows):
            mean += np.float64(row_var[b, i])
        means[b] = _largest(mean / rows, eps1)


@compiled
def _matrix_length(begin, end, of_update, means, row_var, col_var, grad, parts, height, floor):
    rows = row_var.shape[1]
    for unit in range(begin, end):
        b, part = unit // parts, unit % parts
        along, s = col_var[b], 0.0
        for i in range(part * height, min(rows, (part + 1) * height)):
            g, of_row = grad[b, i], grad.dtype.type(row_var[b, i] / means[b])
            for j in range(along.size):
                s += np.float64(g[j] * g[j] / _largest(of_row * along[j], floor))
        of_update[unit] = s


@compiled
def _matrix_move(begin, end, param, means, row_var, col_var, grad, parts, height, keep, length, floor):
    rows = row_var.shape[1]
    for unit in range(begin, end):
        b, part = unit // parts, unit % parts
        along = col_var[b]
        for i in range(part * height, min(rows, (part + 1) * height)):
            p, g, of_row = param[b, i], grad[b, i], grad.dtype.type(row_var[b, i] / means[b])
            for j in range(along.size):
                p[j] = keep * p[j] - length * g[j] / math.sqrt(_largest(of_row * along[j], floor))


@kernel
def matrix_update(param, row_var, col_var, grad, step, hyper, eps1, eps2, maximize):
    """24 bytes a float32 parameter: 8 for the moments, 4 for the length of the update, 12 for the move."""
    real = param.dtype.type
    lr, t, n = hyper[0], count(step), param.size
    if n == 0:
        return
    batch, rows, columns = param.shape
    height = max(1, GRAIN // columns, (rows + PARTS - 1) // PARTS)
    parts = (rows + height - 1) // height
    units = batch * parts
    # small matrices: several to a chunk
    grain = max(1, GRAIN // (min(rows, height) * columns))
    of_all, sums, means = wide(SUMS, units, param), wide(COLUMNS, units * columns, param), wide(MEANS, batch, param)
    fresh, floor = real(t ** hyper[1]), real(eps1 * eps1)
    parallel_for(_matrix_moments, units, grain, (of_all, sums, param, row_var, grad, parts, height, fresh))
    alpha = _length(of_all, n, eps2) * min(lr, 1 / math.sqrt(t))
    small = max(1, GRAIN // (parts * columns + rows))
    parallel_for(_matrix_means, batch, small, (means, sums, row_var, col_var, parts, fresh, eps1))
    factors = (means, row_var, col_var, grad, parts, height)
    parallel_for(_matrix_length, units, grain, (of_all, *factors, floor))
    length = real(alpha / _length(of_all, n * hyper[2] * hyper[2], 1.0)) * sign(maximize, real)
    parallel_for(_matrix_move, units, grain, (param, *factors, real(1 - lr * hyper[3]), length, floor))
