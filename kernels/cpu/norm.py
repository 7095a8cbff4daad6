"""Layer norm and root-mean-square norm: passes over a row that stays in the first cache; rows in parallel.

Forward brings x and y once (8 bytes an element of float32), backward dy, x and dx (12). RMS norm is layer norm whose
mean is 0 and is not there (size 0). The gradients of weight and bias are summed up by chunks of rows, each in lines of
its own, and the chunks are added in order.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .norm_parts import BLOCK, GRAIN, about, inverse_root, moments

# rows of a chunk of backward: at most so many are added before the sums of chunks are
LEAST, MOST = 32, 256
# scratch slot: the chunks' shares of dw and db
SLOT = 3


@compiled
def _mean_square(line):
    square = 0.0
    for begin in range(0, line.size, BLOCK):
        square += about(line[begin : begin + BLOCK], line.dtype.type(0))[1]
    return square / max(line.size, 1)


@compiled
def _affine(out, line, near, scale, shift, w, b):
    if w.size and b.size:
        for i in range(out.size):
            out[i] = ((line[i] - near) * scale + shift) * w[i] + b[i]
    elif w.size:
        for i in range(out.size):
            out[i] = ((line[i] - near) * scale + shift) * w[i]
    elif b.size:
        for i in range(out.size):
            out[i] = ((line[i] - near) * scale + shift) + b[i]
    else:
        for i in range(out.size):
            out[i] = (line[i] - near) * scale + shift


@compiled
def _rows(begin, end, y, mean, rstd, x, w, b, eps):
    for r in range(begin, end):
        line, centre = x[r], 0.0
        if mean.size:
            centre, variance = moments(line)
            mean[r] = centre
        else:
            variance = _mean_square(line)
        scale = inverse_root(variance, eps)
        rstd[r] = scale
        near = x.dtype.type(centre)
        _affine(y[r], line, near, x.dtype.type(scale), x.dtype.type((near - centre) * scale), w, b)


@compiled
def _normalise(y, mean, rstd, x, w, b, eps):
    parallel_for(_rows, x.shape[0], max(1, GRAIN // max(x.shape[1], 1)), (y, mean, rstd, x, w, b, eps))


@kernel
def layer_norm_forward(y, mean, rstd, x, w, b, eps):
    """Three passes over a row: its mean, deviations about that, the result."""
    _normalise(y, mean, rstd, x, w, b, float(eps))


@kernel
def rms_norm_forward(y, rstd, x, w, eps):
    """Two passes over a row: squares, the result."""
    # the mean is absent
    _normalise(y, rstd[:0], rstd, x, w, w[:0], float(eps))


@compiled
def _means(slope, line, w, near, scale, shift):
    """Means over a row of g and of g n, where g = slope w, n = (line - near) scale + shift."""
    plain, product = 0.0, 0.0
    for begin in range(0, line.size, BLOCK):
        s, v = slope[begin : begin + BLOCK], line[begin : begin + BLOCK]
        first, second = line.dtype.type(0), line.dtype.type(0)
        if w.size:
            u = w[begin : begin + BLOCK]
            for i in range(v.size):
                g = s[i] * u[i]
                first += g
                second += g * ((v[i] - near) * scale + shift)
        else:
            for i in range(v.size):
                first += s[i]
                second += s[i] * ((v[i] - near) * scale + shift)
        plain += first
        product += second
    return line.dtype.type(plain / line.size), line.dtype.type(product / line.size)


@compiled
def _input_gradient(out, slope, line, w, near, scale, shift, plain, product):
    if w.size:
        for i in range(out.size):
            out[i] = scale * (slope[i] * w[i] - plain - ((line[i] - near) * scale + shift) * product)
    else:
        for i in range(out.size):
            out[i] = scale * (slope[i] - plain - ((line[i] - near) * scale + shift) * product)


@compiled
def _coefficients(x, mean, rstd, r):
    """near, scale and shift of row r: n = (line - near) scale + shift"""
    centre = mean[r] if mean.size else 0.0
    near = x.dtype.type(centre)
    return near, x.dtype.type(rstd[r]), x.dtype.type((near - centre) * rstd[r])


@compiled
def _share(share_w, share_b, slope, line, near, scale, shift):
    """What a row adds to the gradients of weight and bias."""
    for i in range(share_w.size):
        share_w[i] += slope[i] * ((line[i] - near) * scale + shift)
    for i in range(share_b.size):
        share_b[i] += slope[i]


@compiled
def _share_of_four(share_w, share_b, r, dy, x, mean, rstd):
    """What rows r .. r + 3 add: sums are loaded and stored once for all."""
    near0, scale0, shift0 = _coefficients(x, mean, rstd, r)
    near1, scale1, shift1 = _coefficients(x, mean, rstd, r + 1)
    near2, scale2, shift2 = _coefficients(x, mean, rstd, r + 2)
    near3, scale3, shift3 = _coefficients(x, mean, rstd, r + 3)
    s0, s1, s2, s3 = dy[r], dy[r + 1], dy[r + 2], dy[r + 3]
    x0, x1, x2, x3 = x[r], x[r + 1], x[r + 2], x[r + 3]
    for i in range(share_w.size):
        one = s0[i] * ((x0[i] - near0) * scale0 + shift0) + s1[i] * ((x1[i] - near1) * scale1 + shift1)
        two = s2[i] * ((x2[i] - near2) * scale2 + shift2) + s3[i] * ((x3[i] - near3) * scale3 + shift3)
        share_w[i] += one + two
    for i in range(share_b.size):
        share_b[i] += (s0[i] + s1[i]) + (s2[i] + s3[i])


@compiled
def _chunks(begin, end, dx, shares, biases, dy, x, w, mean, rstd, rows):
    for chunk in range(begin, end):
        share_w, share_b = shares[chunk], biases[chunk]
        share_w[:] = 0
        share_b[:] = 0
        last = min(x.shape[0], (chunk + 1) * rows)
        for first in range(chunk * rows, last, 4):
            for r in range(first, min(last, first + 4)):
                near, scale, shift = _coefficients(x, mean, rstd, r)
                if dx.size:
                    plain, product = _means(dy[r], x[r], w, near, scale, shift)
                    if not mean.size:
                        plain = x.dtype.type(0)
                    _input_gradient(dx[r], dy[r], x[r], w, near, scale, shift, plain, product)
                if first + 4 > last:
                    _share(share_w, share_b, dy[r], x[r], near, scale, shift)
            if first + 4 <= last:
                _share_of_four(share_w, share_b, first, dy, x, mean, rstd)


@compiled
def _add_up(gradient, shares, accumulate):
    if not accumulate:
        gradient[:] = 0
    for chunk in range(shares.shape[0]):
        share = shares[chunk]
        for i in range(gradient.size):
            gradient[i] += share[i]


@compiled
def _differentiate(dx, dw, db, dy, x, w, mean, rstd, accumulate):
    N, D = x.shape
    rows = min(MOST, max(LEAST, GRAIN // max(D, 1)))
    chunks = (N + rows - 1) // rows
    wide, biased = D if dw.size else 0, D if db.size else 0
    space = scratch(SLOT, chunks * (wide + biased), x)
    shares, biases = space[: chunks * wide].reshape(chunks, wide), space[chunks * wide :].reshape(chunks, biased)
    grain = max(1, GRAIN // max(rows * D, 1))
    parallel_for(_chunks, chunks, grain, (dx, shares, biases, dy, x, w, mean, rstd, rows))
    if dw.size:
        _add_up(dw, shares, accumulate)
    if db.size:
        _add_up(db, biases, accumulate)


@kernel
def layer_norm_backward(dx, dw, db, dy, x, w, mean, rstd, accumulate):
    """Three passes over a row: the two means, dx, the row's share of dw and db."""
    _differentiate(dx, dw, db, dy, x, w, mean, rstd, accumulate)


@kernel
def rms_norm_backward(dx, dw, dy, x, w, rstd, accumulate):
    """Three passes over a row: the mean, dx, the row's share of dw."""
    _differentiate(dx, dw, dw[:0], dy, x, w, rstd[:0], rstd, accumulate)
