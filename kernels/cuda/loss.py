"""What all losses share on the device: their reduction in one block, and one backward. Not yet run on hardware."""

import numpy as np

from .target import SIMULATOR, cuda, jit, kernel, spread

NONE, MEAN, SUM = 0, 1, 2

# threads of a block that reduces: a power of two
LANES = 4 if SIMULATOR else 128


@jit
def reduce_values(loss, values, count, reduction):
    """loss[0] = sum of values, divided by count[0] for a mean; one block, float64, always in the same order."""
    parts = cuda.shared.array(LANES, np.float64)
    lane = cuda.threadIdx.x
    total = np.float64(0)
    for i in range(lane, values.size, LANES):
        total += values[i]
    parts[lane] = total
    width = LANES // 2
    while width > 0:
        cuda.syncthreads()
        if lane < width:
            parts[lane] += parts[lane + width]
        width //= 2
    if lane == 0:
        loss[0] = parts[0] / count[0] if reduction == MEAN else parts[0]


@jit
def _multiply(dx, dloss, saved):
    trailing = dx.shape[2]
    row = dx.shape[1] * trailing
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, c, m = i // row, i // trailing % dx.shape[1], i % trailing
        factor = dloss[0] if dloss.size == 1 else dloss[n * trailing + m]
        dx[n, c, m] = factor * (saved[n, c, m] if saved.size > 0 else dx[n, c, m])


def check_loss(loss, samples, reduction):
    """Refuse a reduction that is none of 0, 1, 2 and a `loss` of the wrong size."""
    if reduction not in (NONE, MEAN, SUM):
        raise ValueError("reduction: expected 0 (none), 1 (mean) or 2 (sum)")
    if loss.size != (samples if reduction == NONE else 1):
        raise ValueError("loss: expected one value a sample for reduction none, else one value")


@kernel
def loss_backward(dx, dloss, saved, stream=0):
    """One launch."""
    if dloss.size not in (1, dx.shape[0] * dx.shape[2]):
        raise ValueError("loss_backward: dloss: expected one value, or one a sample")
    spread(_multiply, dx.size, stream, dx, dloss, saved)
