"""Max unpooling: positions are checked all together before the first element moves; then planes in parallel."""

from ..jit import compiled, kernel, parallel_for
from .pool import GRAIN


@compiled
def _check(indices, size):
    bad = 0
    for i in range(indices.size):
        bad += (indices[i] < 0) | (indices[i] >= size)
    if bad:
        raise IndexError("max_unpool: an index lies outside of its plane")


@compiled
def _put(begin, end, y, x, indices):
    for p in range(begin, end):
        out, values, where = y[p], x[p], indices[p]
        out[:] = 0
        for i in range(where.size):
            out[where[i]] = values[i]


@compiled
def _take(begin, end, dx, dy, indices):
    for p in range(begin, end):
        out, slope, where = dx[p], dy[p], indices[p]
        for i in range(where.size):
            out[i] = slope[where[i]]


@kernel
def max_unpool_forward(y, x, indices):
    """Planes in parallel: zeros, then the values one by one."""
    _check(indices.reshape(-1), y.shape[1])
    parallel_for(_put, y.shape[0], max(1, GRAIN // max(1, y.shape[1] + x.shape[1])), (y, x, indices))


@kernel
def max_unpool_backward(dx, dy, indices):
    """Planes in parallel."""
    _check(indices.reshape(-1), dy.shape[1])
    parallel_for(_take, dx.shape[0], max(1, GRAIN // max(1, dx.shape[1])), (dx, dy, indices))
