"""The linear layer on the tile kernel of gemm.py.

Forward is one launch: bias and activation are done in registers. Backward makes dz = dy * activation' once (without an
activation it is dy), then two products and a column sum.
"""

from ..fused import check_activation, check_kept
from . import empty
from .functions import formulas
from .gemm import product
from .target import SIMULATOR, cuda, jit, kernel, launch, spread

# columns, and rows between them, of a block of the column sum
SUM_COLUMNS, SUM_ROWS = (4, 2) if SIMULATOR else (32, 8)

activate_grad = formulas["activate_grad"]


@kernel
def linear_forward(y, z, x, w, b, activation, stream=0):
    """One launch of the tile kernel; its epilogue adds the bias, keeps z and applies the activation."""
    check_activation(activation)
    product(y, x, w, False, True, False, stream, z, b, activation)


@jit
def _dz(dz, dy, y, z, activation):
    for i in range(cuda.grid(1), dz.size, cuda.gridsize(1)):
        # y stands in for a z that this activation does not need
        dz[i] = activate_grad(activation, dy[i], y[i], z[i] if z.size > 0 else y[i])


@jit
def _column_sums(db, dz, accumulate):
    """db[j] (+)= sum over i of dz[i, j]: threads add each SUM_ROWS-th row, in order, then one adds theirs."""
    parts = cuda.shared.array((SUM_ROWS, SUM_COLUMNS), db.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    j = cuda.blockIdx.x * SUM_COLUMNS + tx
    total = db.dtype.type(0)
    if j < db.size:
        for i in range(ty, dz.shape[0], SUM_ROWS):
            total += dz[i, j]
    parts[ty, tx] = total
    cuda.syncthreads()
    if ty == 0 and j < db.size:
        total = db[j] if accumulate else db.dtype.type(0)
        for r in range(SUM_ROWS):
            total += parts[r, tx]
        db[j] = total


@kernel
def linear_backward(dx, dw, db, dy, x, w, y, z, activation, accumulate, stream=0):
    """Two products and a column sum; the gradients that are not wanted are not computed."""
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    dz = dy
    if activation and dy.size:
        dz = empty(dy.shape, dy.dtype)
        flat = [m.reshape(-1) for m in (dz, dy, y, z)]
        spread(_dz, dy.size, stream, *flat, activation)
    if dx.size:
        product(dx, dz, w, False, False, False, stream)
    if dw.size:
        product(dw, dz, x, True, False, accumulate, stream)
    if db.size:
        launch(_column_sums, -(-db.size // SUM_COLUMNS), (SUM_COLUMNS, SUM_ROWS), stream, db, dz, accumulate)
