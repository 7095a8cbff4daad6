"""Local response norm: vectors lie across positions, a tile of them goes through the channels one after the other.

The squares of a window are added anew for each channel: a sum that drops one and takes one would keep what rounding
left of large numbers. Channels of a few positions leave vectors short.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .vecmath import exp, log

# positions of a tile; elements that a chunk of work has at least
WIDTH, GRAIN = 512, 8192
# scratch slot: a tile of dy x scale^(-beta - 1), then a line of sums
SLOT = 3


@compiled
def _tiles(x):
    return (x.shape[2] + WIDTH - 1) // WIDTH


@compiled
def _tile(t, x):
    """Tile t is x[o, :, left:right]."""
    tiles = _tiles(x)
    left = t % tiles * WIDTH
    return t // tiles, left, min(x.shape[2], left + WIDTH)


@compiled
def _tile_grain(x):
    return max(1, GRAIN // max(x.shape[1] * min(x.shape[2], WIDTH), 1))


@compiled
def _scale_tiles(begin, end, y, scale, x, size, share, beta, k):
    for t in range(begin, end):
        o, left, right = _tile(t, x)
        for c in range(x.shape[1]):
            line, out, total = x[o, c, left:right], y[o, c, left:right], scale[o, c, left:right]
            total[:] = 0
            for n in range(max(0, c - size // 2), min(x.shape[1], c + (size - 1) // 2 + 1)):
                near = x[o, n, left:right]
                for i in range(total.size):
                    total[i] += near[i] * near[i]
            for i in range(total.size):
                s = k + share * total[i]
                total[i] = s
                out[i] = line[i] * exp(-beta * log(s))


@kernel
def local_response_norm_forward(y, scale, x, size, alpha, beta, k):
    """Tiles of positions in parallel; scale^-beta is exp(-beta log(scale))."""
    if size < 1:
        raise ValueError("size: expected 1 or more")
    share, power, more = x.dtype.type(alpha / size), x.dtype.type(beta), x.dtype.type(k)
    operands = (y, scale, x, size, share, power, more)
    parallel_for(_scale_tiles, x.shape[0] * _tiles(x), _tile_grain(x), operands)


@compiled
def _gradient_tiles(begin, end, dx, dy, x, scale, size, share, beta):
    channels = x.shape[1]
    for t in range(begin, end):
        o, left, right = _tile(t, x)
        width = right - left
        buffer = scratch(SLOT, (channels + 1) * width, x)
        total = buffer[channels * width : (channels + 1) * width]
        for c in range(channels):
            line, slope, s, out = (
                x[o, c, left:right],
                dy[o, c, left:right],
                scale[o, c, left:right],
                dx[o, c, left:right],
            )
            kept = buffer[c * width : (c + 1) * width]
            for i in range(kept.size):
                g = slope[i] * exp(-beta * log(s[i]))
                out[i] = g
                kept[i] = g * line[i] / s[i]
        for c in range(channels):
            line, out = x[o, c, left:right], dx[o, c, left:right]
            total[:] = 0
            for n in range(max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1)):
                kept = buffer[n * width : (n + 1) * width]
                for i in range(total.size):
                    total[i] += kept[i]
            for i in range(out.size):
                out[i] -= share * line[i] * total[i]


@kernel
def local_response_norm_backward(dx, dy, x, scale, size, alpha, beta):
    """Tiles of positions in parallel: what each element adds to its neighbours goes to a buffer first."""
    if size < 1:
        raise ValueError("size: expected 1 or more")
    operands = (dx, dy, x, scale, size, x.dtype.type(2 * alpha * beta / size), x.dtype.type(beta))
    parallel_for(_gradient_tiles, x.shape[0] * _tiles(x), _tile_grain(x), operands)
