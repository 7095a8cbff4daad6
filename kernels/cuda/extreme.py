"""Largest and smallest of the middle dimension: folds of a value with its place, laid out as in reduce.py.

The first of equals wins whatever the order in which threads are joined, because places are compared, too.
"""

import numpy as np

from ..template import define
from . import status
from .layout import over_rows
from .ptx import shuffle_xor
from .reduce import accumulator, column_plan, fold, row_plan
from .target import THREADS, WARP, cuda, device, empty, jit, kernel, launch

__all__ = ["THREADS", "WARP", "device", "jit", "shuffle_xor"]  # in FOLD, besides what is named below

FOLD = '''
@device
def _{name}_better(v, s):
    """Whether v comes before s whatever their places: a NaN before every number."""
    return v {sign} s or (v != v and s == s)


@device
def _{name}_before(v, i, s, j):
    """Whether v at i stays before s at j; a negative place is none."""
    equal = v == s or (v != v and s != s)
    return i >= 0 and (j < 0 or _{name}_better(v, s) or (equal and i < j))


@jit
def _{name}_rows(y, places, x, given, R, chunk, chunks, kind):
    """Value and place of chunk task % chunks of row task // chunks, by a team of blockDim.x threads.

    given  places of the elements of x, or size 0: their positions in the row
    """
    c = type(kind)
    values = cuda.shared.array(WARP, c)
    where = cuda.shared.array(WARP, np.int64)
    tx, lanes = cuda.threadIdx.x, cuda.blockDim.x
    task = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    best, at = kind, np.int64(-1)
    if task < y.size:
        o = task // chunks if chunks > 1 else task
        first = (task - o * chunks) * chunk
        begin, end = o * R, o * R + min(R, first + chunk)
        i = begin + first + tx
        if i < end:
            best, at = c(x[i]), np.int64(i)
            i += lanes
        while i + 3 * lanes < end:
            v0, v1, v2, v3 = x[i], x[i + lanes], x[i + 2 * lanes], x[i + 3 * lanes]
            if _{name}_better(c(v0), best):
                best, at = c(v0), np.int64(i)
            if _{name}_better(c(v1), best):
                best, at = c(v1), np.int64(i + lanes)
            if _{name}_better(c(v2), best):
                best, at = c(v2), np.int64(i + 2 * lanes)
            if _{name}_better(c(v3), best):
                best, at = c(v3), np.int64(i + 3 * lanes)
            i += 4 * lanes
        while i < end:
            if _{name}_better(c(x[i]), best):
                best, at = c(x[i]), np.int64(i)
            i += lanes
        if at >= 0:
            at = given[at] if given.size > 0 else at - begin
    width = min(lanes, WARP) // 2
    while width > 0:
        v, j = shuffle_xor(best, width), shuffle_xor(at, width)
        if _{name}_before(v, j, best, at):
            best, at = v, j
        width //= 2
    if lanes > WARP:
        if tx % WARP == 0:
            values[tx // WARP], where[tx // WARP] = best, at
        cuda.syncthreads()
        for warp in range(lanes // WARP):
            if _{name}_before(values[warp], where[warp], best, at):
                best, at = values[warp], where[warp]
    if tx == 0 and task < y.size:
        y[task] = best
        if places.size > 0:
            places[task] = at


@jit
def _{name}_columns(y, places, x, given, columns, R, I, chunk, chunks, tiles, kind):
    """The same of the chunk of column (o, i): a column a thread, blockDim.y rows side by side."""
    c = type(kind)
    values = cuda.shared.array(THREADS, c)
    where = cuda.shared.array(THREADS, np.int64)
    tx, ty, width = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x
    k = cuda.blockIdx.x // tiles
    t = (cuda.blockIdx.x - k * tiles) * width + tx
    best, at = kind, np.int64(-1)
    if t < columns:
        o = t // I
        i = t - o * I
        r, end = k * chunk + ty, min(R, (k + 1) * chunk)
        from_here = (o * R + r) * I + i
        if r < end:
            best, at = c(x[from_here]), np.int64(r)
        while r < end:
            v = c(x[from_here])
            if _{name}_better(v, best):
                best, at = v, np.int64(r)
            r += cuda.blockDim.y
            from_here += cuda.blockDim.y * I
        if at >= 0 and given.size > 0:
            at = given[(o * R + at) * I + i]
    values[ty * width + tx], where[ty * width + tx] = best, at
    half = cuda.blockDim.y // 2
    while half > 0:
        cuda.syncthreads()
        if ty < half:
            other = (ty + half) * width + tx
            if _{name}_before(values[other], where[other], best, at):
                best, at = values[other], where[other]
            values[ty * width + tx], where[ty * width + tx] = best, at
        half //= 2
    if ty == 0 and t < columns:
        y[(o * chunks + k) * I + i] = best
        if places.size > 0:
            places[(o * chunks + k) * I + i] = at


@kernel
def {name}_forward(y, indices, x, stream=0):
    """A fold, or two where few blocks would have all of it."""
    if x.shape[1] == 0 and y.size:
        raise ValueError("max/min: the dimension to reduce has no elements")
    _extreme(_{name}_rows, _{name}_columns, y, indices, x, indices.reshape(-1)[:0], stream)
'''


def _extreme(rows, columns, y, indices, x, given, stream):
    if not y.size:
        return
    if x.dtype == np.uint64:
        raise TypeError("max/min: uint64 has no shuffles: expected another dtype")
    O, R, I = x.shape
    kind = accumulator(x.dtype)
    y, indices, x = y.reshape(-1), indices.reshape(-1), x.reshape(-1)
    if I == 1:
        chunk, chunks, block = row_plan(O, R)
        function, grid, shape = rows, -(-O * chunks // block[1]), (R, chunk, chunks)
    else:
        chunk, chunks, tiles, block = column_plan(O * I, R)
        function, grid, shape = columns, tiles * chunks, (O * I, R, I, chunk, chunks, tiles)
    out, places = y, indices
    if chunks > 1:
        out, places = empty((O * chunks * I,), x.dtype), empty((O * chunks * I,), np.int64)
    launch(function, grid, block, stream, out, places, x, given, *shape, kind(0))
    if chunks > 1:
        _extreme(rows, columns, y, indices, out.reshape(O, chunks, I), places, stream)


define(globals(), FOLD, name="max", sign=">")
define(globals(), FOLD, name="min", sign="<")


# ---- gradients


@jit
def _place(dx, dy, indices, R, I, rows, columns, problem):
    """dx is dy at the place that indices has, else 0; rows and columns as in reduce.py's _spread."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        o = row if I == 1 else row // R
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while j < columns:
            k, r = (o, j) if I == 1 else (o * I + j, row - o * R)
            place = indices[k]
            if r == 0 and (place < 0 or place >= R):
                problem[0] = status.INDEX
            dx[row * columns + j] = dy[k] if place == r else dy.dtype.type(0)
            j += cuda.gridDim.y * cuda.blockDim.x


@kernel
def max_backward(dx, dy, indices, stream=0):
    """One pass over dx: every element looks whether it was the one."""
    O, R, I = dx.shape
    rows, columns = (O, R) if I == 1 else (O * R, I)
    flat = [a.reshape(-1) for a in (dx, dy, indices)]
    over_rows(_place, rows, columns, stream, *flat, R, I, rows, columns, status.word())


@jit
def _share(dx, dy, x, y, counts, R, I, rows, columns):
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        o = row if I == 1 else row // R
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while j < columns:
            k = o if I == 1 else o * I + j
            at = row * columns + j
            dx[at] = dy[k] / counts[k] if x[at] == y[k] else dy.dtype.type(0)
            j += cuda.gridDim.y * cuda.blockDim.x


@kernel
def amax_backward(dx, dy, x, y, stream=0):
    """A fold counts, a pass shares."""
    O, R, I = x.shape
    counts = empty((O, I), x.dtype)
    fold("equal", counts, x, stream, like=y)
    rows, columns = (O, R) if I == 1 else (O * R, I)
    flat = [a.reshape(-1) for a in (dx, dy, x, y, counts)]
    over_rows(_share, rows, columns, stream, *flat, R, I, rows, columns)
