"""The linear layer on the products of gemm.py.

Forward is one product: bias and activation are done where its results are stored. Backward makes dz = dy * activation'
once (without an activation it is dy) and adds its columns while it is at hand; then there are two products. A thread
of `_gradient` owns a column, or four, of some rows; what it finds goes to a row of `parts`, and `_column_sums` adds
those in their order.
"""

import numpy as np

from ..fused import check_activation, check_kept
from .functions import formulas
from .gemm import product
from .ptx import aligned, load4, narrow, store4, wide
from .target import SIMULATOR, cuda, device, empty, jit, kernel, launch

# columns, and rows between them, of a block of the column sum
SUM_COLUMNS, SUM_ROWS = (4, 2) if SIMULATOR else (32, 16)
# of `_gradient`: threads of a block at most, rows of a block at least, blocks at most that follow each other in rows,
# and threads that keep a device busy
LANES, LEAST_ROWS, MOST_PARTS, ENOUGH = (4, 2, 3, 24) if SIMULATOR else (128, 4, 256, 1 << 17)

activate_grad = formulas["activate_grad"]


@kernel(half=True)
def linear_forward(y, z, x, w, b, activation, stream=0):
    """One product, whose epilogue adds the bias, keeps z and applies the activation."""
    check_activation(activation)
    product(y, x, w, False, True, False, stream, z, b, activation)


@device
def _gradient1(dz, at, total, dy, y, z, activation):
    """dz of one element, and what it is added to."""
    value = wide(dy[at])
    if activation != 0:
        kept = wide(y[at])
        # y stands in for a z that this activation does not need
        value = activate_grad(activation, value, kept, wide(z[at]) if z.size > 0 else kept)
        dz[at] = narrow(dz, value)
    return total + value


@device
def _gradient4(dz, at, total, dy, y, z, activation):
    d = load4(dy, at)
    if activation != 0:
        kept = load4(y, at)
        given = load4(z, at) if z.size > 0 else kept
        d = (
            activate_grad(activation, d[0], kept[0], given[0]),
            activate_grad(activation, d[1], kept[1], given[1]),
            activate_grad(activation, d[2], kept[2], given[2]),
            activate_grad(activation, d[3], kept[3], given[3]),
        )
        store4(dz, at, d)
    return total[0] + d[0], total[1] + d[1], total[2] + d[2], total[3] + d[3]


@jit
def _gradient(parts, dz, dy, y, z, rows, columns, block_rows, activation):
    """dz, and row blockIdx.y of `parts`: the sums of its columns over the rows of this block, unless there are none."""
    j = cuda.grid(1)
    if j < columns:
        first = cuda.blockIdx.y * block_rows
        total = parts.dtype.type(0)
        for i in range(first, min(first + block_rows, rows)):
            total = _gradient1(dz, i * columns + j, total, dy, y, z, activation)
        if parts.size > 0:
            parts[cuda.blockIdx.y * columns + j] = total


@jit
def _gradient_vectors(parts, dz, dy, y, z, rows, columns, block_rows, activation):
    """The same, four columns a thread."""
    j = cuda.grid(1) * 4
    if j < columns:
        first, zero = cuda.blockIdx.y * block_rows, parts.dtype.type(0)
        total = zero, zero, zero, zero
        for i in range(first, min(first + block_rows, rows)):
            total = _gradient4(dz, i * columns + j, total, dy, y, z, activation)
        if parts.size > 0:
            store4(parts, cuda.blockIdx.y * columns + j, total)


@jit
def _column_sums(db, parts, accumulate):
    """db[j] (+)= sum over i of parts[i, j]: threads add each SUM_ROWS-th row, in order, then one adds theirs."""
    shared = cuda.shared.array((SUM_ROWS, SUM_COLUMNS), parts.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    j = cuda.blockIdx.x * SUM_COLUMNS + tx
    total = parts.dtype.type(0)
    if j < db.size:
        for i in range(ty, parts.shape[0], SUM_ROWS):
            total += parts[i, j]
    shared[ty, tx] = total
    cuda.syncthreads()
    if ty == 0 and j < db.size:
        total = wide(db[j]) if accumulate else parts.dtype.type(0)
        for r in range(SUM_ROWS):
            total += shared[r, tx]
        db[j] = narrow(db, total)


def add_columns(db, dy, accumulate, stream, dz=None, y=None, z=None, activation=0):
    """db (+)= the sums of the columns of dz, where dz = dy * activation' is made on the way if there is one.

    dy, dz, y, z  matrices; db of size 0: not wanted
    """
    rows, columns = dy.shape
    flat = dy.reshape(-1)
    dz, y, z = (flat[:0] if m is None else m.reshape(-1) for m in (dz, y, z))
    vectors = columns % 4 == 0 and aligned(flat, *(m for m in (dz, y, z) if m.size))
    across = -(-columns // (4 if vectors else 1))
    block_rows = max(LEAST_ROWS, -(-rows // min(MOST_PARTS, -(-ENOUGH // across))))
    blocks = -(-rows // block_rows)
    parts = empty((blocks if db.size else 0, columns), np.float64 if dy.dtype == np.float64 else np.float32)
    threads = min(LANES, across)
    args = (parts.reshape(-1), dz, flat, y, z, rows, columns, block_rows, activation)
    launch(_gradient_vectors if vectors else _gradient, (-(-across // threads), blocks), threads, stream, *args)
    if db.size:
        launch(_column_sums, -(-db.size // SUM_COLUMNS), (SUM_COLUMNS, SUM_ROWS), stream, db, parts, accumulate)


@kernel(half=True)
def linear_backward(dx, dw, db, dy, x, w, y, z, activation, accumulate, stream=0):
    """dz and the sums of its columns in one pass over dy, then two products; what is not wanted is not computed."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    dz = dy
    if dy.size == 0 or not activation:
        if db.size:
            add_columns(db, dy, accumulate, stream)
    else:
        dz = empty(dy.shape, dy.dtype)
        add_columns(db, dy, accumulate, stream, dz, y, z, activation)
    if dx.size:
        product(dx, dz, w, False, False, False, stream)
    if dw.size:
        product(dw, dz, x, True, False, accumulate, stream)
