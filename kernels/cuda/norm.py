"""Layer norm and root-mean-square norm along the lines of lines.py.

Forward reads x once from memory and writes y once; a line of several chunks is read again from the caches. Backward
likewise reads dy and x once and writes dx: blocks go through many lines, and each thread keeps the sums for the weights
of its columns; a second launch adds up what blocks have found. Lines too long for that have their columns added by a
pass of their own.
"""

import numpy as np

from .lines import BUSY, HALF, PARTS, THREADS, chunks_of, lay, line_sum, place, put, reach, take, versions
from .norm_parts import ACROSS, DEEP, ROWS, add_columns, column, grown, inverse_root, settled
from .target import cuda, device, empty, jit, kernel, launch

# what the threads of a block of several lines hold of the gradient of a weight
FOUND = THREADS * HALF


def _build_forward(slots, vector):
    @jit
    def _norm(y, mean, rstd, x, w, b, eps, lines, length, stride, code):
        """Without an array for means it is the norm by mean squares."""
        real = x.dtype.type
        parts = cuda.shared.array(PARTS, np.float64)
        v, u = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors, begin = chunks_of(code), slots // vector, line * length
        count, centre, square = np.float64(0), np.float64(0), np.float64(0)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, x, at, left, step, real(0))
            if mean.size > 0:
                count, centre, square = grown(vector, v, left, step, count, centre, square)
            else:
                total = real(0)
                for k in range(slots):
                    total += v[k] * v[k]
                square += total
        centre, variance = settled(parts, count, centre, square, length, stride, code)
        root = inverse_root(variance, eps)
        if there and lane == 0:
            rstd[line] = root
            if mean.size > 0:
                mean[line] = centre
        near, scale = real(centre), real(root)
        shift = real((near - centre) * root)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            if chunks > 1:
                take(vector, v, x, at, left, step, real(0))
            for k in range(slots):
                v[k] = (v[k] - near) * scale + shift
            if w.size > 0:
                take(vector, u, w, at - begin, left, step, real(0))
                for k in range(slots):
                    v[k] *= u[k]
            if b.size > 0:
                take(vector, u, b, at - begin, left, step, real(0))
                for k in range(slots):
                    v[k] += u[k]
            put(vector, y, v, at, left, step, there)

    return _norm


@device
def leave(out, found, values, vector, lane, width, shift, length):
    """Row `block` of out: for each column the sum over the block's lines of what their threads have."""
    if width == cuda.blockDim.x:
        for k in range(values.size):
            j = (k // vector * width + lane) * vector + k % vector
            if j < length:
                out[cuda.blockIdx.x, j] = values[k]
        return
    threads = cuda.blockDim.x
    cuda.syncthreads()
    for k in range(values.size):
        found[k * threads + cuda.threadIdx.x] = values[k]
    cuda.syncthreads()
    # the threads of the first line take the first elements, those of the second the next ...
    k = cuda.threadIdx.x >> shift
    while k < values.size:
        total, at = values.dtype.type(0), k * threads + lane
        while at < (k + 1) * threads:
            total += found[at]
            at += width
        j = (k // vector * width + lane) * vector + k % vector
        if j < length:
            out[cuda.blockIdx.x, j] = total
        k += threads >> shift


def _build_backward(slots, vector):
    @jit
    def _norm_gradient(dx, weights, biases, dy, x, w, mean, rstd, rounds, lines, length, stride, code):
        """weights, biases: what each block found for its columns, if they are wanted and lines have one chunk."""
        real = x.dtype.type
        zero = real(0)
        parts = cuda.shared.array(PARTS, x.dtype)
        found = cuda.shared.array(FOUND, x.dtype)
        v, g = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        u = cuda.local.array(slots, x.dtype)
        products, plains = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        for k in range(slots):
            products[k] = zero
            plains[k] = zero
        chunks, vectors = chunks_of(code), slots // vector
        lane, width = 0, 1
        for turn in range(rounds):
            block = cuda.blockIdx.x + turn * cuda.gridDim.x
            lane, width, line, there, first, last, step = place(vector, block, lines, length, stride, code)
            root, begin = rstd[line], line * length
            centre = mean[line] if mean.size > 0 else np.float64(0)
            near, scale = real(centre), real(root)
            shift = real((near - centre) * root)
            plain, product = zero, zero
            for chunk in range(chunks):
                at, left = reach(first, last, step, vectors, chunk)
                take(vector, g, dy, at, left, step, zero)
                take(vector, v, x, at, left, step, zero)
                for k in range(slots):
                    v[k] = (v[k] - near) * scale + shift
                if weights.size > 0 or biases.size > 0:
                    for k in range(slots):
                        products[k] += g[k] * v[k] if there else zero
                        plains[k] += g[k] if there else zero
                if w.size > 0:
                    take(vector, u, w, at - begin, left, step, zero)
                    for k in range(slots):
                        g[k] *= u[k]
                for k in range(slots):
                    plain += g[k]
                    product += g[k] * v[k]
            if dx.size > 0:
                plain = line_sum(parts, plain, stride, code) / real(length) if mean.size > 0 else zero
                product = line_sum(parts, product, stride, code) / real(length)
                for chunk in range(chunks):
                    at, left = reach(first, last, step, vectors, chunk)
                    if chunks > 1:
                        take(vector, g, dy, at, left, step, zero)
                        take(vector, v, x, at, left, step, zero)
                        for k in range(slots):
                            v[k] = (v[k] - near) * scale + shift
                        if w.size > 0:
                            take(vector, u, w, at - begin, left, step, zero)
                            for k in range(slots):
                                g[k] *= u[k]
                    for k in range(slots):
                        v[k] = scale * (g[k] - plain - v[k] * product)
                    put(vector, dx, v, at, left, step, there)
        if weights.size > 0:
            leave(weights, found, products, vector, lane, width, code & 255, length)
        if biases.size > 0:
            leave(biases, found, plains, vector, lane, width, code & 255, length)

    return _norm_gradient


_FORWARD, _BACKWARD = versions(_build_forward), versions(_build_backward, HALF)


@jit
def _norm_columns(weights, biases, dy, x, mean, rstd):
    """What ROWS rows add to the gradients of weight and bias."""
    parts = cuda.shared.array((DEEP, ACROSS), x.dtype)
    real, j = x.dtype.type, cuda.blockIdx.x * ACROSS + cuda.threadIdx.x
    product, plain = real(0), real(0)
    i = cuda.blockIdx.y * ROWS + cuda.threadIdx.y
    end = min(x.shape[0], (cuda.blockIdx.y + 1) * ROWS)
    while i < end and j < x.shape[1]:
        centre = mean[i] if mean.size > 0 else np.float64(0)
        near = real(centre)
        product += dy[i, j] * ((x[i, j] - near) * real(rstd[i]) + real((near - centre) * rstd[i]))
        plain += dy[i, j]
        i += DEEP
    product, plain = column(parts, product), column(parts, plain)
    if cuda.threadIdx.y == 0 and j < x.shape[1]:
        if weights.size > 0:
            weights[cuda.blockIdx.y, j] = product
        if biases.size > 0:
            biases[cuda.blockIdx.y, j] = plain


def _run(y, mean, rstd, x, w, b, eps, stream):
    rows, length = x.shape
    if rows == 0:
        return
    laid = lay(rows, length, 1, y, x, w, b)
    arrays = y.reshape(-1), mean, rstd, x.reshape(-1), w, b
    launch(laid.of(_FORWARD), laid.grid, laid.block, stream, *arrays, eps, *laid.shape)


def _run_back(dx, dw, db, dy, x, w, mean, rstd, accumulate, stream):
    rows, length = x.shape
    nothing = empty((0, 0), x.dtype)
    laid = lay(rows, length, 1, dx, dy, x, w, hold=HALF)
    # blocks that keep sums go through several lines
    many = laid.chunks == 1 and bool(dw.size or db.size)
    blocks = min(laid.grid, BUSY) if many else laid.grid
    sums = blocks if many else -(-rows // ROWS)
    weights = empty((sums, length), x.dtype) if dw.size else nothing
    biases = empty((sums, length), x.dtype) if db.size else nothing
    if many or dx.size:
        kept = (weights, biases) if many else (nothing, nothing)
        arrays = dx.reshape(-1), *kept, dy.reshape(-1), x.reshape(-1), w, mean, rstd
        rounds = -(-laid.grid // max(blocks, 1))
        launch(laid.of(_BACKWARD), blocks, laid.block, stream, *arrays, rounds, *laid.shape)
    if not many and sums and (dw.size or db.size):
        grid = -(-length // ACROSS), sums
        launch(_norm_columns, grid, (ACROSS, DEEP), stream, weights, biases, dy, x, mean, rstd)
    add_columns(dw, db, weights, biases, accumulate, stream)


@kernel
def layer_norm_forward(y, mean, rstd, x, w, b, eps, stream=0):
    """One launch."""
    _run(y, mean, rstd, x, w, b, eps, stream)


@kernel
def layer_norm_backward(dx, dw, db, dy, x, w, mean, rstd, accumulate, stream=0):
    """Two launches, or three where lines do not fit a block; without dw and db one."""
    _run_back(dx, dw, db, dy, x, w, mean, rstd, accumulate, stream)


@kernel
def rms_norm_forward(y, rstd, x, w, eps, stream=0):
    """Layer norm's launch, without means."""
    _run(y, empty((0,), np.float64), rstd, x, w, empty((0,), x.dtype), eps, stream)


@kernel
def rms_norm_backward(dx, dw, dy, x, w, rstd, accumulate, stream=0):
    """As layer norm."""
    nothing = empty((0,), np.float64)
    _run_back(dx, dw, empty((0,), x.dtype), dy, x, w, nothing, rstd, accumulate, stream)
