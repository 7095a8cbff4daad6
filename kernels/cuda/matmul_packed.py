"""Products with an operand packed beforehand: here packed means contiguous and not turned.

The tiles of gemm.py copy 16 bytes of such an operand at a time; a turned one they would transpose element by element.
"""

from .gemm import product
from .maps import raw
from .strided import move
from .target import kernel


def packed_size(k, n, dtype):
    """Elements of the array that holds a packed (K, N) operand of a dtype."""
    return k * n


@kernel(half=True)
def matmul_pack_forward(packed, b, transpose_b, stream=0):
    """A copy, or a transpose through tiles."""
    if packed.size != packed_size(*b.shape, b.dtype):
        raise ValueError(f"matmul_pack_forward: packed: expected {b.size} elements, got {packed.size}")
    b = b.T if transpose_b else b
    if b.size:
        move(raw(packed).reshape(b.shape), raw(b), stream)


@kernel(half=True)
def matmul_packed_forward(y, a, packed, transpose_a, accumulate, stream=0):
    """As matmul_forward of gemm.py."""
    rows, k = a.shape[::-1] if transpose_a else a.shape
    n = y.shape[1]
    if rows != y.shape[0] or packed.size != packed_size(k, n, a.dtype):
        raise ValueError(f"matmul_packed_forward: expected y (M, N) of op(a) (M, K) and {k * n} packed elements")
    product(y, a, packed.reshape(k, n), transpose_a, False, accumulate, stream)
