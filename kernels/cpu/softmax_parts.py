"""Pieces of the softmax losses: a row of many classes, and a tile of few classes by many samples.

Both subtract the largest logit first. Sums of exponentials are made in blocks and added up in float64 (rows) or block
by block (tiles), so that fifty thousand classes cost no digits.
"""

from ..jit import compiled
from .vecmath import exp_below

# classes of a block of a sum
BLOCK = 256
# a running maximum is kept in this many lanes: several vectors, whatever the vector
LANES = 64
# classes from which on a row is worth a row's overhead
WIDE = LANES


@compiled
def check_smoothing(label_smoothing):
    if not (label_smoothing >= 0 and label_smoothing <= 1):
        raise ValueError("label_smoothing: expected 0 .. 1")


@compiled
def row_top(x, lanes):
    """The largest of x, which has LANES elements or more; NaN is passed over. lanes: LANES numbers of workspace."""
    for k in range(LANES):
        lanes[k] = x[k]
    for j in range(LANES, x.size, LANES):
        block = x[min(j, x.size - LANES) :]
        for k in range(LANES):
            lanes[k] = block[k] if block[k] > lanes[k] or lanes[k] != lanes[k] else lanes[k]
    top = lanes[0]
    for k in range(1, LANES):
        top = lanes[k] if lanes[k] > top or top != top else top
    return top


@compiled
def row_exp(e, x, top):
    """e = exp(x - top); gives its sum."""
    total = 0.0
    for begin in range(0, x.size, BLOCK):
        s = x.dtype.type(0)
        source, out = x[begin : begin + BLOCK], e[begin : begin + BLOCK]
        for j in range(source.size):
            value = exp_below(source[j] - top)
            out[j] = value
            s += value
        total += s
    return total


@compiled
def row_sum_exp(x, top):
    """The sum of exp(x - top)."""
    total = 0.0
    for begin in range(0, x.size, BLOCK):
        s = x.dtype.type(0)
        source = x[begin : begin + BLOCK]
        for j in range(source.size):
            s += exp_below(source[j] - top)
        total += s
    return total


@compiled
def tile_top(top, tile, n):
    """The largest of each of n columns; NaN is passed over."""
    for k in range(n):
        top[k] = tile[0, k]
    for j in range(1, tile.shape[0]):
        for k in range(n):
            top[k] = tile[j, k] if tile[j, k] > top[k] or top[k] != top[k] else top[k]


@compiled
def tile_exp(e, total, part, tile, top, n):
    """e = exp(tile - top), total its sum over classes for each of n columns; part is workspace, e may be tile."""
    for k in range(n):
        total[k] = 0
    for begin in range(0, tile.shape[0], BLOCK):
        for k in range(n):
            part[k] = 0
        for j in range(begin, min(tile.shape[0], begin + BLOCK)):
            source, out = tile[j], e[j]
            for k in range(n):
                value = exp_below(source[k] - top[k])
                out[k] = value
                part[k] += value
        for k in range(n):
            total[k] += part[k]


@compiled
def tile_width(c):
    """Samples of a tile: its c classes stay in the second cache, and a column of vectors is whole."""
    return max(16, min(128, 32768 // max(c, 1) // 16 * 16))


@compiled
def load_tile(tile, x, sample, n):
    """tile[:, k] = the classes of sample + k, where samples are counted over the first and the last axis of x."""
    c, m = x.shape[1], x.shape[2]
    if m == 1:
        rows = x.reshape(x.shape[0], c)[sample : sample + n]
        for k in range(n):
            for j in range(c):
                tile[j, k] = rows[k, j]
        return
    k = 0
    while k < n:
        i, first = (sample + k) // m, (sample + k) % m
        some = min(n - k, m - first)
        for j in range(c):
            to, source = tile[j, k : k + some], x[i, j, first : first + some]
            for p in range(some):
                to[p] = source[p]
        k += some


@compiled
def store_tile(x, tile, sample, n):
    """The way back."""
    c, m = x.shape[1], x.shape[2]
    if m == 1:
        rows = x.reshape(x.shape[0], c)[sample : sample + n]
        for k in range(n):
            for j in range(c):
                rows[k, j] = tile[j, k]
        return
    k = 0
    while k < n:
        i, first = (sample + k) // m, (sample + k) % m
        some = min(n - k, m - first)
        for j in range(c):
            source, to = tile[j, k : k + some], x[i, j, first : first + some]
            for p in range(some):
                to[p] = source[p]
        k += some
