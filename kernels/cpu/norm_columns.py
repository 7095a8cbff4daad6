"""Batch norm of channels with few positions: x is (samples, columns), and vectors lie across the columns.

A tile is some whole channels, all of their columns and every sample: narrow enough to stay in the second cache, wide
enough for lines of memory. Statistics are those of norm_parts.py, a column each; the columns of a channel are joined.
"""

from ..jit import compiled, parallel_for, scratch
from .norm_parts import GRAIN, apart, inverse_root, join

# positions up to which vectors lie across channels
FEW = 16
# columns of a tile; samples of a block, and of the first one, which is read twice
WIDTH, ROWS, HEAD = 256, 192, 64
# scratch slots: lines of a tile in the dtype, and in float64
NARROW, WIDE = 3, 4


@compiled
def _tiles(x):
    """Channels of a tile, tiles, and how many make a chunk."""
    O, C, I = x.shape
    channels = max(1, WIDTH // max(I, 1))
    return channels, (C + channels - 1) // channels, max(1, GRAIN // max(O * channels * I, 1))


@compiled
def _tile(t, x, channels):
    """Channels first to last, columns left to right."""
    first = t * channels
    last = min(x.shape[1], first + channels)
    return first, last, first * x.shape[2], last * x.shape[2]


# sums over several rows at a time are loaded and stored once for all; each loop writes one line and reads few, as LLVM
# gives up where it would have to look for overlaps of more than eight pairs


@compiled
def _deviations(first, second, centre, x, o, left, right):
    """Of four rows."""
    a, b, c, d = x[o, left:right], x[o + 1, left:right], x[o + 2, left:right], x[o + 3, left:right]
    for i in range(first.size):
        m = centre[i]
        first[i] += (apart(a[i], m) + apart(b[i], m)) + (apart(c[i], m) + apart(d[i], m))
    for i in range(second.size):
        m = centre[i]
        p, q, r, s = apart(a[i], m), apart(b[i], m), apart(c[i], m), apart(d[i], m)
        second[i] += (p * p + q * q) + (r * r + s * s)


@compiled
def _slopes(first, second, near, slope, x, o, left, right):
    """Of two rows, sums of slope and of slope (x - near)."""
    a, b = x[o, left:right], x[o + 1, left:right]
    p, q = slope[o, left:right], slope[o + 1, left:right]
    for i in range(first.size):
        first[i] += p[i] + q[i]
    for i in range(second.size):
        second[i] += p[i] * apart(a[i], near[i]) + q[i] * apart(b[i], near[i])


@compiled
def _column_moments(x, left, right, centre, first, second, means, squares):
    """Mean and squared deviations of each column of the matrix x[:, left:right]."""
    O = x.shape[0]
    centre[:] = 0
    means[:] = 0
    squares[:] = 0
    head = min(O, HEAD)
    for o in range(head):
        line = x[o, left:right]
        for i in range(centre.size):
            centre[i] += line[i]
    share = x.dtype.type(1.0 / max(head, 1))
    for i in range(centre.size):
        centre[i] *= share
    begin = 0
    while begin < O:
        first[:] = 0
        second[:] = 0
        end = min(O, begin + ROWS if begin else HEAD)
        fours = (end - begin) // 4 * 4
        for o in range(begin, begin + fours, 4):
            _deviations(first, second, centre, x, o, left, right)
        for o in range(begin + fours, end):
            line = x[o, left:right]
            for i in range(centre.size):
                d = apart(line[i], centre[i])
                first[i] += d
                second[i] += d * d
        for i in range(centre.size):
            means[i], squares[i] = join(
                begin, means[i], squares[i], end - begin, float(centre[i]), float(first[i]), float(second[i])
            )
            centre[i] = means[i]
        begin = end


@compiled
def _join_channel(means, squares, count):
    """Mean and population variance of the columns of a channel, count numbers each."""
    mean, square = 0.0, 0.0
    for k in range(means.size if count else 0):
        mean, square = join(k * count, mean, square + squares[k], count, means[k], 0.0, 0.0)
    return mean, square / max(count * means.size, 1)


@compiled
def _forward_tiles(begin, end, y, mean, rstd, x, w, b, running_mean, running_var, eps, channels):
    O, C, I = x.shape
    flat, out = x.reshape(O, C * I), y.reshape(O, C * I)
    for t in range(begin, end):
        top, bottom, left, right = _tile(t, x, channels)
        width = right - left
        narrow, wide = scratch(NARROW, 3 * width, x), scratch(WIDE, 2 * width, mean)
        near, scale, shift = narrow[:width], narrow[width : 2 * width], narrow[2 * width : 3 * width]
        means, squares = wide[:width], wide[width : 2 * width]
        if running_mean.size == 0:
            _column_moments(flat, left, right, near, scale, shift, means, squares)
        for c in range(top, bottom):
            at = (c - top) * I
            if running_mean.size:
                centre, variance = float(running_mean[c]), float(running_var[c])
            else:
                centre, variance = _join_channel(means[at : at + I], squares[at : at + I], O)
            root = inverse_root(variance, eps)
            mean[c], rstd[c] = centre, root
            close = x.dtype.type(centre)
            factor = root * w[c] if w.size else root
            level = (close - centre) * factor + (b[c] if b.size else 0.0)
            for i in range(at, at + I):
                near[i], scale[i], shift[i] = close, factor, level
        for o in range(O):
            line, result = flat[o, left:right], out[o, left:right]
            for i in range(result.size):
                result[i] = (line[i] - near[i]) * scale[i] + shift[i]


@compiled
def forward_columns(y, mean, rstd, x, w, b, running_mean, running_var, eps):
    channels, tiles, grain = _tiles(x)
    parallel_for(_forward_tiles, tiles, grain, (y, mean, rstd, x, w, b, running_mean, running_var, eps, channels))


@compiled
def _column_slopes(slope, x, left, right, near, first, second, plain, product):
    """Of each column: sums of slope and of slope (x - near)."""
    plain[:] = 0
    product[:] = 0
    for begin in range(0, x.shape[0], ROWS):
        first[:] = 0
        second[:] = 0
        end = min(x.shape[0], begin + ROWS)
        twos = (end - begin) // 2 * 2
        for o in range(begin, begin + twos, 2):
            _slopes(first, second, near, slope, x, o, left, right)
        for o in range(begin + twos, end):
            s, v = slope[o, left:right], x[o, left:right]
            for i in range(near.size):
                first[i] += s[i]
                second[i] += s[i] * (v[i] - near[i])
        for i in range(near.size):
            plain[i] += first[i]
            product[i] += second[i]


@compiled
def _backward_tiles(begin, end, dx, dw, db, dy, x, w, mean, rstd, given, accumulate, channels):
    O, C, I = x.shape
    flat, slope = x.reshape(O, C * I), dy.reshape(O, C * I)
    for t in range(begin, end):
        top, bottom, left, right = _tile(t, x, channels)
        width = right - left
        narrow, wide = scratch(NARROW, 4 * width, x), scratch(WIDE, 2 * width, mean)
        near, a = narrow[:width], narrow[width : 2 * width]
        p, q = narrow[2 * width : 3 * width], narrow[3 * width : 4 * width]
        plains, products = wide[:width], wide[width : 2 * width]
        for i in range(width):
            near[i] = mean[top + i // I]
        if dw.size or db.size or not given:
            _column_slopes(slope, flat, left, right, near, a, p, plains, products)
        for c in range(top, bottom):
            at, centre, root = (c - top) * I, mean[c], rstd[c]
            plain, product = 0.0, 0.0
            for i in range(at, at + I):
                plain += plains[i]
                product += products[i]
            rest = x.dtype.type(centre) - centre
            product = (product + rest * plain) * root
            if dw.size:
                dw[c] = (dw[c] if accumulate else 0.0) + product
            if db.size:
                db[c] = (db[c] if accumulate else 0.0) + plain
            factor = root * w[c] if w.size else root
            tilt = -factor * root * product / (O * I)
            level = rest * tilt - factor * plain / (O * I)
            for i in range(at, at + I):
                a[i], p[i], q[i] = factor, tilt, level
        if dx.size:
            out = dx.reshape(O, C * I)
            for o in range(O):
                s, v, result = slope[o, left:right], flat[o, left:right], out[o, left:right]
                if given:
                    # x has no part in it: Inf or NaN there must not reach dx
                    for i in range(result.size):
                        result[i] = a[i] * s[i]
                else:
                    for i in range(result.size):
                        result[i] = a[i] * s[i] + (p[i] * (v[i] - near[i]) + q[i])


@compiled
def backward_columns(dx, dw, db, dy, x, w, mean, rstd, given, accumulate):
    channels, tiles, grain = _tiles(x)
    parallel_for(_backward_tiles, tiles, grain, (dx, dw, db, dy, x, w, mean, rstd, given, accumulate, channels))
