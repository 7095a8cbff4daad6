"""Max unpooling: which value comes last to a place is settled first, then each place takes its own.

The largest position that wins a place is found by integer atomics, whose order cannot be seen.
"""

import numpy as np

from . import status
from .maps import raw
from .planes import column, column_step, define_planes, first_slice, i32, over_planes, slice_step
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


SIZES = "planes, depths, rows, columns = {0}.shape[0], i32(1), 1, {0}.shape[1]"
PUT = """
winner# = last[p#, k]
v# = x[p#, winner#] if winner# >= 0 else nothing
"""
define_planes(globals(), "_put", "y, x, last", SIZES.format("y") + "\nnothing = y.dtype.type(0)", PUT, "y[p#, k] = v#")
TAKE = """
at# = indices[p#, k]
fits# = at# >= 0 and at# < dy.shape[1]
if not fits#: problem[0] = status.PLACE
v# = dy[p#, at#] if fits# else nothing
"""
define_planes(
    globals(),
    "_take",
    "dx, dy, indices, problem",
    SIZES.format("dx") + "\nnothing = dx.dtype.type(0)",
    TAKE,
    "dx[p#, k] = v#",
)


@kernel(half=True)
def max_unpool_forward(y, x, indices, stream=0):
    """Three launches. An index beyond its plane is told by the next call that waits for the device."""
    (P, O), I = y.shape, x.shape[1]
    last = empty((P, O), np.int32)
    spread(_nobody, last.size, stream, last.reshape(-1))
    over_planes(_claim, P, 1, I, stream, last, indices, status.word())
    over_planes(_put, P, 1, O, stream, raw(y), raw(x), last)  # noqa: F821


@kernel(half=True)
def max_unpool_backward(dx, dy, indices, stream=0):
    """One launch. An index beyond its plane is told by the next call that waits for the device."""
    P, I = dx.shape
    over_planes(_take, P, 1, I, stream, raw(dx), raw(dy), indices, status.word())  # noqa: F821
