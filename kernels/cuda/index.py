"""Reading and writing at positions. A position out of range is reported, and nothing is read or written there.

Reads are copies of rows, or of elements. Writes may meet at one place. Where there are many columns a thread has one
of them and writes in order; else positions are sorted by their place and summed, or the last one kept (grouping.py).
"""

import numpy as np

from . import status
from .elementwise import fill_forward
from .grouping import sorted_positions, sum_groups
from .lanes import WARPS, block_scan, block_sum
from .layout import FILL, elements, over_rows
from .maps import in_dtype, raw, refuse_uint16
from .ptx import narrow, wide
from .rows import copy_rows
from .scan import scan
from .target import SIMULATOR, THREADS, cuda, empty, jit, kernel, launch

# columns from which on a thread has one to itself, and positions up to which it does anyway
COLUMNS, FEW = (16, 2) if SIMULATOR else (32768, 32)
# elements of a block that looks for those that are true, or a multiple
NONZERO_CHUNK = 4 * THREADS


@kernel
def gather_rows_forward(y, x, indices, stream=0):
    """A copy of rows."""
    copy_rows(y[None], x[None], indices, -x.shape[0], status.word(), status.INDEX, stream)


@kernel
def select_forward(y, x, indices, stream=0):
    """A copy of rows."""
    copy_rows(y, x, indices, -x.shape[1], status.word(), status.INDEX, stream)


def _grouped(y, x, indices, stream, **how):
    R = y.shape[1]
    # -R-1 is no position
    keys = sorted_positions(indices, -R, R, -R - 1, status.word(), status.INDEX, stream)
    sum_groups(y, x, keys, stream, **how)


@kernel
def select_backward(dx, dy, indices, accumulate, stream=0):
    """Zeros, a sort of positions, and sums in two launches."""
    if not accumulate:
        fill_forward(dx, 0.0, stream)
    _grouped(dx, dy, indices, stream, accumulate=True)


@kernel
def put_forward(y, x, indices, accumulate, stream=0):
    """A sort of positions, then sums or the last ones in two launches."""
    _grouped(y, x, indices, stream, accumulate=accumulate, last=not accumulate)


@jit
def _gather(y, x, indices, K, R, I, rows, columns, problem):
    """Rows and columns are (O, K) where I = 1, else (O * K, I)."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        o = row if I == 1 else row // K
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while j < columns:
            at = row * columns + j
            r = indices[at]
            if r < -R or r >= R:
                problem[0] = status.INDEX
            else:
                y[at] = x[(o * R + (r + R if r < 0 else r)) * I + (0 if I == 1 else j)]
            j += cuda.gridDim.y * cuda.blockDim.x


@kernel
def gather_forward(y, x, indices, stream=0):
    """A thread for each element."""
    (O, K, I), R = y.shape, x.shape[1]
    rows, columns = (O, K) if I == 1 else (O * K, I)
    y, x, indices = raw(y).reshape(-1), raw(x).reshape(-1), indices.reshape(-1)
    over_rows(_gather, rows, columns, stream, y, x, indices, K, R, I, rows, columns, status.word())


@jit
def _scatter(y, x, indices, K, R, I, columns, accumulate, problem):
    """A thread for each column, in the order of positions."""
    c = cuda.grid(1)
    if c < columns:
        o = c // I
        i = c - o * I
        for k in range(K):
            at = (o * K + k) * I + i
            r = indices[at]
            if r < -R or r >= R:
                problem[0] = status.INDEX
            else:
                to = (o * R + (r + R if r < 0 else r)) * I + i
                y[to] = narrow(y, wide(y[to]) + wide(x[at])) if accumulate else x[at]


def scatter(y, x, indices, accumulate, stream):
    """What scatter_forward documents."""
    (O, R, I), K = y.shape, x.shape[1]
    if K > FEW and O * I < COLUMNS:
        _grouped(y, x, indices, stream, accumulate=accumulate, last=not accumulate)
        return
    if accumulate:
        refuse_uint16(y)
    else:
        y, x = raw(y), raw(x)
    flat = y.reshape(-1), x.reshape(-1), indices.reshape(-1)
    elements(_scatter, O * I, stream, *flat, K, R, I, O * I, accumulate, status.word())


@kernel
def gather_backward(dx, dy, indices, accumulate, stream=0):
    """Zeros, then sums."""
    if not accumulate:
        fill_forward(dx, 0.0, stream)
    scatter(dx, dy, indices, True, stream)


@kernel
def scatter_forward(y, x, indices, accumulate, stream=0):
    """A thread for each column, or a sort of the positions of each."""
    scatter(y, x, indices, accumulate, stream)


@jit
def _offsets(y, indices, size, stride, problem):
    i = cuda.grid(1)
    if i < y.size:
        r = indices[i]
        if r < -size or r >= size:
            problem[0] = status.INDEX
        else:
            y[i] += (r + size if r < 0 else r) * stride


@kernel
def offsets_forward(y, indices, size, stride, stream=0):
    """A thread for each element."""
    elements(_offsets, y.size, stream, y, indices, size, stride, status.word())


@jit
def _positions(y, x, before, chunk, problem):
    """A block for each chunk of x, which knows how many are true up to the end of each chunk."""
    parts = cuda.shared.array(WARPS, np.int64)
    k = cuda.blockIdx.x
    found = before[k - 1] if k > 0 else np.int64(0)
    start, end = k * chunk, min(x.size, (k + 1) * chunk)
    while start < end:
        i = start + cuda.threadIdx.x
        mine = np.int64(1) if i < end and x[i] else np.int64(0)
        prefix, count = block_scan(parts, mine)
        at = found + prefix
        if mine and at < y.size:
            y[at] = i
        found += count
        start += cuda.blockDim.x
    if cuda.threadIdx.x == 0 and end == x.size and found != y.size:
        problem[0] = status.NONZERO


@jit
def _count_chunks(counts, x, chunk):
    parts = cuda.shared.array(WARPS, np.int32)
    k, total = cuda.blockIdx.x, np.int32(0)
    i, end = k * chunk + cuda.threadIdx.x, min(x.size, (k + 1) * chunk)
    while i < end:
        total += np.int32(1) if x[i] else np.int32(0)
        i += cuda.blockDim.x
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        counts[k] = total


@kernel
def nonzero_forward(y, x, stream=0):
    """Chunks are counted, the counts added up, and each chunk writes its positions from there on."""
    if not x.size:
        if y.size:
            raise ValueError(f"nonzero: expected room for 0 positions, got {y.size}")
        return
    chunk = NONZERO_CHUNK * -(-x.size // (NONZERO_CHUNK * FILL))
    chunks = -(-x.size // chunk)
    counts, before = (empty((1, chunks, 1), np.int64) for _ in range(2))
    launch(_count_chunks, chunks, THREADS, stream, counts.reshape(-1), x, chunk)
    scan(before, counts, False, np.int64, stream)
    launch(_positions, chunks, THREADS, stream, y, x, before.reshape(-1), chunk, status.word())


@jit
def _one_hot(y, labels, rows, columns, zero, one, problem):
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        label = labels[row]
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if j == 0 and (label < 0 or label >= columns):
            problem[0] = status.ONE_HOT
        while j < columns:
            y[row * columns + j] = one if j == label else zero
            j += cuda.gridDim.y * cuda.blockDim.x


@kernel
def one_hot_forward(y, labels, stream=0):
    """One pass over y."""
    N, C = y.shape
    if N and not C:
        raise IndexError("one_hot: expected labels in 0 .. C-1, there are no classes")
    numbers = (in_dtype(value, y.dtype) for value in (0, 1))
    over_rows(_one_hot, N, C, stream, raw(y).reshape(-1), labels, N, C, *numbers, status.word())
