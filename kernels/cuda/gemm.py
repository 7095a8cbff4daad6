"""Matrix products: plain ones, stacks of them, and what linear and the recurrent layers fuse to them.

float32 is multiplied as kernels/precision.py says, where tensor cores can take the operands (rows of whole chunks of 16
bytes): "highest" is float32's own arithmetic, "medium" TF32's, whose factors have 11 bits, and "high" three products
of TF32, whose factors have 21 to 22; there an Inf becomes NaN, as the rest of Inf without its first bits is none.
"""

import math

import numpy as np

from . import hopper, hopper_core, tile_launch
from .target import THREADS, cuda, empty, jit, kernel, launch
from .tile import CHUNK_BYTES, FUSED, LONG, LONG_TURNED, MATRIX, STORE, TURNED

# matrices of one launch: the third axis of a grid
MOST_MATRICES = 65535


def product(y, a, b, transpose_a, transpose_b, accumulate, stream, z=None, bias=None, activation=0):
    """y[g] = activation(op(a[g]) @ op(b[g]) (+ y[g]) + bias), op(m) = m or m.T; z keeps what the activation is given.

    y, z, a, b are matrices or stacks of them, C-contiguous; z and bias may be absent, None or of size 0.
    """
    y, a, b = (m if m.ndim == 3 else m.reshape(1, *m.shape) for m in (y, a, b))
    if y.shape[0] > MOST_MATRICES:
        for first in range(0, y.shape[0], MOST_MATRICES):
            part = slice(first, first + MOST_MATRICES)
            some = None if z is None or not z.size else z[part]
            product(y[part], a[part], b[part], transpose_a, transpose_b, accumulate, stream, some, bias, activation)
        return
    matrices, rows, columns = y.shape
    depth = a.shape[1] if transpose_a else a.shape[2]
    flat = y.reshape(-1)
    z, bias = (flat[:0] if m is None else m.reshape(-1) for m in (z, bias))
    # Hopper's own tensor-core instructions, where it is worth their while
    passes = tile_launch.tensor_products()
    # but not for activations that it would compute with relaxed arithmetic, which may lose a NaN
    if activation not in hopper_core.DIVIDES and hopper.takes(y, a, b, transpose_a, transpose_b, z, bias, passes):
        hopper.product(y, a, b, transpose_a, transpose_b, accumulate, stream, z, bias, activation, passes)
        return
    epilogue, arrays, scalars = STORE, (), (bool(accumulate),)
    if z.size or bias.size or activation:
        epilogue, arrays, scalars = FUSED, (z, bias), (bool(accumulate), np.int32(activation))
    if y.itemsize == 2:
        a, b = padded(a, stream), padded(b, stream)
    sides = side(a, transpose_a), side(b, not transpose_b)
    tile_launch.multiply(
        flat, *sides, rows, columns, depth, stream, matrices, epilogue=epilogue, arrays=arrays, scalars=scalars
    )


def side(matrices, turned):
    """A stack of matrices, lines x depth or, turned, depth x lines, as a side of tile_launch.multiply."""
    values = (
        np.int64(math.prod(matrices.shape[1:])),
        *map(np.int32, matrices.shape[:0:-1] if turned else matrices.shape[1:]),
    )
    # offsets in a matrix have 32 bits
    operand = ((MATRIX, LONG), (TURNED, LONG_TURNED))[bool(turned)][int(values[0]) >= 2**32]
    row = matrices.shape[2] * matrices.itemsize
    chunks = row % CHUNK_BYTES == 0 and matrices.pointer % CHUNK_BYTES == 0
    return tile_launch.Side(matrices.reshape(-1), operand, values, chunks)


@jit
def _pad(out, x, size, columns):
    """Rows of `columns` elements, the last ones 0, from rows of `size`; a block for each."""
    row = cuda.blockIdx.x
    for column in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        out[row * columns + column] = x[row * size + column] if column < size else x.dtype.type(0)


def padded(matrices, stream):
    """Matrices with rows of whole chunks, as 16-bit products want them: copied, 0 at the ends, unless they are so."""
    step = CHUNK_BYTES // matrices.itemsize
    count, rows, size = matrices.shape
    if size % step == 0 and matrices.pointer % CHUNK_BYTES == 0:
        return matrices
    out = empty((count, rows, -(-size // step) * step), matrices.dtype)
    # a row without elements has no block with threads
    threads = max(1, min(THREADS, out.shape[2]))
    launch(_pad, count * rows, threads, stream, out.reshape(-1), matrices.reshape(-1), size, out.shape[2])
    return out


def _check(name, y, a, b, transpose_a, transpose_b):
    m, k = a.shape[-2:][::-1] if transpose_a else a.shape[-2:]
    inner, n = b.shape[-2:][::-1] if transpose_b else b.shape[-2:]
    if inner != k or tuple(y.shape[-2:]) != (m, n):
        raise ValueError(f"{name}: y: expected shape {(m, n)} from {(m, k)} @ {(inner, n)}, got {tuple(y.shape)}")


@kernel(half=True)
def matmul_forward(y, a, b, transpose_a, transpose_b, accumulate, stream=0):
    """One launch; two where the depth is split (tile_launch.py)."""
    _check("matmul_forward", y, a, b, transpose_a, transpose_b)
    product(y, a, b, transpose_a, transpose_b, accumulate, stream)


@kernel(half=True)
def bmm_forward(y, a, b, transpose_a, transpose_b, accumulate, stream=0):
    """As matmul_forward, the third axis of the grid over the stack."""
    _check("bmm_forward", y, a, b, transpose_a, transpose_b)
    product(y, a, b, transpose_a, transpose_b, accumulate, stream)
