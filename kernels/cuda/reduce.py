"""Reductions of the middle dimension, by folds: threads keep four accumulators each, blocks join their threads' ones.

Rows (I = 1) are read by teams of threads side by side, joined by shuffles and, across warps, in shared memory. Columns
(I > 1) are read by threads side by side along I, joined over the rows of a block in shared memory. What fills too few
blocks is cut into chunks along R, and their results are folded once more. Chunks are counted by shape alone, so a
result has the same bits every time, and an error grows with the logarithm of R.
"""

import numpy as np

from ..template import define
from .half import HALVES
from .layout import EACH, FILL, cut, over_rows, power_above
from .ptx import shuffle_xor
from .scan import scan
from .target import THREADS, WARP, cuda, device, empty, jit, kernel, launch

__all__ = ["WARP", "device", "shuffle_xor"]  # in FOLD, besides what is named below

# rows this long have a block each, longer ones may be cut; elements of a chunk at least
LONG, CHUNK = (2 * THREADS, 4 * THREADS) if WARP < 32 else (4096, 8192)

# name: (one step; value for no elements; an element v as it is folded, w the one it is compared with; the result)
FOLDS = {
    "sum": ("s + v", 0, "c(v)", "s"),
    "mean": ("s + v", 0, "c(v)", "s / c(count)"),
    "prod": ("s * v", 1, "c(v)", "s"),
    "any": ("s | v", 0, "c(v)", "s != 0"),
    "all": ("s & v", 1, "c(v)", "s != 0"),
    # no kernels of their own: parts of gradients
    "equal": ("s + v", 0, "c(1) if c(v) == w else c(0)", "s"),
    "zeros": ("s + v", 0, "c(1) if v == c(0) else c(0)", "s"),
    "others": ("s * v", 1, "c(1) if v == c(0) else c(v)", "s"),
}

FOLD = '''
@device
def _{name}_of(v, w, c):
    return {value}


@device
def _{name}_step(s, v):
    return {step}


@device
def _{name}_result(s, count):
    c = type(s)
    return {result}


@jit
def _{name}_rows(y, x, like, R, chunk, chunks, identity, count):
    """y[task] = fold of chunk task % chunks of row task // chunks, by a team of blockDim.x threads."""
    c = type(identity)
    parts = cuda.shared.array(WARP, c)
    tx, lanes = cuda.threadIdx.x, cuda.blockDim.x
    task = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    s0, s1, s2, s3 = identity, identity, identity, identity
    if task < y.size:
        o = task // chunks if chunks > 1 else task
        first = (task - o * chunks) * chunk
        end = o * R + min(R, first + chunk)
        i = o * R + first + tx
        w = c(like[o]) if like.size > 0 else identity
        while i + 3 * lanes < end:
            v0, v1, v2, v3 = x[i], x[i + lanes], x[i + 2 * lanes], x[i + 3 * lanes]
            s0, s1 = _{name}_step(s0, _{name}_of(v0, w, c)), _{name}_step(s1, _{name}_of(v1, w, c))
            s2, s3 = _{name}_step(s2, _{name}_of(v2, w, c)), _{name}_step(s3, _{name}_of(v3, w, c))
            i += 4 * lanes
        while i < end:
            s0 = _{name}_step(s0, _{name}_of(x[i], w, c))
            i += lanes
    s = _{name}_step(_{name}_step(s0, s1), _{name}_step(s2, s3))
    width = min(lanes, WARP) // 2
    while width > 0:
        s = _{name}_step(s, shuffle_xor(s, width))
        width //= 2
    if lanes > WARP:
        if tx % WARP == 0:
            parts[tx // WARP] = s
        cuda.syncthreads()
        s = identity
        for warp in range(lanes // WARP):
            s = _{name}_step(s, parts[warp])
    if tx == 0 and task < y.size:
        y[task] = _{name}_result(s, count)


@jit
def _{name}_columns(y, x, like, columns, R, I, chunk, chunks, tiles, identity, count):
    """y[o, chunk, i] = fold of the chunk of column (o, i): a column a thread, blockDim.y rows side by side."""
    c = type(identity)
    parts = cuda.shared.array(THREADS, c)
    tx, ty, width = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockDim.x
    k = cuda.blockIdx.x // tiles
    t = (cuda.blockIdx.x - k * tiles) * width + tx
    s = identity
    if t < columns:
        o = t // I
        i = t - o * I
        end = (o * R + min(R, (k + 1) * chunk)) * I
        step = cuda.blockDim.y * I
        at = (o * R + k * chunk + ty) * I + i
        w = c(like[t]) if like.size > 0 else identity
        s0, s1, s2, s3 = identity, identity, identity, identity
        while at + 3 * step < end:
            v0, v1, v2, v3 = x[at], x[at + step], x[at + 2 * step], x[at + 3 * step]
            s0, s1 = _{name}_step(s0, _{name}_of(v0, w, c)), _{name}_step(s1, _{name}_of(v1, w, c))
            s2, s3 = _{name}_step(s2, _{name}_of(v2, w, c)), _{name}_step(s3, _{name}_of(v3, w, c))
            at += 4 * step
        while at < end:
            s0 = _{name}_step(s0, _{name}_of(x[at], w, c))
            at += step
        s = _{name}_step(_{name}_step(s0, s1), _{name}_step(s2, s3))
    parts[ty * width + tx] = s
    half = cuda.blockDim.y // 2
    while half > 0:
        cuda.syncthreads()
        if ty < half:
            s = _{name}_step(s, parts[(ty + half) * width + tx])
            parts[ty * width + tx] = s
        half //= 2
    if ty == 0 and t < columns:
        y[(o * chunks + k) * I + i] = _{name}_result(s, count)
'''

for _name, (_step, _, _value, _result) in FOLDS.items():
    define(globals(), FOLD, name=_name, step=_step, value=_value, result=_result)


def accumulator(dtype):
    """The scalar type in which numbers of a dtype are added up."""
    if dtype in HALVES:
        raise TypeError(f"expected numbers of 32 bits or more to add up, got {dtype}")
    return dtype.type if dtype.kind == "f" else np.int32 if dtype.kind == "b" else np.int64


def row_plan(O, R):
    """(elements of a chunk, chunks of a row, block) for rows."""
    chunks = 1 if R < 2 * CHUNK else max(1, min(R // CHUNK, -(-FILL // O)))
    chunk, chunks = cut(R, chunks)
    lanes = THREADS if chunk > LONG else min(WARP, power_above(-(-chunk // EACH)))
    return chunk, chunks, (lanes, max(1, THREADS // lanes))


def column_plan(columns, R):
    """(elements of a chunk, chunks of a column, tiles of columns, block) for columns."""
    tx = THREADS if columns >= FILL * WARP else min(WARP, power_above(columns))
    ty = min(THREADS // tx, power_above(-(-R // EACH)))
    tiles = -(-columns // tx)
    chunks = max(1, min(R // (4 * EACH * ty), FILL // tiles))
    return *cut(R, chunks), tiles, (tx, ty)


def fold(name, y, x, stream, like=None, count=1, kind=None):
    """y (O, I) = fold `name` of x (O, R, I); the other arguments are those of FOLD. kind: the type it is made in."""
    O, R, I = x.shape
    y, x = y.reshape(-1), x.reshape(-1)
    kind = kind or accumulator(x.dtype)
    like = y[:0] if like is None else like.reshape(-1)
    identity, count = kind(FOLDS[name][1]), kind(count)
    if not y.size:
        return
    if I == 1:
        chunk, chunks, block = row_plan(O, R)
        out = y if chunks == 1 else empty((O * chunks,), np.dtype(kind))
        # a mean divides at the end
        args = (out, x, like, R, chunk, chunks, identity, kind(1) if chunks > 1 else count)
        launch(globals()[f"_{name}_rows"], -(-O * chunks // block[1]), block, stream, *args)
    else:
        chunk, chunks, tiles, block = column_plan(O * I, R)
        out = y if chunks == 1 else empty((O * chunks * I,), np.dtype(kind))
        args = (out, x, like, O * I, R, I, chunk, chunks, tiles, identity, kind(1) if chunks > 1 else count)
        launch(globals()[f"_{name}_columns"], tiles * chunks, block, stream, *args)
    if chunks > 1:
        again = {"equal": "sum", "zeros": "sum", "others": "prod"}.get(name, name)
        fold(again, y, out.reshape(O, chunks, I), stream, None, count, kind)


@kernel
def sum_forward(y, x, stream=0):
    """A fold, or two where few blocks would have all of it."""
    fold("sum", y, x, stream)


@kernel
def mean_forward(y, x, stream=0):
    """As sum_forward; the last fold divides."""
    fold("mean", y, x, stream, count=x.shape[1])


@kernel
def prod_forward(y, x, stream=0):
    """As sum_forward."""
    fold("prod", y, x, stream)


@kernel
def any_forward(y, x, stream=0):
    """As sum_forward."""
    fold("any", y, x, stream)


@kernel
def all_forward(y, x, stream=0):
    """As sum_forward."""
    fold("all", y, x, stream)


@kernel
def count_forward(y, x, stream=0):
    """A sum of one row, in int64."""
    fold("sum", y.reshape(1, 1), x.reshape(1, x.size, 1), stream, kind=np.int64)


# ---- gradients


@jit
def _spread(dx, dy, rows, columns, R, scale):
    """Row r of dx gets row r // R of dy times scale; or, with R = 0, the one number of dy that is its own."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        step = cuda.gridDim.y * cuda.blockDim.x
        if R == 0:
            value = dy[row] * scale
            while j < columns:
                dx[row * columns + j] = value
                j += step
        else:
            source = row // R * columns
            while j < columns:
                dx[row * columns + j] = dy[source + j] * scale
                j += step


def _to_all(dx, dy, scale, stream):
    O, R, I = dx.shape
    rows, columns, repeat = (O, R, 0) if I == 1 else (O * R, I, R)
    over_rows(_spread, rows, columns, stream, dx.reshape(-1), dy.reshape(-1), rows, columns, repeat, scale)


@kernel
def sum_backward(dx, dy, stream=0):
    """One launch."""
    _to_all(dx, dy, dy.dtype.type(1), stream)


@kernel
def mean_backward(dx, dy, stream=0):
    """One launch."""
    _to_all(dx, dy, dy.dtype.type(1 / max(1, dx.shape[1])), stream)


@jit
def _prod_gradient(dx, dy, x, zeros, others, R, I, rows, columns):
    """Rows and columns as in _spread; one zero leaves a gradient at itself alone, two leave none."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        zero, one = x.dtype.type(0), x.dtype.type(1)
        j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while j < columns:
            at = row * columns + j
            k = row if I == 1 else row // R * I + j
            v, count = x[at], zeros[k]
            if count == zero:
                dx[at] = dy[k] * (others[k] / v)
            else:
                dx[at] = dy[k] * others[k] if count == one and v == zero else zero
            j += cuda.gridDim.y * cuda.blockDim.x


@kernel
def prod_backward(dx, dy, x, stream=0):
    """Two folds, how many zeros there are and the product of the others; then one pass."""
    O, R, I = x.shape
    zeros, others = (empty((O, I), x.dtype) for _ in range(2))
    fold("zeros", zeros, x, stream)
    fold("others", others, x, stream)
    rows, columns = (O, R) if I == 1 else (O * R, I)
    flat = [a.reshape(-1) for a in (dx, dy, x, zeros, others)]
    over_rows(_prod_gradient, rows, columns, stream, *flat, R, I, rows, columns)


# ---- running sums


@kernel
def cumsum_forward(y, x, stream=0):
    """Blocks scan rows, threads columns; see scan.py."""
    scan(y, x, False, accumulator(x.dtype), stream)


@kernel
def cumsum_backward(dx, dy, stream=0):
    """The same from the end."""
    scan(dx, dy, True, accumulator(dy.dtype), stream)
