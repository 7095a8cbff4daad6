"""Rows that are copied from where an index points: bits, whatever they stand for, 16 bytes at a time where they can."""

import numpy as np

from .array import Array
from .layout import over_rows
from .ptx import VECTOR, aligned, load4, store4
from .target import cuda, jit


@jit
def _rows_of_vectors(y, x, indices, K, R, least, width, rows, problem, code):
    """y[o, k] = x[o, indices[k]]; rows of `width` vectors of four."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        # no division where it is known
        o = 0 if rows == K else row // K
        r = indices[row - o * K]
        if r < least or r >= R:
            problem[0] = code
        else:
            source = o * R + (r + R if r < 0 else r)
            j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
            while j < width:
                store4(y, VECTOR * (row * width + j), load4(x, VECTOR * (source * width + j)))
                j += cuda.gridDim.y * cuda.blockDim.x


@jit
def _rows(y, x, indices, K, R, least, width, rows, problem, code):
    """The same with rows of `width` elements."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        o = 0 if rows == K else row // K
        r = indices[row - o * K]
        if r < least or r >= R:
            problem[0] = code
        else:
            source = o * R + (r + R if r < 0 else r)
            j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
            while j < width:
                y[row * width + j] = x[source * width + j]
                j += cuda.gridDim.y * cuda.blockDim.x


def viewed(array, dtype):
    """The memory of a contiguous array as elements of another type, flat."""
    return Array(array.owner, array.pointer, (array.nbytes // np.dtype(dtype).itemsize,), dtype)


def copy_rows(y, x, indices, least, word, code, stream):
    """y (O, K, I) = x (O, R, I) at indices (K,), least .. R-1; one out of range is reported, and its row left alone."""
    (O, K, I), R = y.shape, x.shape[1]
    size = I * x.itemsize
    words = size % 4 == 0 and x.itemsize <= 4 and y.pointer % 4 == 0 and x.pointer % 4 == 0
    # vectors of four words, words, or what the elements are
    if size % 16 == 0 and aligned(viewed(y, np.float32), viewed(x, np.float32)):
        function, word_type, width = _rows_of_vectors, np.float32, size // 16
    elif words:
        function, word_type, width = _rows, np.uint32, size // 4
    else:
        function, word_type, width = _rows, np.dtype(f"u{x.itemsize}"), I
    args = (indices, K, R, least, width, O * K, word, code)
    over_rows(function, O * K, width, stream, viewed(y, word_type), viewed(x, word_type), *args)
