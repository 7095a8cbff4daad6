"""Rectifiers with slopes that are data: maps, with the slopes of PReLU reached through strides.

The slopes' gradient is one pass: blocks add products over pieces of a channel (or, where few elements lie together,
over rows, a thread for each column), and a second launch adds the pieces, always in one order.
"""

import numpy as np

from .broadcasting import define_spread, split, start_spread
from .functions import formulas
from .lanes import WARPS, block_sum
from .maps import define_map, launch_map
from .ptx import narrow, wide
from .target import SIMULATOR, THREADS, cuda, device, empty, jit, kernel, launch

LEAKY = {"leaky_relu": formulas["leaky_relu"], "gradient": formulas["leaky_relu_grad"]}
# fewer neighbours of a channel than these are columns of a matrix
LEAST = 4 if SIMULATOR else 32
# columns of a block, and rows between them
COLUMNS, LINES = (4, 2) if SIMULATOR else (32, 8)
# elements that a thread adds up, and blocks, at about the most
SHARE, MOST = (4, 4) if SIMULATOR else (32, 2048)

_prelu = define_spread(globals(), "_prelu", {"y": "leaky_relu(a, b)"}, called=LEAKY)
_prelu_input = define_spread(globals(), "_prelu_input", {"dx": "gradient(dy, a, b)"}, ["dy"], LEAKY)
_rrelu = define_map(globals(), "_rrelu", {"y": "leaky_relu(x, slope)"}, ["x", "slope"], called=LEAKY)
_rrelu_gradient = define_map(
    globals(), "_rrelu_gradient", {"dx": "gradient(dy, x, slope)"}, ["dy", "x", "slope"], called=LEAKY
)


def _through(x):
    """(shape, strides of x, strides of the slopes) over four axes."""
    outer, channels, inner = x.shape
    return (1, outer, channels, inner), (0, channels * inner, inner, 1), (0, 0, 1 if channels > 1 else 0, 0)


@kernel(half=True)
def prelu_forward(y, x, w, stream=0):
    """One launch."""
    start_spread(_prelu, stream, [y.reshape(-1)], x.reshape(-1), w, *_through(x))


@device
def product(dy, x):
    return type(x)(0) if x > 0 else dy * x


@jit
def _pieces(shares, dy, x, share):
    """shares[piece, channel]: a block for each; `share` elements of a channel are a piece."""
    parts = cuda.shared.array(WARPS, shares.dtype)
    channels, inner = x.shape[1], x.shape[2]
    piece, channel = split(cuda.blockIdx.x, channels)
    m = piece * share + cuda.threadIdx.x
    end = min(piece * share + share, x.shape[0] * inner)
    total = shares.dtype.type(0)
    while m < end:
        n, i = split(m, inner)
        total += product(wide(dy[n, channel, i]), wide(x[n, channel, i]))
        m += THREADS
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        shares[piece, channel] = total


@jit
def _columns(shares, dy, x, share):
    """shares[piece, column] of matrices; `share` rows are a piece."""
    parts = cuda.shared.array((LINES, COLUMNS), shares.dtype)
    across, down = cuda.threadIdx.x, cuda.threadIdx.y
    column, piece = cuda.blockIdx.x * COLUMNS + across, cuda.blockIdx.y
    total = shares.dtype.type(0)
    if column < x.shape[1]:
        n, end = piece * share + down, min(piece * share + share, x.shape[0])
        while n < end:
            total += product(wide(dy[n, column]), wide(x[n, column]))
            n += LINES
    parts[down, across] = total
    cuda.syncthreads()
    if down == 0 and column < x.shape[1]:
        total = parts[0, across]
        for line in range(1, LINES):
            total += parts[line, across]
        shares[piece, column] = total


@jit
def _add_pieces(dw, shares, accumulate):
    """dw[channel] (+)= its shares; a block for each channel."""
    parts = cuda.shared.array(WARPS, shares.dtype)
    pieces, each = shares.shape[0], shares.shape[2]
    total = shares.dtype.type(0)
    m = cuda.threadIdx.x
    while m < pieces * each:
        piece, i = split(m, each)
        total += shares[piece, cuda.blockIdx.x, i]
        m += THREADS
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        before = wide(dw[cuda.blockIdx.x]) if accumulate else shares.dtype.type(0)
        dw[cuda.blockIdx.x] = narrow(dw, before + total)


def _slopes(dw, dy, x, accumulate, stream):
    outer, channels, inner = x.shape
    real = np.float64 if x.dtype == np.float64 else np.float32
    if inner >= LEAST or channels == 1:
        n = outer * inner
        pieces = max(1, min(-(-n // (SHARE * THREADS)), MOST // channels))
        shares = empty((pieces, channels, 1), real)
        launch(_pieces, pieces * channels, THREADS, stream, shares.squeeze(2), dy, x, -(-n // pieces))
    else:
        across = -(-channels * inner // COLUMNS)
        pieces = max(1, min(-(-outer // (SHARE * LINES)), MOST // max(across, 1)))
        shares = empty((pieces, channels, inner), real)
        flat = [m.reshape(m.shape[0], channels * inner) for m in (shares, dy, x)]
        launch(_columns, (across, pieces), (COLUMNS, LINES), stream, *flat, -(-outer // pieces))
    launch(_add_pieces, channels, THREADS, stream, dw, shares, accumulate)


@kernel(half=True)
def prelu_backward(dx, dw, dy, x, w, accumulate, stream=0):
    """One launch for dx, two for dw."""
    if dx.size:
        flat = [dx.reshape(-1), dy.reshape(-1)]
        start_spread(_prelu_input, stream, flat, x.reshape(-1), w, *_through(x))
    if dw.size:
        _slopes(dw, dy, x, accumulate, stream)


@kernel(half=True)
def rrelu_forward(y, x, slope, stream=0):
    """One launch."""
    launch_map(_rrelu, stream, y, x, slope)


@kernel(half=True)
def rrelu_backward(dx, dy, x, slope, stream=0):
    """One launch."""
    launch_map(_rrelu_gradient, stream, dx, dy, x, slope)
