"""Rectifiers with slopes that are data. RReLU is a flat loop; PReLU walks flat blocks, one channel at a time.

Where a channel is a single number (nothing follows it), vectors lie across the channels instead. A block's share of the
slopes' gradient goes to its own row of a buffer, and the rows are added in order.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from . import scalar

BLOCK = 16384
# scratch slot: the blocks' shares of dw
SLOT = 3


@compiled
def _across(x):
    """Whether vectors lie across the channels."""
    return (x.shape[2] == 1) & (x.shape[1] > 1)


@compiled
def _matrix(x):
    return x.reshape(x.shape[0], x.shape[1])


@compiled
def _segment_length(x):
    """Neighbours that share a slope."""
    return x.shape[2] if x.shape[1] > 1 else max(x.size, 1)


@compiled
def _prelu_segments(begin, end, y, x, w, length):
    i = begin
    while i < end:
        stop = min(end, i + length - i % length)
        row, out, slope = x[i:stop], y[i:stop], w[i // length % w.size]
        for k in range(out.size):
            out[k] = scalar.leaky_relu(row[k], slope)
        i = stop


@compiled
def _prelu_rows(begin, end, y, x, w):
    for r in range(begin, end):
        row, out = x[r], y[r]
        for c in range(w.size):
            out[c] = scalar.leaky_relu(row[c], w[c])


@kernel
def prelu_forward(y, x, w):
    """Flat blocks in parallel, or rows where channels are single numbers."""
    if _across(x):
        parallel_for(_prelu_rows, x.shape[0], max(1, BLOCK // max(w.size, 1)), (_matrix(y), _matrix(x), w))
    else:
        parallel_for(_prelu_segments, x.size, BLOCK, (y.reshape(-1), x.reshape(-1), w, _segment_length(x)))


@compiled
def _input_segments(begin, end, dx, dy, x, w, length):
    i = begin
    while i < end:
        stop = min(end, i + length - i % length)
        out, slope, row, left = dx[i:stop], dy[i:stop], x[i:stop], w[i // length % w.size]
        for k in range(out.size):
            out[k] = scalar.leaky_relu_grad(slope[k], row[k], left)
        i = stop


@compiled
def _input_rows(begin, end, dx, dy, x, w):
    for r in range(begin, end):
        out, slope, row = dx[r], dy[r], x[r]
        for c in range(w.size):
            out[c] = scalar.leaky_relu_grad(slope[c], row[c], w[c])


@compiled
def _share_of_segments(begin, end, shares, dy, x, length):
    zero, channels = x.dtype.type(0), shares.shape[1]
    for b in range(begin, end):
        share = shares[b]
        share[:] = zero
        i, last = b * BLOCK, min(x.size, (b + 1) * BLOCK)
        while i < last:
            stop = min(last, i + length - i % length)
            slope, row, total = dy[i:stop], x[i:stop], zero
            for k in range(row.size):
                total += zero if row[k] > zero else slope[k] * row[k]
            share[i // length % channels] += total
            i = stop


@compiled
def _share_of_rows(begin, end, shares, dy, x, rows):
    zero = x.dtype.type(0)
    for b in range(begin, end):
        share = shares[b]
        share[:] = zero
        for r in range(b * rows, min(x.shape[0], (b + 1) * rows)):
            slope, row = dy[r], x[r]
            for c in range(share.size):
                share[c] += zero if row[c] > zero else slope[c] * row[c]


@kernel
def prelu_backward(dx, dw, dy, x, w, accumulate):
    """Blocks in parallel, each of the two gradients in a pass of its own; dw from the blocks' shares, in order."""
    across, length, rows = _across(x), _segment_length(x), max(1, BLOCK // max(w.size, 1))
    if dx.size:
        if across:
            parallel_for(_input_rows, x.shape[0], rows, (_matrix(dx), _matrix(dy), _matrix(x), w))
        else:
            flat = (dx.reshape(-1), dy.reshape(-1), x.reshape(-1), w, length)
            parallel_for(_input_segments, x.size, BLOCK, flat)
    if dw.size:
        blocks = (x.shape[0] + rows - 1) // rows if across else (x.size + BLOCK - 1) // BLOCK
        shares = scratch(SLOT, blocks * w.size, x).reshape(blocks, w.size)
        if across:
            parallel_for(_share_of_rows, blocks, 1, (shares, _matrix(dy), _matrix(x), rows))
        else:
            parallel_for(_share_of_segments, blocks, 1, (shares, dy.reshape(-1), x.reshape(-1), length))
        if not accumulate:
            dw[:] = 0
        for b in range(blocks):
            for c in range(w.size):
                dw[c] += shares[b, c]


GRAIN = 32768


@compiled
def _rrelu(begin, end, y, x, slope):
    y, x, slope = y[begin:end], x[begin:end], slope[begin:end]
    for i in range(y.size):
        y[i] = scalar.leaky_relu(x[i], slope[i])


@kernel
def rrelu_forward(y, x, slope):
    """Flat, in parallel."""
    parallel_for(_rrelu, y.size, GRAIN, (y, x, slope))


@compiled
def _rrelu_gradient(begin, end, dx, dy, x, slope):
    dx, dy, x, slope = dx[begin:end], dy[begin:end], x[begin:end], slope[begin:end]
    for i in range(dx.size):
        dx[i] = scalar.leaky_relu_grad(dy[i], x[i], slope[i])


@kernel
def rrelu_backward(dx, dy, x, slope):
    """Flat, in parallel."""
    parallel_for(_rrelu_gradient, dx.size, GRAIN, (dx, dy, x, slope))
