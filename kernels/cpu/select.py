"""Choosing and bounding elements: flat loops that LLVM turns into vectors, in parallel chunks; triangles by rows."""

from ..jit import compiled, kernel, parallel_for

GRAIN = 32768


@compiled
def _where(begin, end, y, condition, a, b):
    y, condition, a, b = y[begin:end], condition[begin:end], a[begin:end], b[begin:end]
    for i in range(y.size):
        y[i] = a[i] if condition[i] else b[i]


@kernel
def where_forward(y, condition, a, b):
    """Flat, in parallel."""
    parallel_for(_where, y.size, GRAIN, (y, condition, a, b))


@compiled
def _where_gradients(begin, end, da, db, dy, condition):
    zero = dy.dtype.type(0)
    dy, condition = dy[begin:end], condition[begin:end]
    if da.size:
        da = da[begin:end]
        for i in range(dy.size):
            da[i] = dy[i] if condition[i] else zero
    if db.size:
        db = db[begin:end]
        for i in range(dy.size):
            db[i] = zero if condition[i] else dy[i]


@kernel
def where_backward(da, db, dy, condition):
    """Flat, in parallel."""
    parallel_for(_where_gradients, dy.size, GRAIN, (da, db, dy, condition))


@compiled
def _masked_fill(begin, end, y, x, mask, value):
    y, x, mask = y[begin:end], x[begin:end], mask[begin:end]
    for i in range(y.size):
        y[i] = value if mask[i] else x[i]


@kernel
def masked_fill_forward(y, x, mask, value):
    """Flat, in parallel."""
    parallel_for(_masked_fill, y.size, GRAIN, (y, x, mask, y.dtype.type(value)))


@compiled
def _clamp(begin, end, y, x, low, high):
    y, x = y[begin:end], x[begin:end]
    for i in range(y.size):
        v = x[i]
        v = low if v < low else v
        y[i] = high if v > high else v


@kernel
def clamp_forward(y, x, low, high):
    """Flat, in parallel; the comparisons are false for NaN, which so passes."""
    parallel_for(_clamp, y.size, GRAIN, (y, x, x.dtype.type(low), x.dtype.type(high)))


@compiled
def _clamp_gradient(begin, end, dx, dy, x, low, high):
    zero = dy.dtype.type(0)
    dx, dy, x = dx[begin:end], dy[begin:end], x[begin:end]
    for i in range(dx.size):
        dx[i] = dy[i] if low <= x[i] and x[i] <= high else zero


@kernel
def clamp_backward(dx, dy, x, low, high):
    """Flat, in parallel."""
    parallel_for(_clamp_gradient, dx.size, GRAIN, (dx, dy, x, x.dtype.type(low), x.dtype.type(high)))


@compiled
def _lerp(begin, end, y, a, b, weight):
    y, a, b = y[begin:end], a[begin:end], b[begin:end]
    for i in range(y.size):
        y[i] = a[i] + weight * (b[i] - a[i])


@kernel
def lerp_forward(y, a, b, weight):
    """Flat, in parallel."""
    parallel_for(_lerp, y.size, GRAIN, (y, a, b, a.dtype.type(weight)))


@compiled
def _keep(begin, end, y, x, diagonal, below):
    N, M = y.shape[1:]
    zero = y.dtype.type(0)
    for row in range(begin, end):
        b, n = row // N, row % N
        # columns up to `edge` lie on or below the diagonal (below), or strictly below it
        edge = min(M, max(0, n + diagonal + (1 if below else 0)))
        out, line = y[b, n], x[b, n]
        for m in range(edge):
            out[m] = line[m] if below else zero
        out, line = y[b, n, edge:], x[b, n, edge:]
        for m in range(out.size):
            out[m] = zero if below else line[m]


@kernel
def tril_forward(y, x, diagonal):
    """Rows in parallel."""
    parallel_for(_keep, x.shape[0] * x.shape[1], max(1, GRAIN // max(1, x.shape[2])), (y, x, diagonal, True))


@kernel
def triu_forward(y, x, diagonal):
    """Rows in parallel."""
    parallel_for(_keep, x.shape[0] * x.shape[1], max(1, GRAIN // max(1, x.shape[2])), (y, x, diagonal, False))
