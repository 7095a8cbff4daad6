"""Running sums along the middle dimension, of rows by blocks and of columns by threads.

What fills too few blocks is cut into chunks: a first launch makes the sums of the chunks alone, a second their running
sums, a third starts every chunk from what lies before it. The same code makes all three.
"""

import numpy as np

from .lanes import WARPS, block_scan
from .layout import FILL, cut
from .target import SIMULATOR, THREADS, WARP, cuda, empty, jit, launch

# elements of a thread in one step; elements of a chunk at least
EACH = 4
ROW_CHUNK, COLUMN_CHUNK = (2 * EACH * THREADS, 6) if SIMULATOR else (16384, 128)


@jit
def _scan_rows(y, sums, x, before, R, chunk, chunks, backwards, zero):
    """A block for each chunk of a row. sums, y: sizes 0 where they are not wanted; before: running sums of chunks."""
    c = type(zero)
    parts = cuda.shared.array(WARPS, c)
    task = cuda.blockIdx.x
    o = task // chunks
    k = task - o * chunks
    carry = zero
    if k > 0 and before.size > 0:
        carry = before[task - 1]
    base, end = o * R, min(R, (k + 1) * chunk)
    start = k * chunk
    while start < end:
        # four elements side by side for each thread
        first = start + EACH * cuda.threadIdx.x
        total = zero
        for e in range(EACH):
            r = first + e
            if r < end:
                total += c(x[base + (R - 1 - r if backwards else r)])
        before_own, block = block_scan(parts, total)
        if y.size > 0:
            running = carry + before_own
            for e in range(EACH):
                r = first + e
                if r < end:
                    at = base + (R - 1 - r if backwards else r)
                    running += c(x[at])
                    y[at] = running
        carry += block
        start += EACH * cuda.blockDim.x
    if sums.size > 0 and cuda.threadIdx.x == 0:
        sums[task] = carry


@jit
def _scan_columns(y, sums, x, before, columns, R, I, chunk, chunks, backwards, zero):
    """A thread for each chunk of a column."""
    c = type(zero)
    task = cuda.grid(1)
    if task < columns * chunks:
        row = task // I
        i = task - row * I
        o = row // chunks
        k = row - o * chunks
        total = zero
        if k > 0 and before.size > 0:
            total = before[task - I]
        for r in range(k * chunk, min(R, (k + 1) * chunk)):
            at = (o * R + (R - 1 - r if backwards else r)) * I + i
            total += c(x[at])
            if y.size > 0:
                y[at] = total
        if sums.size > 0:
            sums[task] = total


def row_chunks(O, R):
    """(elements of a chunk, chunks of a row)"""
    return cut(R, 1 if R < 2 * ROW_CHUNK else max(1, min(R // ROW_CHUNK, FILL // O)))


def scan(y, x, backwards, kind, stream):
    """y (O, R, I) = running sums of x along R, from its end when `backwards`, made in the scalar type `kind`."""
    O, R, I = x.shape
    if not x.size:
        return
    zero, none = kind(0), empty((0,), np.dtype(kind))
    if I == 1:
        chunk, chunks = row_chunks(O, R)
        threads = THREADS if chunk > EACH * WARP else WARP
        function, grid, block, more = _scan_rows, O * chunks, threads, (R,)
    else:
        chunk, chunks = cut(R, max(1, min(R // COLUMN_CHUNK, FILL * THREADS // (O * I))))
        function, grid, block, more = _scan_columns, -(-O * chunks * I // THREADS), THREADS, (O * I, R, I)
    y, x = y.reshape(-1), x.reshape(-1)
    before = none
    if chunks > 1:
        sums, before = (empty((O, chunks, I), np.dtype(kind)) for _ in range(2))
        args = (y[:0], sums.reshape(-1), x, none, *more, chunk, chunks, backwards, zero)
        launch(function, grid, block, stream, *args)
        scan(before, sums, False, kind, stream)
        before = before.reshape(-1)
    launch(function, grid, block, stream, y, none, x, before, *more, chunk, chunks, backwards, zero)
