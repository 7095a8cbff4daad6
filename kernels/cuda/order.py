"""Rows of keys in ascending order: the sort that sort.py orders numbers with, and grouping.py positions.

A key is 64 bits: what is compared above, a position below, so that no two are equal and every sort is stable. Tiles are
sorted in shared memory by a bitonic network; then runs are merged, two by two, each key finding its place in the other
run by bisection: neighbours look at the same places, which lie in cache.
"""

import numpy as np

from .layout import over_rows, power_above
from .target import SIMULATOR, cuda, empty, jit, launch

# keys of a tile, half as many threads; threads of a block of short rows
TILE, BLOCK = (8, 4) if SIMULATOR else (2048, 256)

# behind every key
LAST = np.uint64(0xFFFFFFFFFFFFFFFF)
# the bits of the position
POSITION = np.uint64(0xFFFFFFFF)
ABOVE = np.uint64(32)


@jit
def _sort_tiles(out, keys, pieces, per_row, R, width, keep, length):
    """Sort pieces of `width` keys, a power of two, and write the first `keep` of each; rows of out have `length`."""
    tile = cuda.shared.array(TILE, np.uint64)
    t, half = cuda.threadIdx.x, cuda.blockDim.x
    piece = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    row = piece // per_row
    c = piece - row * per_row
    base = cuda.threadIdx.y * width
    e = t
    while e < width:
        r = c * width + e
        tile[base + e] = keys[row * R + r] if piece < pieces and r < R else LAST
        e += half
    size = 2
    while size <= width:
        stride = size // 2
        while stride > 0:
            cuda.syncthreads()
            low = 2 * t - (t & (stride - 1))
            a, b = tile[base + low], tile[base + low + stride]
            if (a > b) == ((low & size) == 0):
                tile[base + low], tile[base + low + stride] = b, a
            stride //= 2
        size *= 2
    cuda.syncthreads()
    e = t
    while e < min(width, keep):
        at = c * keep + e
        if piece < pieces and at < length:
            out[row * length + at] = tile[base + e]
        e += half


@jit
def _merge(out, keys, rows, R, run):
    """Runs of `run` keys, a power of two, become runs of twice as many."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        start = row * R
        r = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while r < R:
            first = r - (r & (2 * run - 1))
            middle, end = min(first + run, R), min(first + 2 * run, R)
            key = keys[start + r]
            left = r < middle
            # how many of the other run come before; of equals, which are behind all keys, those on the left
            low, high = (middle, end) if left else (first, middle)
            origin = low
            while low < high:
                at = (low + high) >> 1
                other = keys[start + at]
                if other < key or (other == key and not left):
                    low = at + 1
                else:
                    high = at
            own = r - (first if left else middle)
            out[start + first + own + (low - origin)] = key
            r += cuda.gridDim.y * cuda.blockDim.x


def _tiles(out, keys, keep, length, stream):
    rows, R = keys.shape
    width = min(TILE, max(2, power_above(R)))
    per_row = -(-R // width)
    block = width // 2, max(1, BLOCK // (width // 2))
    flat, grid = keys.reshape(-1), -(-rows * per_row // block[1])
    launch(_sort_tiles, grid, block, stream, out.reshape(-1), flat, rows * per_row, per_row, R, width, keep, length)


def sort_keys(keys, stream):
    """The keys (N, R) with each row in ascending order."""
    rows, R = keys.shape
    if not keys.size:
        return keys
    out = empty(keys.shape, np.uint64)
    _tiles(out, keys, TILE, R, stream)
    run = TILE
    while run < R:
        # the keys that were given stay
        fresh = empty(keys.shape, np.uint64)
        over_rows(_merge, rows, R, stream, fresh.reshape(-1), out.reshape(-1), rows, R, run)
        out, run = fresh, 2 * run
    return out


def least_keys(keys, count, stream):
    """The least `count` keys of each row in ascending order, in rows of that many or more."""
    rows, R = keys.shape
    if not keys.size:
        return keys
    if 4 * count > TILE:
        return sort_keys(keys, stream)
    while True:
        # the least of each tile, then those of what is left
        tiles = -(-R // TILE)
        length = tiles * count
        out = empty((rows, length), np.uint64)
        _tiles(out, keys, count, length, stream)
        if tiles == 1:
            return out
        keys, R = out, length
