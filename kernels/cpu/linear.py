"""The linear layer on the GEMM core.

Forward is one product whose epilogue adds the bias and applies the activation. Backward is two products, dx = dz w and
dw = dz' x, both of dz = dy * activation', which is made once and kept in this thread's scratch; without an activation
dz is dy itself. All products read their operands where they lie: no transpose is ever written out but into panels.
"""

from .. import fused
from ..jit import compiled, kernel, parallel_for, scratch
from .activate import activate_grads
from .pack import matrix
from .product import activated_product, product

SUM_ROWS = 128  # rows summed before they are added to the total: rounding grows with the blocks, not the rows
SUM_COLUMNS = 256

check_activation, check_kept = compiled(fused.check_activation), compiled(fused.check_kept)


@kernel
def linear_forward(y, z, x, w, b, activation):
    """One GEMM, x read by its rows and w by its rows. Bias and ReLU are done in registers, other activations and z
    on tiles in L1."""
    check_activation(activation)
    n, d, h = x.shape[0], x.shape[1], w.shape[0]
    if y.size:
        c = y.reshape(-1)
        rows, columns = matrix(x.reshape(-1), d, n, True), matrix(w.reshape(-1), d, h, True)
        activated_product(n, h, d, rows, columns, c, h, False, b, z.reshape(-1), activation)


@compiled
def _column_sums(begin, end, db, dz, n, h, accumulate):
    """Chunks of SUM_COLUMNS columns: db (+)= their sums, SUM_ROWS rows at a time."""
    left, right = begin * SUM_COLUMNS, min(h, end * SUM_COLUMNS)
    part, total = scratch(4, right - left, db), db[left:right]
    if not accumulate:
        for j in range(total.size):
            total[j] = 0
    for top in range(0, n, SUM_ROWS):
        for j in range(part.size):
            part[j] = 0
        for i in range(top, min(n, top + SUM_ROWS)):
            row = dz[i * h + left : i * h + right]
            for j in range(part.size):
                part[j] += row[j]
        for j in range(part.size):
            total[j] += part[j]


@kernel
def linear_backward(dx, dw, db, dy, x, w, y, z, activation, accumulate):
    """Two GEMMs and a column sum. The gradients that are not wanted are not computed."""
    n, d, h = x.shape[0], x.shape[1], w.shape[0]
    dz, result = dy.reshape(-1), y.reshape(-1)
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    if activation != 0:
        dz = scratch(3, n * h, dy)
        parallel_for(activate_grads, n * h, 16384, (dz, dy.reshape(-1), result, z.reshape(-1), activation))
    if dx.size:
        rows, columns = matrix(dz, h, n, True), matrix(w.reshape(-1), d, d, False)
        c = dx.reshape(-1)
        product(n, d, h, rows, columns, c, d, False)
    if dw.size:
        rows, columns = matrix(dz, h, h, False), matrix(x.reshape(-1), d, d, False)
        c = dw.reshape(-1)
        product(h, d, n, rows, columns, c, d, accumulate)
    if db.size:
        parallel_for(_column_sums, (h + SUM_COLUMNS - 1) // SUM_COLUMNS, 1, (db, dz, n, h, accumulate))
