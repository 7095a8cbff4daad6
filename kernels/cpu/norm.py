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
def _share(share_w, share_b, slope, line, near, scale, shift):
    """What a row adds to the gradients of weight and bias."""
    if share_b.size:
        for i in range(line.size):
            share_w[i] += slope[i] * ((line[i] - near) * scale + shift)
            share_b[i] += slope[i]
    else:
        for i in range(line.size):
            share_w[i] += slope[i] * ((line[i] - near) * scale + shift)


@compiled
def _chunks(begin, end, dx, shares, biases, dy, x, w, mean, rstd, rows):
    for chunk in range(begin, end):
        share_w, share_b = shares[chunk], biases[chunk]
        share_w[:] = 0
        share_b[:] = 0
        for r in range(chunk * rows, min(x.shape[0], (chunk + 1) * rows)):
            slope, line, centre = dy[r], x[r], mean[r] if mean.size else 0.0
            near = x.dtype.type(centre)
            scale, shift = x.dtype.type(rstd[r]), x.dtype.type((near - centre) * rstd[r])
            if dx.size:
                plain, product = _means(slope, line, w, near, scale, shift)
                if not mean.size:
                    plain = x.dtype.type(0)
                _input_gradient(dx[r], slope, line, w, near, scale, shift, plain, product)
            if share_w.size:
                _share(share_w, share_b, slope, line, near, scale, shift)


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
    wide, biased = D if dw.size or db.size else 0, D if db.size else 0
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
