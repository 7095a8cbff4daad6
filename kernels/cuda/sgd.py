"""Stochastic gradient descent: one launch, every array read once and written once (rule.py).

Tables: a warp for each row, where only rows that have gradients move; with momentum all do, and each looks for itself
among those that have one.
"""

from . import status
from .passes import MOST, run
from .rule import PULL, check, counted, define, steps_before
from .target import THREADS, WARP, cuda, device, jit, kernel, launch

BEGIN = """
lr, momentum, kept = hyper[0], hyper[1], 1 - hyper[2]
factor, bound, decay, l1 = pulled(hyper, 4, hyper[3], maximize)
"""
PLAIN = """
p -= lr * descent(p, g, factor, bound, decay, l1)
"""
MOMENTUM = """
g = descent(p, g, factor, bound, decay, l1)
if momentum != 0:
    momentum_buffer = g if first != 0 else momentum * momentum_buffer + kept * g
    g = g + momentum * momentum_buffer if nesterov else momentum_buffer
p -= lr * g
"""
# without a buffer there must be no momentum
GUARD = """
if hyper[1] != 0:
    problem[0] = status.MOMENTUM
    return
"""
FIRST = BEGIN + "first = 1.0 if steps_before(step) == 0 else 0.0\n"
# step counts only while there is a momentum
define(globals(), "_sgd", (), BEGIN, ("lr", *PULL), PLAIN, ("maximize", "problem"), guard=GUARD, counts="False")
define(
    globals(),
    "_sgd_momentum",
    ("momentum_buffer",),
    FIRST,
    ("lr", "momentum", "kept", "first", *PULL),
    MOMENTUM,
    ("nesterov", "maximize"),
    counts="hyper[1] != 0",
)


@kernel
def sgd_update(param, momentum_buffer, grad, step, hyper, nesterov, maximize, stream=0):
    """12 bytes a float32 parameter without momentum_buffer, 20 with it. A momentum without a buffer or a step is told
    by the next call that waits for the device."""
    check("sgd_update", hyper, 4)
    if step.size and (momentum_buffer.size or not param.size):
        run(_sgd_momentum, stream, param, momentum_buffer, grad, step, hyper, nesterov, maximize)  # noqa: F821
    else:
        run(_sgd, stream, param, grad, step, hyper, maximize, status.word())  # noqa: F821


@device
def refused_row(rows, k, size, problem):
    """Whether row k does not ascend or is none of the table, which is told."""
    if k > 0 and rows[k] <= rows[k - 1]:
        problem[0] = status.ORDER
        return True
    if rows[k] < 0 or rows[k] >= size:
        problem[0] = status.ID
        return True
    return False


@device
def _place(rows, row):
    """Which of the rows it is; -1: none."""
    low, high = 0, rows.size
    while low < high:
        middle = (low + high) >> 1
        if rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low if low < rows.size and rows[low] == row else -1


@device
def _sound(param, momentum_buffer, step, hyper, problem):
    if hyper[3] != 0:
        problem[0] = status.DECAY
        return False
    if hyper[1] != 0 and (momentum_buffer.size != param.size or step.size == 0):
        problem[0] = status.MOMENTUM
        return False
    return True


@jit
def _table_rows(param, momentum_buffer, rows, values, step, hyper, nesterov, maximize, problem):
    """A warp for each row that has a gradient; with momentum, for each row of the table."""
    real, columns = param.dtype.type, param.shape[1]
    zero = real(0)
    if not _sound(param, momentum_buffer, step, hyper, problem):
        return
    lr, momentum, kept = real(hyper[0]), real(hyper[1]), real(1 - hyper[2])
    moving = hyper[1] != 0
    first = moving and steps_before(step) == 0
    # where the counter is read by all threads, they are through before their block counts
    cuda.syncthreads()
    if moving:
        for k in range(cuda.grid(1), rows.size, cuda.gridsize(1)):
            refused_row(rows, k, param.shape[0], problem)
    warps = cuda.blockDim.x // WARP
    r = cuda.blockIdx.x * warps + cuda.threadIdx.x // WARP
    while r < (param.shape[0] if moving else rows.size):
        k = _place(rows, r) if moving else r
        row = r if moving else rows[k]
        refused = not moving and refused_row(rows, k, param.shape[0], problem)
        i = cuda.threadIdx.x % WARP
        while i < columns and not refused:
            g = values[k, i] if k >= 0 else zero
            g = -g if maximize else g
            if moving:
                b = g if first else momentum * momentum_buffer[row, i] + kept * g
                momentum_buffer[row, i] = b
                g = g + momentum * b if nesterov else b
            param[row, i] -= lr * g
            i += WARP
        r += cuda.gridDim.x * warps
    if moving and cuda.threadIdx.x == 0:
        counted(step)


@kernel
def sgd_rows_update(param, momentum_buffer, rows, values, step, hyper, nesterov, maximize, stream=0):
    """12 bytes a float32 element of a row that has a gradient; with momentum one pass over the whole table. What does
    not fit is told by the next call that waits for the device."""
    # whether there is a momentum is not known here
    several = param.shape[0] if momentum_buffer.size else rows.size
    grid = max(1, min(-(-several // (THREADS // WARP)), MOST))
    args = param, momentum_buffer, rows, values, step, hyper, nesterov, maximize, status.word()
    launch(_table_rows, grid, THREADS, stream, *args)
