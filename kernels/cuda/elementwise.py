"""Copies, fills and arithmetic: every thread strides over the elements. Not yet run on hardware."""

from .target import cuda, empty, jit, kernel, spread


@jit
def _copy(y, x):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = x[i]


@jit
def _assign(y, x):
    rows, columns = y.shape[2], y.shape[3]
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        s = i % columns
        r = i // columns % rows
        q = i // (columns * rows) % y.shape[1]
        p = i // (columns * rows * y.shape[1])
        y[p, q, r, s] = x[p, q, r, s]


@jit
def _fill(y, value):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = value


@jit
def _arange(y, start, step):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = start + i * step


@jit
def _add(y, a, b):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] + b[i]


@jit
def _sub(y, a, b):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] - b[i]


@jit
def _mul(y, a, b):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = a[i] * b[i]


@jit
def _mul_gradients(da, db, dy, a, b):
    for i in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        if da.size > 0:
            da[i] = dy[i] * b[i]
        if db.size > 0:
            db[i] = dy[i] * a[i]


@kernel
def copy_forward(y, x, stream=0):
    """One launch."""
    spread(_copy, y.size, stream, y, x)


@kernel
def assign_forward(y, x, stream=0):
    """One launch, an index of four parts for each element."""
    spread(_assign, y.size, stream, y, x)


@kernel
def fill_forward(y, value, stream=0):
    """One launch."""
    spread(_fill, y.size, stream, y, value)


@kernel
def arange_forward(y, start, step, stream=0):
    """One launch."""
    spread(_arange, y.size, stream, y, start, step)


@kernel
def add_forward(y, a, b, stream=0):
    """One launch."""
    spread(_add, y.size, stream, y, a, b)


@kernel
def sub_forward(y, a, b, stream=0):
    """One launch."""
    spread(_sub, y.size, stream, y, a, b)


@kernel
def mul_forward(y, a, b, stream=0):
    """One launch."""
    spread(_mul, y.size, stream, y, a, b)


@kernel
def mul_backward(da, db, dy, a, b, stream=0):
    """One launch for both."""
    spread(_mul_gradients, dy.size, stream, da, db, dy, a, b)


def packed(x):
    """A C-contiguous copy of an Array of any strides."""
    y = empty(x.shape, x.dtype)
    _assign_any(y, x)
    return y


def _assign_any(y, x):
    if x.ndim > 4:
        for i in range(len(x)):
            _assign_any(y[i], x[i])
    else:
        index = (None,) * (4 - x.ndim)
        assign_forward(y[index], x[index])
