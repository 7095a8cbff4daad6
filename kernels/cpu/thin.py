"""Products with few rows of A: a batch of one, a step of a recurrence.

Packing B would read and write all of it for a handful of uses. B is read once where it lies instead: as dot products
when its lines are contiguous along the depth, as a sum of its scaled steps otherwise. Bound by memory, not arithmetic.
"""

from ..jit import compiled, parallel_for

THIN = 4  # rows up to which this is faster than packing
COLUMNS_WORK = 65536  # multiply-adds a chunk of columns is worth: a few microseconds


@compiled
def _dot_columns(begin, end, m, k, a, b, c, ldc, accumulate, bias):
    for j in range(begin, end):
        line = b.data[j * b.stride : j * b.stride + k]
        for i in range(m):
            row = a.data[i * a.stride : i * a.stride + k]
            total = c.dtype.type(0)
            for p in range(k):
                total += row[p] * line[p]
            if bias.size:
                total += bias[j]
            c[i * ldc + j] = c[i * ldc + j] + total if accumulate else total


@compiled
def _sum_columns(begin, end, m, k, a, b, c, ldc, accumulate, bias):
    for i in range(m):
        row = c[i * ldc + begin : i * ldc + end]
        if not accumulate:
            for j in range(row.size):
                row[j] = bias[begin + j] if bias.size else c.dtype.type(0)
        for p in range(k):
            factor = a.data[i * a.stride + p]
            step = b.data[p * b.stride + begin : p * b.stride + end]
            for j in range(row.size):
                row[j] += factor * step[j]


@compiled
def thin(m, n, k, a, b, c, ldc, accumulate, bias):
    """c (+)= a @ b + bias for matrices a (by line) and b; see gemm."""
    grain = max(64, COLUMNS_WORK // (m * k + 1)) // 64 * 64
    if b.by_line:
        parallel_for(_dot_columns, n, grain, (m, k, a, b, c, ldc, accumulate, bias))
    else:
        parallel_for(_sum_columns, n, grain, (m, k, a, b, c, ldc, accumulate, bias))
