"""float32 operands as Hopper multiplies them: along K, on boundaries of 16 bytes, and for three products in halves.

TF32 has the first ten bits behind the point. A number is the sum of a high half, its nearest TF32, and a low half, the
TF32 nearest to the rest; of the product of two sums the three larger products leave an error of about 2**-21.
"""

import numpy as np

from .ptx_hopper import high_half
from .target import SIMULATOR, cuda, empty, jit, launch

# a block brings a square of numbers to shared memory and writes it turned, or as it was
SIDE, LINES = 32, 2 if SIMULATOR else 8
# of a line in shared memory: a column of it meets every bank once
PITCH = SIDE + 1
BOUNDARY = 16


@jit
def _prepare(out, x, lines, depth, turned, parts):
    """out[g * parts + p, i, k] = half p of x[g, i, k], or of x[g, k, i] where it lies turned."""
    square = cuda.shared.array((SIDE, PITCH), np.float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    # squares of all matrices stand in one row of blocks: other axes of a grid are short
    across, down = (depth + SIDE - 1) // SIDE, (lines + SIDE - 1) // SIDE
    line, g = cuda.blockIdx.x // across, cuda.blockIdx.x // (across * down)
    top, left = (line - g * down) * SIDE, (cuda.blockIdx.x - line * across) * SIDE
    for r in range(ty, SIDE, LINES):
        if turned:
            if left + r < depth and top + tx < lines:
                square[tx, r] = x[g, left + r, top + tx]
        elif top + r < lines and left + tx < depth:
            square[r, tx] = x[g, top + r, left + tx]
    cuda.syncthreads()
    for r in range(ty, SIDE, LINES):
        if top + r < lines and left + tx < depth:
            value = square[r, tx]
            if parts == 2:
                high = high_half(value)
                out[2 * g, top + r, left + tx] = high
                out[2 * g + 1, top + r, left + tx] = value - high
            else:
                out[g, top + r, left + tx] = value


def operand(x, along_k, halves, stream):
    """A stack of float32 matrices as a stack that lies along K: itself where it does and is not to be halved."""
    if along_k and not halves and x.pointer % BOUNDARY == 0 and x.shape[2] * x.itemsize % BOUNDARY == 0:
        return x
    matrices = x.shape[0]
    lines, depth = x.shape[1:] if along_k else x.shape[:0:-1]
    parts = 2 if halves else 1
    # lines that begin on a boundary
    step = -(-depth * x.itemsize // BOUNDARY) * BOUNDARY // x.itemsize
    out = empty((matrices * parts, lines, step), x.dtype)
    blocks = -(-depth // SIDE) * -(-lines // SIDE) * matrices
    launch(_prepare, blocks, (SIDE, LINES), stream, out, x, lines, depth, not along_k, parts)
    return out
