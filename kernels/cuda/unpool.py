"""Max unpooling: which value comes last to a place is settled first, then each place takes its own.

The largest position that wins a place is found by integer atomics, whose order cannot be seen.
"""

import numpy as np

from . import status
from .maps import raw
from .planes import column, column_step, first_slice, i32, over_planes, slice_step
from .target import cuda, empty, jit, kernel, spread


@jit
def _nobody(last):
    for i in range(cuda.grid(1), last.size, cuda.gridsize(1)):
        last[i] = -1


@jit
def _claim(last, indices, problem):
    planes, columns, places = i32(indices.shape[0]), i32(indices.shape[1]), last.shape[1]
    k = column()
    while k < columns:
        p = first_slice()
        while p < planes:
            at = indices[p, k]
            if at < 0 or at >= places:
                problem[0] = status.PLACE
            else:
                cuda.atomic.max(last, (p, at), k)
            p = i32(p + slice_step())
        k = i32(k + column_step())


@jit
def _put(y, x, last):
    planes, columns = i32(y.shape[0]), i32(y.shape[1])
    nothing = y.dtype.type(0)
    k = column()
    while k < columns:
        p = first_slice()
        while p < planes:
            winner = last[p, k]
            y[p, k] = x[p, winner] if winner >= 0 else nothing
            p = i32(p + slice_step())
        k = i32(k + column_step())


@jit
def _take(dx, dy, indices, problem):
    planes, columns, places = i32(dx.shape[0]), i32(dx.shape[1]), dy.shape[1]
    k = column()
    while k < columns:
        p = first_slice()
        while p < planes:
            at = indices[p, k]
            if at < 0 or at >= places:
                problem[0] = status.PLACE
            else:
                dx[p, k] = dy[p, at]
            p = i32(p + slice_step())
        k = i32(k + column_step())


@kernel(half=True)
def max_unpool_forward(y, x, indices, stream=0):
    """Three launches. An index beyond its plane is told by the next call that waits for the device."""
    (P, O), I = y.shape, x.shape[1]
    last = empty((P, O), np.int32)
    spread(_nobody, last.size, stream, last.reshape(-1))
    over_planes(_claim, P, 1, I, stream, last, indices, status.word())
    over_planes(_put, P, 1, O, stream, raw(y), raw(x), last)


@kernel(half=True)
def max_unpool_backward(dx, dy, indices, stream=0):
    """One launch. An index beyond its plane is told by the next call that waits for the device."""
    P, I = dx.shape
    over_planes(_take, P, 1, I, stream, raw(dx), raw(dy), indices, status.word())
