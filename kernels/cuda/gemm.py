"""Matrix products: plain ones, stacks of them, and what linear and the recurrent layers fuse to them."""

import numpy as np

from . import tile_launch
from .target import kernel
from .tile import CHUNK_BYTES, FUSED, LONG, MATRIX, STORE, TURNED

# matrices of one launch: the third axis of a grid
MOST_MATRICES = 65535


def product(y, a, b, transpose_a, transpose_b, accumulate, stream, z=None, bias=None, activation=0):
    """y[g] = activation(op(a[g]) @ op(b[g]) (+ y[g]) + bias), op(m) = m or m.T; z[g] keeps what the activation was given.

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
    epilogue, arrays, scalars = STORE, (), (bool(accumulate),)
    absent = flat[:0]
    z, bias = (absent if m is None else m.reshape(-1) for m in (z, bias))
    if z.size or bias.size or activation:
        epilogue, arrays, scalars = FUSED, (z, bias), (bool(accumulate), np.int32(activation))
    sides = side(a, transpose_a), side(b, not transpose_b)
    tile_launch.multiply(
        flat, *sides, rows, columns, depth, stream, matrices, epilogue=epilogue, arrays=arrays, scalars=scalars
    )


def side(matrices, turned):
    """A stack of matrices, lines x depth or, turned, depth x lines, as a side of tile_launch.multiply."""
    count, m, n = matrices.shape
    lines, depth = (n, m) if turned else (m, n)
    # offsets in a matrix have 32 bits
    operand = TURNED if turned else LONG if m * n >= 2**32 else MATRIX
    chunks = n * matrices.itemsize % CHUNK_BYTES == 0 and matrices.pointer % CHUNK_BYTES == 0
    values = np.int64(m * n), np.int32(lines), np.int32(depth)
    return tile_launch.Side(matrices.reshape(-1), operand, values, chunks)


def _check(name, y, a, b, transpose_a, transpose_b):
    m, k = a.shape[-2:][::-1] if transpose_a else a.shape[-2:]
    inner, n = b.shape[-2:][::-1] if transpose_b else b.shape[-2:]
    if inner != k or tuple(y.shape[-2:]) != (m, n):
        raise ValueError(f"{name}: y: expected shape {(m, n)} from {(m, k)} @ {(inner, n)}, got {tuple(y.shape)}")


@kernel
def matmul_forward(y, a, b, transpose_a, transpose_b, accumulate, stream=0):
    """One launch; two where the depth is split (tile_launch.py)."""
    _check("matmul_forward", y, a, b, transpose_a, transpose_b)
    product(y, a, b, transpose_a, transpose_b, accumulate, stream)


@kernel
def bmm_forward(y, a, b, transpose_a, transpose_b, accumulate, stream=0):
    """As matmul_forward, the third axis of the grid over the stack."""
    _check("bmm_forward", y, a, b, transpose_a, transpose_b)
    product(y, a, b, transpose_a, transpose_b, accumulate, stream)
