"""Matrix products: the tile kernel that linear and the recurrent layers stand on, and the plain products.

A block owns a square of SIDE x SIDE results. It walks along K in slices of DEPTH: its threads bring both slices to
shared memory, whichever way the operands lie, and each multiplies its own THREAD_TILE x THREAD_TILE results out of
them, in registers. The rows and columns of a thread lie LANES apart, so that neighbours read and write neighbours.
Not yet tuned: no double buffering, no wide loads, no tensor cores.
"""

from .functions import formulas
from .target import SIMULATOR, cuda, jit, kernel, launch

# threads along each side of a block, and results of a thread along each side
LANES = 2 if SIMULATOR else 16
THREAD_TILE = 2 if SIMULATOR else 4
SIDE = LANES * THREAD_TILE
DEPTH = 3 if SIMULATOR else 16

activate = formulas["activate"]


@jit
def tile_product(y, z, a, b, bias, transpose_a, transpose_b, accumulate, activation):
    """y[g] = activation(op(a[g]) @ op(b[g]) + bias (+ y[g])), op(m) = m or m.T.

    y, z, a, b are stacks of matrices; z, unless its size is 0, keeps what the activation was given. The grid is
    (blocks of rows, blocks of columns, matrices).
    """
    slice_a = cuda.shared.array((DEPTH, SIDE), y.dtype)
    slice_b = cuda.shared.array((DEPTH, SIDE), y.dtype)
    sums = cuda.local.array((THREAD_TILE, THREAD_TILE), y.dtype)
    g = cuda.blockIdx.z
    rows, columns = y.shape[1], y.shape[2]
    depth = a.shape[1] if transpose_a else a.shape[2]
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    thread = ty * LANES + tx
    top, left = cuda.blockIdx.x * SIDE, cuda.blockIdx.y * SIDE
    zero = y.dtype.type(0)
    for r in range(THREAD_TILE):
        for c in range(THREAD_TILE):
            sums[r, c] = zero
    for start in range(0, depth, DEPTH):
        for e in range(thread, DEPTH * SIDE, LANES * LANES):
            # along whichever axis is contiguous, so that a warp reads whole lines
            k, i = (e // SIDE, e % SIDE) if transpose_a else (e % DEPTH, e // DEPTH)
            value = zero
            if top + i < rows and start + k < depth:
                value = a[g, start + k, top + i] if transpose_a else a[g, top + i, start + k]
            slice_a[k, i] = value
            k, j = (e % DEPTH, e // DEPTH) if transpose_b else (e // SIDE, e % SIDE)
            value = zero
            if left + j < columns and start + k < depth:
                value = b[g, left + j, start + k] if transpose_b else b[g, start + k, left + j]
            slice_b[k, j] = value
        cuda.syncthreads()
        for k in range(DEPTH):
            for r in range(THREAD_TILE):
                left_value = slice_a[k, ty + r * LANES]
                for c in range(THREAD_TILE):
                    sums[r, c] += left_value * slice_b[k, tx + c * LANES]
        cuda.syncthreads()
    for r in range(THREAD_TILE):
        i = top + ty + r * LANES
        for c in range(THREAD_TILE):
            j = left + tx + c * LANES
            if i < rows and j < columns:
                value = sums[r, c]
                if accumulate:
                    value += y[g, i, j]
                if bias.size > 0:
                    value += bias[j]
                if z.size > 0:
                    z[g, i, j] = value
                y[g, i, j] = activate(activation, value)


def product(y, z, a, b, bias, transpose_a, transpose_b, accumulate, activation, stream):
    """Launch tile_product over matrices or stacks of them."""
    y, z, a, b = (m if m.ndim == 3 else m.reshape(1, *m.shape) for m in (y, z, a, b))
    grid = -(-y.shape[1] // SIDE), -(-y.shape[2] // SIDE), y.shape[0]
    args = (y, z, a, b, bias, transpose_a, transpose_b, accumulate, activation)
    launch(tile_product, grid, (LANES, LANES), stream, *args)


def _check(name, y, a, b, transpose_a, transpose_b):
    m, k = a.shape[-2:][::-1] if transpose_a else a.shape[-2:]
    inner, n = b.shape[-2:][::-1] if transpose_b else b.shape[-2:]
    if inner != k or tuple(y.shape[-2:]) != (m, n):
        raise ValueError(f"{name}: y: expected shape {(m, n)} from {(m, k)} @ {(inner, n)}, got {tuple(y.shape)}")


def _absent(y):
    return y.reshape(-1)[:0], y[:0]


@kernel
def matmul_forward(y, a, b, transpose_a, transpose_b, accumulate, stream=0):
    """One launch of the tile kernel."""
    _check("matmul_forward", y, a, b, transpose_a, transpose_b)
    bias, z = _absent(y)
    product(y, z, a, b, bias, transpose_a, transpose_b, accumulate, 0, stream)


@kernel
def bmm_forward(y, a, b, transpose_a, transpose_b, accumulate, stream=0):
    """One launch of the tile kernel, the third axis of its grid over the stack."""
    _check("bmm_forward", y, a, b, transpose_a, transpose_b)
    bias, z = _absent(y)
    product(y, z, a, b, bias, transpose_a, transpose_b, accumulate, 0, stream)
