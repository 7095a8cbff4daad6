"""Matrix products of arrays, one and many."""

from ..jit import compiled, kernel, parallel_for
from .pack import matrix
from .product import prepare_product, product
from .tiles import CHUNK_WORK


@compiled
def _matmul(y, a, b, transpose_a, transpose_b, accumulate):
    m, k = (a.shape[1], a.shape[0]) if transpose_a else a.shape
    n = y.shape[1]
    c = y.reshape(-1)
    lines = matrix(a.reshape(-1), a.shape[1], m, not transpose_a)
    columns = matrix(b.reshape(-1), b.shape[1], n, transpose_b)
    product(m, n, k, lines, columns, c, n, accumulate)


@compiled
def _check_shapes(y, a, b, transpose_a, transpose_b):
    m, k = (a[1], a[0]) if transpose_a else (a[0], a[1])
    kb, n = (b[1], b[0]) if transpose_b else (b[0], b[1])
    if k != kb or y[0] != m or y[1] != n:
        raise ValueError("matmul: expected y (M, N) of op(a) (M, K) and op(b) (K, N)")


@kernel
def matmul_forward(y, a, b, transpose_a, transpose_b, accumulate):
    """Register tiles on packed panels or on the operands themselves: see kernels/cpu/nest.py."""
    _check_shapes(y.shape, a.shape, b.shape, transpose_a, transpose_b)
    if y.size:
        _matmul(y, a, b, transpose_a, transpose_b, accumulate)


@compiled
def _matrices(begin, end, y, a, b, transpose_a, transpose_b, accumulate):
    for i in range(begin, end):
        _matmul(y[i], a[i], b[i], transpose_a, transpose_b, accumulate)


@kernel
def bmm_forward(y, a, b, transpose_a, transpose_b, accumulate):
    """Small matrices: parallel over the batch. Large ones: one after the other, each in parallel."""
    _check_shapes(y.shape[1:], a.shape[1:], b.shape[1:], transpose_a, transpose_b)
    if y.size:
        work = y.shape[1] * y.shape[2] * (a.shape[1] if transpose_a else a.shape[2])
        grain = y.shape[0] if work > 8 * CHUNK_WORK else max(1, int(CHUNK_WORK) // (work + 1))
        prepare_product(y)
        parallel_for(_matrices, y.shape[0], grain, (y, a, b, transpose_a, transpose_b, accumulate))
