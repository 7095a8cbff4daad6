"""Softmax, softmin, log-softmax: three passes over a line that stays in cache: maximum, sum of exponentials, result.

Along the last dimension a line is contiguous and each pass is a vector loop over it. Along a middle dimension a tile of
neighbouring lines goes through together: vectors lie across the lines, maxima and sums in a buffer of the thread.
Parallel over lines, or over tiles of them. Softmin is softmax of -x, by a sign.
"""

import math

from ..jit import compiled, kernel, leaf, parallel_for, scratch
from .vecbits import at_least, from_order, order
from .vecmath import exp, exp_below, log

# elements a chunk of work has at least, and lines in a tile
GRAIN = 16384
TILE = 128
# elements of a line that are summed up before they are added to the rest: sums of many lose digits
BLOCK = 1024
# scratch slot: maxima of a tile, then its sums
SLOT = 3


@compiled
def _tiles(x):
    """Tiles of lines, and how many make a chunk."""
    outer, length, inner = x.shape
    return outer * ((inner + TILE - 1) // TILE), max(1, GRAIN // (max(length, 1) * TILE))


@compiled
def _line_grain(x):
    return max(1, GRAIN // max(x.shape[1], 1))


@compiled
def _tile(t, x):
    """Tile t is x[o, :, first:last]."""
    inner = x.shape[2]
    tiles = (inner + TILE - 1) // TILE
    first = t % tiles * TILE
    return t // tiles, first, min(inner, first + TILE)


@compiled
def _lines(x):
    """(lines, length) where the dimension is the last."""
    return x.reshape(x.shape[0], x.shape[1])


@compiled
def _maximum(x, sign):
    """The largest of sign * x. A NaN may be passed over: its exponential, and so the sum, is NaN all the same."""
    top = order(x.dtype.type(-math.inf))
    for i in range(x.size):
        k = order(sign * x[i])
        top = k if k > top else top
    return from_order(top)


@compiled
def _maxima(o, first, last, x, sign, top):
    top[:] = -math.inf
    for c in range(x.shape[1]):
        row = x[o, c, first:last]
        for i in range(row.size):
            top[i] = at_least(top[i], sign * row[i])


@compiled
def _softmax_lines(begin, end, y, x, sign):
    for r in range(begin, end):
        row, out = x[r], y[r]
        top, total = _maximum(row, sign), x.dtype.type(0)
        for first in range(0, row.size, BLOCK):
            part, piece, block = x.dtype.type(0), out[first : first + BLOCK], row[first : first + BLOCK]
            for i in range(piece.size):
                e = exp_below(sign * block[i] - top)
                piece[i] = e
                part += e
            total += part
        scale = x.dtype.type(1) / total
        for i in range(out.size):
            out[i] *= scale


@compiled
def _softmax_tiles(begin, end, y, x, sign):
    buffer = scratch(SLOT, 2 * TILE, x)
    for t in range(begin, end):
        o, first, last = _tile(t, x)
        top, total = buffer[: last - first], buffer[TILE : TILE + last - first]
        _maxima(o, first, last, x, sign, top)
        total[:] = 0
        for c in range(x.shape[1]):
            row, out = x[o, c, first:last], y[o, c, first:last]
            for i in range(out.size):
                e = exp_below(sign * row[i] - top[i])
                out[i] = e
                total[i] += e
        for i in range(total.size):
            total[i] = x.dtype.type(1) / total[i]
        for c in range(x.shape[1]):
            out = y[o, c, first:last]
            for i in range(out.size):
                out[i] *= total[i]


@compiled
def _softmax(y, x, sign):
    if x.shape[2] == 1:
        parallel_for(_softmax_lines, x.shape[0], _line_grain(x), (_lines(y), _lines(x), sign))
    else:
        tiles, grain = _tiles(x)
        parallel_for(_softmax_tiles, tiles, grain, (y, x, sign))


@compiled
def _softmax_gradient_lines(begin, end, dx, dy, y, sign):
    for r in range(begin, end):
        out, slope, row = dx[r], dy[r], y[r]
        total = y.dtype.type(0)
        for i in range(out.size):
            total += slope[i] * row[i]
        for i in range(out.size):
            out[i] = sign * row[i] * (slope[i] - total)


@compiled
def _softmax_gradient_tiles(begin, end, dx, dy, y, sign):
    buffer = scratch(SLOT, TILE, y)
    for t in range(begin, end):
        o, first, last = _tile(t, y)
        total = buffer[: last - first]
        total[:] = 0
        for c in range(y.shape[1]):
            slope, row = dy[o, c, first:last], y[o, c, first:last]
            for i in range(total.size):
                total[i] += slope[i] * row[i]
        for c in range(y.shape[1]):
            out, slope, row = dx[o, c, first:last], dy[o, c, first:last], y[o, c, first:last]
            for i in range(total.size):
                out[i] = sign * row[i] * (slope[i] - total[i])


@compiled
def _softmax_gradient(dx, dy, y, sign):
    if y.shape[2] == 1:
        lines = (_lines(dx), _lines(dy), _lines(y), sign)
        parallel_for(_softmax_gradient_lines, y.shape[0], _line_grain(y), lines)
    else:
        tiles, grain = _tiles(y)
        parallel_for(_softmax_gradient_tiles, tiles, grain, (dx, dy, y, sign))


@kernel
def softmax_forward(y, x):
    """Lines or tiles of them in parallel; exponentials are stored in y and scaled there."""
    _softmax(y, x, x.dtype.type(1))


@kernel
def softmax_backward(dx, dy, y):
    """Lines or tiles of them in parallel: one pass for the sum, one for dx."""
    _softmax_gradient(dx, dy, y, y.dtype.type(1))


@kernel
def softmin_forward(y, x):
    """Softmax of -x."""
    _softmax(y, x, x.dtype.type(-1))


@kernel
def softmin_backward(dx, dy, y):
    """Softmax's, with the sign turned."""
    _softmax_gradient(dx, dy, y, y.dtype.type(-1))


@leaf
def _less_both(x, top, shift):
    # in this order: x - top is exact near the maximum, where it matters; top + shift is not
    return (x - top) - shift


@compiled
def _log_lines(begin, end, y, x):
    one = x.dtype.type(1)
    for r in range(begin, end):
        row, out = x[r], y[r]
        top, total = _maximum(row, one), x.dtype.type(0)
        for first in range(0, row.size, BLOCK):
            part, block = x.dtype.type(0), row[first : first + BLOCK]
            for i in range(block.size):
                part += exp_below(block[i] - top)
            total += part
        shift = log(total)
        for i in range(out.size):
            out[i] = _less_both(row[i], top, shift)


@compiled
def _log_tiles(begin, end, y, x):
    buffer = scratch(SLOT, 2 * TILE, x)
    for t in range(begin, end):
        o, first, last = _tile(t, x)
        top, total = buffer[: last - first], buffer[TILE : TILE + last - first]
        _maxima(o, first, last, x, x.dtype.type(1), top)
        total[:] = 0
        for c in range(x.shape[1]):
            row = x[o, c, first:last]
            for i in range(total.size):
                total[i] += exp_below(row[i] - top[i])
        for i in range(total.size):
            total[i] = log(total[i])
        for c in range(x.shape[1]):
            row, out = x[o, c, first:last], y[o, c, first:last]
            for i in range(total.size):
                out[i] = _less_both(row[i], top[i], total[i])


@kernel
def log_softmax_forward(y, x):
    """Lines or tiles of them in parallel; y = (x - maximum) - log(sum)."""
    if x.shape[2] == 1:
        parallel_for(_log_lines, x.shape[0], _line_grain(x), (_lines(y), _lines(x)))
    else:
        tiles, grain = _tiles(x)
        parallel_for(_log_tiles, tiles, grain, (y, x))


@compiled
def _log_gradient_lines(begin, end, dx, dy, y):
    for r in range(begin, end):
        out, slope, row = dx[r], dy[r], y[r]
        total = y.dtype.type(0)
        for i in range(out.size):
            total += slope[i]
        for i in range(out.size):
            out[i] = slope[i] - exp(row[i]) * total


@compiled
def _log_gradient_tiles(begin, end, dx, dy, y):
    buffer = scratch(SLOT, TILE, y)
    for t in range(begin, end):
        o, first, last = _tile(t, y)
        total = buffer[: last - first]
        total[:] = 0
        for c in range(y.shape[1]):
            slope = dy[o, c, first:last]
            for i in range(total.size):
                total[i] += slope[i]
        for c in range(y.shape[1]):
            out, slope, row = dx[o, c, first:last], dy[o, c, first:last], y[o, c, first:last]
            for i in range(total.size):
                out[i] = slope[i] - exp(row[i]) * total[i]


@kernel
def log_softmax_backward(dx, dy, y):
    """Lines or tiles of them in parallel: one pass for the sum, one for dx."""
    if y.shape[2] == 1:
        parallel_for(_log_gradient_lines, y.shape[0], _line_grain(y), (_lines(dx), _lines(dy), _lines(y)))
    else:
        tiles, grain = _tiles(y)
        parallel_for(_log_gradient_tiles, tiles, grain, (dx, dy, y))
