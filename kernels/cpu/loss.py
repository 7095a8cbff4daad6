"""What all losses share on the CPU: blocks of elements, sums that do not depend on threads, and one backward.

An elementwise loss goes through its arrays in blocks small enough for the first cache. A block computes values and all
gradients in one branch-free loop; those that nobody asked for land in a spare block that stays in cache. Its values
are summed in float64, a sum a block; the sums are added in order at the end. Loops run from 0 over slices: an index
that might be negative keeps LLVM from making vectors.
"""

import numpy as np

from .. import loss_formulas
from ..binding import bind
from ..jit import compiled, inlined, kernel, parallel_for, scratch
from .vecmath import exp, log, log1p

formulas = bind(loss_formulas, inlined, exp=exp, log=log, log1p=log1p)

NONE, MEAN, SUM = 0, 1, 2

# elements of a block: values and three gradients are 16 KiB in float32
BLOCK = 1024
# blocks of a chunk: tens of microseconds
GRAIN = 8
# workspaces: the spare block, the sums of all blocks, and what is wrong in them
SPARE, SUMS, FAULTS = 3, 4, 5


@compiled
def check_loss(loss, samples, reduction):
    if reduction != NONE and reduction != MEAN and reduction != SUM:
        raise ValueError("reduction: expected 0 (none), 1 (mean) or 2 (sum)")
    if loss.size != (samples if reduction == NONE else 1):
        raise ValueError("loss: expected one value a sample for reduction none, else one value")


@compiled
def wide(slot, n, like):
    """A workspace of n float64 numbers."""
    return scratch(slot, 2 * n, like).view(np.float64)[:n]


@compiled
def total(values):
    """Their sum in float64, each number rounded once."""
    s = 0.0
    for i in range(values.size):
        s += values[i]
    return s


@compiled
def begin_loss(loss, x, reduction):
    """(where the values go: loss or nowhere; the factor that the reduction puts on gradients; a sum for each block)"""
    check_loss(loss, x.size, reduction)
    values = loss[: loss.size if reduction == NONE else 0]
    scale = x.dtype.type(1.0 / x.size) if reduction == MEAN else x.dtype.type(1)
    return values, scale, wide(SUMS, (x.size + BLOCK - 1) // BLOCK, x)


@compiled
def end_loss(loss, sums, count, reduction):
    """Add the sums in order and write the reduced loss."""
    if reduction == SUM:
        loss[0] = total(sums)
    elif reduction == MEAN:
        loss[0] = total(sums) / count


@inlined
def span(k, n):
    """First element of block k, and how many it has."""
    return k * BLOCK, min(BLOCK, n - k * BLOCK)


@inlined
def part(array, first, n, spare, which):
    """Block of an output at `first`, or spare block number `which` when the output is absent."""
    return array[first : first + n] if array.size else spare[which * BLOCK : which * BLOCK + n]


@compiled
def multiply(values, factors):
    for i in range(values.size):
        values[i] *= factors[i]


@compiled
def _scale(begin, end, dx, factor):
    dx = dx[begin:end]
    for i in range(dx.size):
        dx[i] *= factor


@compiled
def _scaled(begin, end, dx, factor, saved):
    dx, saved = dx[begin:end], saved[begin:end]
    for i in range(dx.size):
        dx[i] = factor * saved[i]


@compiled
def _products(begin, end, dx, dloss, saved):
    dx, dloss, saved = dx[begin:end], dloss[begin:end], saved[begin:end]
    for i in range(dx.size):
        dx[i] = dloss[i] * saved[i]


@compiled
def _scale_samples(begin, end, dx, dloss, saved):
    c, m = dx.shape[1], dx.shape[2]
    for i in range(begin, end):
        factors = dloss[i * m : i * m + m]
        if m == 1:
            factor, row, source = factors[0], dx[i].reshape(c), saved[i].reshape(c)
            for j in range(c):
                row[j] = factor * source[j]
        else:
            for j in range(c):
                row, source = dx[i, j], saved[i, j]
                for k in range(m):
                    row[k] = factors[k] * source[k]


@kernel
def loss_backward(dx, dloss, saved):
    """One upstream value: a flat pass in chunks, and none at all in place when it is 1. One a sample: parallel over N,
    or flat where there is one element a sample."""
    n, c, m = dx.shape
    if dloss.size != 1 and dloss.size != n * m:
        raise ValueError("loss_backward: dloss: expected one value, or one a sample")
    if dloss.size == 1:
        if saved.size:
            parallel_for(_scaled, dx.size, 16384, (dx.reshape(-1), dloss[0], saved.reshape(-1)))
        elif dloss[0] != 1:
            parallel_for(_scale, dx.size, 16384, (dx.reshape(-1), dloss[0]))
    elif dx.size:
        source = saved if saved.size else dx
        if c == 1:
            parallel_for(_products, dx.size, 16384, (dx.reshape(-1), dloss, source.reshape(-1)))
            return
        parallel_for(_scale_samples, n, max(1, 16384 // (c * m)), (dx, dloss, source))
