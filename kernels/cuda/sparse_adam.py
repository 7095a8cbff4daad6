"""Adam on few rows of a table: one launch, a warp for each row that has a gradient (as sgd.py)."""

from . import status
from .functions import sqrt
from .passes import MOST
from .rule import check, counted, power, steps_before
from .sgd import refused_row
from .target import THREADS, WARP, cuda, jit, kernel, launch

NUMBERS = 4


@jit
def _sparse_rows(param, exp_avg, exp_avg_sq, rows, values, step, hyper, maximize, problem):
    real, columns = param.dtype.type, param.shape[1]
    numbers = cuda.shared.array(NUMBERS, param.dtype)
    if cuda.threadIdx.x == 0:
        t = steps_before(step) + 1
        numbers[0] = real(hyper[0] * sqrt(1 - power(hyper[2], t)) / (1 - power(hyper[1], t)))
        numbers[1], numbers[2], numbers[3] = real(1 - hyper[1]), real(1 - hyper[2]), real(hyper[3])
    cuda.syncthreads()
    step_size, fresh1, fresh2, eps = numbers[0], numbers[1], numbers[2], numbers[3]
    warps = cuda.blockDim.x // WARP
    k = cuda.blockIdx.x * warps + cuda.threadIdx.x // WARP
    while k < rows.size:
        row, refused = rows[k], refused_row(rows, k, param.shape[0], problem)
        i = cuda.threadIdx.x % WARP
        while i < columns and not refused:
            g = values[k, i]
            g = -g if maximize else g
            m, v = exp_avg[row, i], exp_avg_sq[row, i]
            m += fresh1 * (g - m)
            v += fresh2 * (g * g - v)
            exp_avg[row, i], exp_avg_sq[row, i] = m, v
            param[row, i] -= step_size * (m / (sqrt(v) + eps))
            i += WARP
        k += cuda.gridDim.x * warps
    if cuda.threadIdx.x == 0:
        counted(step)


@kernel
def sparse_adam_update(param, exp_avg, exp_avg_sq, rows, values, step, hyper, maximize, stream=0):
    """28 bytes a float32 element of a row that has a gradient. Rows that do not fit are told by the next call that
    waits for the device."""
    check("sparse_adam_update", hyper, 4, step)
    grid = max(1, min(-(-rows.size // (THREADS // WARP)), MOST))
    args = param, exp_avg, exp_avg_sq, rows, values, step, hyper, maximize, status.word()
    launch(_sparse_rows, grid, THREADS, stream, *args)
