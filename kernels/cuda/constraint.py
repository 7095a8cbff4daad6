"""What parameters are held to after a step: norms in float64, then what they say, read from cache.

A matrix of one column: a block for each vector. Else a block for as many columns as a warp has lanes.
"""

import numpy as np

from .functions import sqrt
from .lanes import WARPS, block_sum
from .planes import i32
from .target import BLOCKS, THREADS, WARP, cuda, device, jit, kernel, launch


@device
def _factor(square, low, high, rate):
    norm = sqrt(square)
    # a NaN is neither below nor above
    bounded = low if norm < low else high if norm > high else norm
    return ((1 - rate) * norm + rate * bounded) / (norm + 1e-7)


@jit
def _norm_vectors(w, low, high, rate):
    parts = cuda.shared.array(WARPS, np.float64)
    o = cuda.blockIdx.x
    while o < w.shape[0]:
        s, r = np.float64(0), cuda.threadIdx.x
        while r < w.shape[1]:
            v = np.float64(w[o, r])
            s += v * v
            r += cuda.blockDim.x
        factor = w.dtype.type(_factor(block_sum(parts, s), low, high, rate))
        r = cuda.threadIdx.x
        while r < w.shape[1]:
            w[o, r] *= factor
            r += cuda.blockDim.x
        o += cuda.gridDim.x


@jit
def _norm_columns(w, low, high, rate):
    """A block for WARP columns: its warps go down every so many rows, and their sums are added in order."""
    sums = cuda.shared.array(THREADS, np.float64)
    outer, rows, columns = i32(w.shape[0]), i32(w.shape[1]), i32(w.shape[2])
    warps = i32(THREADS // WARP)
    lane, warp = i32(cuda.threadIdx.x % WARP), i32(cuda.threadIdx.x // WARP)
    o = i32(cuda.blockIdx.x)
    # all threads of a block come to the barriers
    while o < outer:
        first = i32(cuda.blockIdx.y * WARP)
        while first < columns:
            k, s, r = i32(first + lane), np.float64(0), warp
            while r < rows and k < columns:
                v = np.float64(w[o, r, k])
                s += v * v
                r = i32(r + warps)
            sums[cuda.threadIdx.x] = s
            cuda.syncthreads()
            s = np.float64(0)
            for part in range(warps):
                s += sums[part * WARP + lane]
            cuda.syncthreads()
            factor, r = w.dtype.type(_factor(s, low, high, rate)), warp
            while r < rows and k < columns:
                w[o, r, k] *= factor
                r = i32(r + warps)
            first = i32(first + cuda.gridDim.y * WARP)
        o = i32(o + cuda.gridDim.x)


@kernel
def norm_update(w, low, high, rate, stream=0):
    """12 bytes a float32 parameter, of which cache serves 4 where a column or a vector fits."""
    O, R, I = w.shape
    if I == 1:
        launch(_norm_vectors, min(O, BLOCKS), THREADS, stream, w.reshape(O, R), low, high, rate)
    else:
        grid = min(O, BLOCKS), min(-(-I // WARP), 65535)
        launch(_norm_columns, grid, THREADS, stream, w, low, high, rate)
