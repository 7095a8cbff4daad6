"""Adafactor: passes for the moments, for the length of the step, and one that moves the parameter.

The estimate of a variance is worked out again in each pass from a number of its row and one of its column: no array as
large as the parameter is kept or written. Matrices are cut into parts of whole rows, counted by shape; a block sums the
rows of a part, a warp for each, then its columns, from cache. Parts are added in order, in float64.
"""

import numpy as np

from .lanes import WARPS, block_sum, warp_sum
from .passes import MOST, define_pass, run, sums_of, total
from .planes import i32, quotient
from .rule import check, counted, sqrt, steps_before
from .target import THREADS, WARP, cuda, device, empty, jit, kernel, launch


@device
def largest(v, floor):
    """A NaN in v stays."""
    return floor if v < floor else v


@device
def longest(square, least):
    """The root of a mean of squares, but at least `least`; a NaN is not larger."""
    rms = sqrt(square)
    return rms if rms > least else least


# ---- vectors

MOMENTS = """
variance += fresh * (g * g - variance)
"""
define_pass(
    globals(),
    "_vector_moments",
    ("variance",),
    ("param", "grad"),
    ("step", "hyper", "eps1", "sums"),
    MOMENTS,
    begin="fresh, floor = (steps_before(step) + 1) ** hyper[1], eps1 * eps1",
    numbers=("fresh", "floor"),
    sums=("np.float64(p) * np.float64(p)", "np.float64(g * g / largest(variance, floor))"),
)
LENGTH = """
n = max(param.size, 1)
alpha = longest(of_param / n, eps2) * min(hyper[0], 1 / sqrt(steps_before(step) + 1))
length = alpha / longest(of_update / (n * hyper[2] * hyper[2]), 1.0)
length = -length if maximize else length
keep, floor = 1 - hyper[0] * hyper[3], eps1 * eps1
"""
define_pass(
    globals(),
    "_vector_move",
    ("param",),
    ("variance", "grad"),
    ("step", "hyper", "eps1", "eps2", "maximize", "partial"),
    "p = keep * p - length * g / sqrt(largest(variance, floor))",
    begin=LENGTH,
    numbers=("keep", "length", "floor"),
    totals={"of_param": 0, "of_update": 1},
    end="counted(step)",
)


@kernel
def vector_update(param, variance, grad, step, hyper, eps1, eps2, maximize, stream=0):
    """32 bytes a float32 parameter: 16 for the moment and the lengths, 16 for the move."""
    check("vector_update", hyper, 4, step)
    partial = sums_of(_vector_moments, 2, stream, variance, param, grad, step, hyper, eps1)  # noqa: F821
    run(_vector_move, stream, param, variance, grad, step, hyper, eps1, eps2, maximize, partial)  # noqa: F821


# ---- matrices: a unit is a part of a matrix, `height` rows of one of them


@device
def _unit(u, parts, height, rows):
    """(matrix, first row, the one past the last)"""
    b = quotient(u, parts)
    first = i32((u - b * parts) * height)
    return b, first, i32(min(rows, first + height))


@jit
def _matrix_moments(of_param, sums, param, row_var, grad, step, hyper, parts, height):
    shared = cuda.shared.array(WARPS, np.float64)
    numbers = cuda.shared.array(1, param.dtype)
    if cuda.threadIdx.x == 0:
        numbers[0] = param.dtype.type((steps_before(step) + 1) ** hyper[1])
    cuda.syncthreads()
    fresh = numbers[0]
    rows, columns = i32(param.shape[1]), i32(param.shape[2])
    warps, lane = cuda.blockDim.x // WARP, cuda.threadIdx.x % WARP
    u = i32(cuda.blockIdx.x)
    while u < of_param.shape[0]:
        b, first, end = _unit(u, parts, height, rows)
        of_all, row = np.float64(0), first
        # all threads of a block come to the shuffles
        while row < end:
            i = i32(row + cuda.threadIdx.x // WARP)
            of_row, j = np.float64(0), i32(lane)
            while j < columns and i < end:
                g, p = np.float64(grad[b, i, j]), np.float64(param[b, i, j])
                of_row += g * g
                of_all += p * p
                j = i32(j + WARP)
            of_row = warp_sum(of_row)
            if lane == 0 and i < end:
                row_var[b, i] += fresh * (param.dtype.type(of_row / columns) - row_var[b, i])
            row = i32(row + warps)
        j = i32(cuda.threadIdx.x)
        while j < columns:
            of_column, i = np.float64(0), first
            while i < end:
                g = np.float64(grad[b, i, j])
                of_column += g * g
                i = i32(i + 1)
            sums[u, j] = of_column
            j = i32(j + cuda.blockDim.x)
        of_all = block_sum(shared, of_all)
        if cuda.threadIdx.x == 0:
            of_param[u, 0] = of_all
        u = i32(u + cuda.gridDim.x)


@jit
def _matrix_means(means, sums, row_var, col_var, step, hyper, parts, eps1):
    """A block for some columns of a matrix; the first of a matrix also takes the mean of its rows."""
    shared = cuda.shared.array(WARPS, np.float64)
    numbers = cuda.shared.array(1, row_var.dtype)
    if cuda.threadIdx.x == 0:
        numbers[0] = row_var.dtype.type((steps_before(step) + 1) ** hyper[1])
    cuda.syncthreads()
    fresh, real = numbers[0], row_var.dtype.type
    rows, b = row_var.shape[1], cuda.blockIdx.x
    j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if j < col_var.shape[1]:
        s = np.float64(0)
        for part in range(parts):
            s += sums[b * parts + part, j]
        col_var[b, j] += fresh * (real(s / rows) - col_var[b, j])
    if cuda.blockIdx.y == 0:
        s, i = np.float64(0), cuda.threadIdx.x
        while i < rows:
            s += np.float64(row_var[b, i])
            i += cuda.blockDim.x
        s = block_sum(shared, s)
        if cuda.threadIdx.x == 0:
            means[b] = largest(s / rows, eps1)


@jit
def _matrix_length(of_update, means, row_var, col_var, grad, parts, height, eps1):
    shared = cuda.shared.array(WARPS, np.float64)
    real, rows, columns = grad.dtype.type, i32(grad.shape[1]), i32(grad.shape[2])
    floor = real(eps1 * eps1)
    down = quotient(i32(cuda.blockDim.x), columns)
    along = i32(cuda.blockDim.x - down * columns)
    u = i32(cuda.blockIdx.x)
    while u < of_update.shape[0]:
        b, first, end = _unit(u, parts, height, rows)
        below = quotient(i32(cuda.threadIdx.x), columns)
        i, j = i32(first + below), i32(cuda.threadIdx.x - below * columns)
        s, mean = np.float64(0), real(means[b])
        while i < end:
            g = grad[b, i, j]
            s += np.float64(g * g / largest(row_var[b, i] / mean * col_var[b, j], floor))
            i, j = i32(i + down), i32(j + along)
            if j >= columns:
                i, j = i32(i + 1), i32(j - columns)
        s = block_sum(shared, s)
        if cuda.threadIdx.x == 0:
            of_update[u, 0] = s
        u = i32(u + cuda.gridDim.x)


@jit
def _matrix_move(
    param, means, row_var, col_var, grad, step, hyper, of_param, of_update, parts, height, eps1, eps2, maximize
):
    shared = cuda.shared.array(WARPS, np.float64)
    numbers = cuda.shared.array(2, param.dtype)
    real, rows, columns = param.dtype.type, i32(param.shape[1]), i32(param.shape[2])
    square, update = total(shared, of_param, 0), total(shared, of_update, 0)
    if cuda.threadIdx.x == 0:
        n = max(param.size, 1)
        alpha = longest(square / n, eps2) * min(hyper[0], 1 / sqrt(steps_before(step) + 1))
        length = alpha / longest(update / (n * hyper[2] * hyper[2]), 1.0)
        numbers[0], numbers[1] = real(1 - hyper[0] * hyper[3]), real(-length if maximize else length)
    cuda.syncthreads()
    keep, length, floor = numbers[0], numbers[1], real(eps1 * eps1)
    down = quotient(i32(cuda.blockDim.x), max(columns, i32(1)))
    along = i32(cuda.blockDim.x - down * columns)
    u = i32(cuda.blockIdx.x)
    while u < of_update.shape[0]:
        b, first, end = _unit(u, parts, height, rows)
        below = quotient(i32(cuda.threadIdx.x), columns)
        i, j = i32(first + below), i32(cuda.threadIdx.x - below * columns)
        mean = real(means[b])
        while i < end:
            root = sqrt(largest(row_var[b, i] / mean * col_var[b, j], floor))
            param[b, i, j] = keep * param[b, i, j] - length * grad[b, i, j] / root
            i, j = i32(i + down), i32(j + along)
            if j >= columns:
                i, j = i32(i + 1), i32(j - columns)
        u = i32(u + cuda.gridDim.x)
    if cuda.threadIdx.x == 0:
        counted(step)


@kernel
def matrix_update(param, row_var, col_var, grad, step, hyper, eps1, eps2, maximize, stream=0):
    """24 bytes a float32 parameter: 8 for the moments, 4 for the length of the update, 12 for the move."""
    check("matrix_update", hyper, 4, step)
    batch, rows, columns = param.shape
    height = min(max(rows, 1), -(-batch * rows // MOST)) or 1
    parts = -(-rows // height)
    units = batch * parts if param.size else 0
    of_param, of_update, sums = (empty((units, n), np.float64) for n in (1, 1, columns))
    means = empty((batch,), np.float64)
    grid, cut = min(units, MOST), (np.int32(parts), np.int32(height))
    if units:
        launch(_matrix_moments, grid, THREADS, stream, of_param, sums, param, row_var, grad, step, hyper, *cut)
        chunks = batch, -(-columns // THREADS)
        launch(_matrix_means, chunks, THREADS, stream, means, sums, row_var, col_var, step, hyper, cut[0], eps1)
        launch(_matrix_length, grid, THREADS, stream, of_update, means, row_var, col_var, grad, *cut, eps1)
    arrays = param, means, row_var, col_var, grad, step, hyper, of_param, of_update
    launch(_matrix_move, max(grid, 1), THREADS, stream, *arrays, *cut, eps1, eps2, maximize)
