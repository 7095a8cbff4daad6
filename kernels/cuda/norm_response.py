"""Local response norm: a block has some neighbouring positions and a run of channels.

What windows add up is made once for each element, in shared memory, with the channels around the run; the elements of
a window are added anew for each channel, as on the CPU. Powers are exp(-beta log(scale)).
"""

import numpy as np

from .functions import exp, log
from .target import SHARED_BYTES, SIMULATOR, cuda, device, jit, kernel, launch

# positions of a block, rows of its threads, channels of its run
ACROSS, DEEP, RUN = (4, 2, 3) if SIMULATOR else (32, 8, 32)


@device
def home(positions, channels, inner):
    """(whether this thread has a position, where its channels begin)"""
    j = np.int64(cuda.blockIdx.x) * cuda.blockDim.x + cuda.threadIdx.x
    there = j < positions
    j = min(j, positions - 1)
    o = np.int64(np.uint32(j) // np.uint32(inner))
    return there, o * channels * inner + (j - o * inner)


@device
def window(tile, c, before, size, begin, channels):
    """The sum over the channels from c - before on, size of them, those that there are."""
    total, n, end = tile.dtype.type(0), max(0, c - before), min(channels, c - before + size)
    while n < end:
        total += tile[(n - begin) * cuda.blockDim.x + cuda.threadIdx.x]
        n += 1
    return total


@jit
def _forward(y, scale, x, size, share, beta, k, positions, channels, inner):
    tile = cuda.shared.array(0, x.dtype)
    there, base = home(positions, channels, inner)
    run, before = cuda.blockIdx.y * RUN, size // 2
    begin, end = max(0, run - before), min(channels, run + RUN - 1 - before + size)
    c = begin + cuda.threadIdx.y
    while c < end:
        v = x[base + c * inner]
        tile[(c - begin) * cuda.blockDim.x + cuda.threadIdx.x] = v * v
        c += cuda.blockDim.y
    cuda.syncthreads()
    c = run + cuda.threadIdx.y
    while c < min(channels, run + RUN):
        s = k + share * window(tile, c, before, size, begin, channels)
        if there:
            scale[base + c * inner] = s
            y[base + c * inner] = x[base + c * inner] * exp(-beta * log(s))
        c += cuda.blockDim.y


@jit
def _backward(dx, dy, x, scale, size, share, beta, positions, channels, inner):
    tile = cuda.shared.array(0, x.dtype)
    there, base = home(positions, channels, inner)
    run, before = cuda.blockIdx.y * RUN, (size - 1) // 2
    begin, end = max(0, run - before), min(channels, run + RUN - 1 - before + size)
    c = begin + cuda.threadIdx.y
    while c < end:
        at = base + c * inner
        g = dy[at] * exp(-beta * log(scale[at]))
        tile[(c - begin) * cuda.blockDim.x + cuda.threadIdx.x] = g * x[at] / scale[at]
        c += cuda.blockDim.y
    cuda.syncthreads()
    c = run + cuda.threadIdx.y
    while c < min(channels, run + RUN):
        at = base + c * inner
        total = window(tile, c, before, size, begin, channels)
        if there:
            dx[at] = dy[at] * exp(-beta * log(scale[at])) - share * x[at] * total
        c += cuda.blockDim.y


def _start(function, size, x, stream, *args):
    outer, channels, inner = x.shape
    if size < 1:
        raise ValueError("size: expected 1 or more")
    if x.size == 0:
        return
    rows, across = min(channels, RUN + size - 1), ACROSS
    while across > 1 and rows * across * x.itemsize > SHARED_BYTES:
        across //= 2
    grid = -(-outer * inner // across), -(-channels // RUN)
    shape = outer * inner, channels, inner
    launch(function, grid, (across, DEEP), stream, *args, *shape, shared=rows * across * x.itemsize)


@kernel
def local_response_norm_forward(y, scale, x, size, alpha, beta, k, stream=0):
    """One launch; an element is read again only by the blocks of channels around it."""
    real = x.dtype.type
    arrays = y.reshape(-1), scale.reshape(-1), x.reshape(-1)
    _start(_forward, size, x, stream, *arrays, size, real(alpha / max(size, 1)), real(beta), real(k))


@kernel
def local_response_norm_backward(dx, dy, x, scale, size, alpha, beta, stream=0):
    """One launch."""
    real = x.dtype.type
    arrays = dx.reshape(-1), dy.reshape(-1), x.reshape(-1), scale.reshape(-1)
    _start(_backward, size, x, stream, *arrays, size, real(2 * alpha * beta / max(size, 1)), real(beta))
