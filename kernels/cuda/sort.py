"""Order along the last dimension: numbers become keys of 64 bits (order.py), 32 of them the number's and 32 its place.

Numbers of 64 bits take two sorts: one by their lower halves, then, since a sort is stable, one by the upper ones.
"""

import numpy as np

from .array import Array
from .half import BFLOAT16
from .layout import over_rows
from .order import ABOVE, POSITION, least_keys, sort_keys
from .target import cuda, device, empty, jit, kernel

UNSIGNED, SIGNED, FLOAT = range(3)


@device
def _ordered(bits, kind, top, infinity):
    """The bits of a number as an unsigned integer of the same order: zeros are one, and NaN is behind all."""
    u = np.uint64(bits)
    every = top | (top - np.uint64(1))
    if kind == SIGNED:
        u ^= top
    elif kind == FLOAT:
        size = u & ~top
        if size > infinity:
            u = every
        elif size == np.uint64(0):
            u = top
        else:
            u = u ^ every if u & top != np.uint64(0) else u | top
    return u


@jit
def _compose(keys, x, before, rows, R, kind, top, infinity, shift, descending):
    """Keys of x, 32 bits from `shift` on; their positions are those in `before`, where there is one."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        flip = top | (top - np.uint64(1)) if descending else np.uint64(0)
        r = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while r < R:
            source = np.int64(before[row * R + r] & POSITION) if before.size > 0 else np.int64(r)
            number = _ordered(x[row * R + source], kind, top, infinity) ^ flip
            keys[row * R + r] = ((number >> shift) & POSITION) << ABOVE | np.uint64(r)
            r += cuda.gridDim.y * cuda.blockDim.x


@jit
def _take(y, indices, x, order, before, rows, K, R, length):
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        k = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while k < K:
            r = np.int64(order[row * length + k] & POSITION)
            if before.size > 0:
                r = np.int64(before[row * R + r] & POSITION)
            indices[row * K + k] = r
            y[row * K + k] = x[row * R + r]
            k += cuda.gridDim.y * cuda.blockDim.x


def _bits(array):
    """The same memory as unsigned integers, flat."""
    return Array(array.owner, array.pointer, (array.size,), np.dtype(f"u{array.itemsize}"))


def _infinity(dtype):
    """The bits of infinity in a type of floats."""
    if dtype == BFLOAT16:
        return 0x7F80
    return int(np.array(np.inf, dtype).view(f"u{dtype.itemsize}"))


def _order(y, indices, x, descending, stream):
    """The first K of each row in order."""
    (N, K), R = y.shape, x.shape[1]
    if not y.size:
        return
    floats = x.dtype == BFLOAT16 or x.dtype.kind == "f"
    kind = FLOAT if floats else SIGNED if x.dtype.kind == "i" else UNSIGNED
    top = np.uint64(1 << (8 * x.itemsize - 1))
    numbers = kind, top, np.uint64(_infinity(x.dtype) if floats else 0)
    bits, before = _bits(x), empty((0,), np.uint64)
    for shift in (0, 32) if x.itemsize == 8 else (0,):
        keys = empty((N, R), np.uint64)
        over_rows(_compose, N, R, stream, keys.reshape(-1), bits, before, N, R, *numbers, np.uint64(shift), descending)
        if shift == 0 and x.itemsize == 8:
            before = sort_keys(keys, stream).reshape(-1)
    order = least_keys(keys, K, stream)
    length = order.shape[1]
    y, indices = _bits(y), indices.reshape(-1)
    over_rows(_take, N, K, stream, y, indices, bits, order.reshape(-1), before, N, K, R, length)


@kernel
def sort_forward(y, indices, x, descending, stream=0):
    """Keys, their sort, and a pass that takes what they point to."""
    _order(y, indices, x, descending, stream)


@kernel
def topk_forward(y, indices, x, largest, stream=0):
    """The same of the best of each tile, then of the best of these, where K is small beside a tile."""
    if x.shape[1] < y.shape[1]:
        raise ValueError(f"topk: expected at least K = {y.shape[1]} elements a row, got {x.shape[1]}")
    _order(y, indices, x, largest, stream)
