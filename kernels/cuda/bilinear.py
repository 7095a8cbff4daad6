"""Bilinear forms as matrix products: row n of `pairs` is x1[n] times x2[n], all pairs, and then y = pairs @ w.T + b.

    forward    pairs for a block of samples, one product with the weight
    backward   d(pairs) = dy @ w, from whose rows dx1 and dx2 are contracted;   dw (+)= dy.T @ pairs

The samples go through in blocks, which bounds the memory of the pairs; blocks depend on shapes alone and add to dw in
their order.
"""

import numpy as np

from .gemm import product
from .lanes import warp_sum
from .linear import add_columns
from .ptx import quotient
from .target import SIMULATOR, THREADS, WARP, cuda, empty, jit, kernel, launch

# pairs of a block of samples, in elements; and samples at most: the second axis of a grid
BLOCK, MOST_ROWS = (64, 3) if SIMULATOR else (1 << 25, 65535)


@jit
def _pairs(pairs, x1, x2, first, d, e):
    """pairs[r, i, j] = x1[first + r, i] * x2[first + r, j]; the grid is (blocks of pairs, samples)."""
    p, r = np.int32(cuda.grid(1)), cuda.blockIdx.y
    if p < d * e:
        i = np.int32(quotient(p, e))
        n = first + r
        pairs[r * d * e + p] = x1[n * d + i] * x2[n * e + p - i * e]


@jit
def _contract(dx1, dx2, pairs, x1, x2, first, d, e):
    """dx1 and dx2 of a sample from the gradients of its pairs, a block for each; a size-0 one is left out."""
    r = cuda.blockIdx.x
    n, begin = first + r, r * d * e
    thread, threads, zero = cuda.threadIdx.x, cuda.blockDim.x, pairs.dtype.type(0)
    if dx1.size > 0:
        # a warp for each row of pairs; all warps go as often, for warp_sum
        for top in range(0, d, threads // WARP):
            i, total = top + thread // WARP, zero
            if i < d:
                for j in range(thread % WARP, e, WARP):
                    total += pairs[begin + i * e + j] * x2[n * e + j]
            total = warp_sum(total)
            if i < d and thread % WARP == 0:
                dx1[n * d + i] = total
    if dx2.size > 0:
        for j in range(thread, e, threads):
            total = zero
            for i in range(d):
                total += pairs[begin + i * e + j] * x1[n * d + i]
            dx2[n * e + j] = total


def _blocks(n, pairs, dtype):
    """(workspace, slices of samples) of the blocks."""
    rows = max(1, min(n, MOST_ROWS, BLOCK // max(1, pairs)))
    return empty((rows, pairs), dtype), [(first, min(rows, n - first)) for first in range(0, n, rows)]


def _make_pairs(pairs, x1, x2, first, rows, stream):
    d, e = x1.shape[1], x2.shape[1]
    grid = -(-d * e // THREADS), rows
    launch(
        _pairs,
        grid,
        THREADS,
        stream,
        pairs.reshape(-1),
        x1.reshape(-1),
        x2.reshape(-1),
        first,
        np.int32(d),
        np.int32(e),
    )


@kernel
def bilinear_forward(y, x1, x2, w, b, stream=0):
    """Blocks of samples: their pairs, and the product of those with the weight."""
    n, h = y.shape
    d, e = x1.shape[1], x2.shape[1]
    if not y.size:
        return
    pairs, blocks = _blocks(n, d * e, y.dtype)
    for first, rows in blocks:
        _make_pairs(pairs, x1, x2, first, rows, stream)
        product(y[first : first + rows], pairs[:rows], w.reshape(h, d * e), False, True, False, stream, bias=b)


@kernel
def bilinear_backward(dx1, dx2, dw, db, dy, x1, x2, w, accumulate, stream=0):
    """Blocks of samples, two products each, and the sums of dy's columns."""
    n, h = dy.shape
    d, e = x1.shape[1], x2.shape[1]
    pairs, blocks = _blocks(n, d * e, dy.dtype)
    weight = w.reshape(h, d * e)
    for first, rows in blocks if dx1.size or dx2.size else ():
        product(pairs[:rows], dy[first : first + rows], weight, False, False, False, stream)
        flat = [m.reshape(-1) for m in (dx1, dx2, pairs, x1, x2)]
        launch(_contract, rows, THREADS, stream, *flat, first, np.int32(d), np.int32(e))
    if dw.size:
        gradient = dw.reshape(h, d * e)
        if not n:
            product(gradient, dy, pairs[:0], True, False, accumulate, stream)
        for first, rows in blocks:
            _make_pairs(pairs, x1, x2, first, rows, stream)
            product(gradient, dy[first : first + rows], pairs[:rows], True, False, accumulate or first > 0, stream)
    if db.size:
        add_columns(db, dy, accumulate, stream)
