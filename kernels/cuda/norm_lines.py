"""Norms whose statistics and weights are those of whole lines: batch, group and instance norm.

Lines are those of lines.py. Line number `line` has statistics number (line // sd) % sn and weight number
(line // wd) % wn: `index` packs the four. Where a statistic is that of one line all is done in one launch, which reads
once; elsewhere lines leave their part of it, those of a statistic are joined, and a last launch goes over x again.
"""

import numpy as np

from .lines import HALF, PARTS, THREADS, chunks_of, line_sum, place, put, reach, take, versions
from .norm_parts import grown, inverse_root, settled
from .target import cuda, device, jit, launch

# the `code` of one line that a block of THREADS has
BLOCK = THREADS.bit_length() - 1


@device
def number(line, divisor, count):
    quotient = np.uint32(line) // np.uint32(divisor)
    return np.int64(np.uint32(quotient) % np.uint32(count))


@device
def folded(mean, root, weight, bias, like):
    """(near, scale, shift) of (x - mean) root weight + bias as (x - near) scale + shift."""
    real = like.dtype.type
    near = real(mean)
    scale = root * weight
    return near, real(scale), real((near - mean) * scale + bias)


def _build_moments(slots, vector):
    @jit
    def _line_moments(out, x, lines, length, stride, code):
        """out[line] = mean and squared deviations"""
        parts = cuda.shared.array(PARTS, np.float64)
        v = cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        count, mean, square = np.float64(0), np.float64(0), np.float64(0)
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, x, at, left, step, x.dtype.type(0))
            count, mean, square = grown(vector, v, left, step, count, mean, square)
        mean, variance = settled(parts, count, mean, square, length, stride, code)
        if there and lane == 0:
            out[line, 0], out[line, 1] = mean, variance * length

    return _line_moments


def _build_apply(slots, vector):
    @jit
    def _apply_norm(
        y, mean, rstd, x, w, b, running_mean, running_var, eps, sd, sn, wd, wn, lines, length, stride, code
    ):
        """y from statistics that are there: those of x, or running ones, which go into mean and rstd."""
        v = cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        s, c = number(line, sd, sn), number(line, wd, wn)
        if running_mean.size > 0:
            centre, root = np.float64(running_mean[s]), inverse_root(np.float64(running_var[s]), eps)
            if there and lane == 0 and line == s * sd:
                mean[s], rstd[s] = centre, root
        else:
            centre, root = mean[s], rstd[s]
        weight = np.float64(w[c]) if w.size > 0 else np.float64(1)
        near, scale, shift = folded(centre, root, weight, np.float64(b[c]) if b.size > 0 else np.float64(0), x)
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, x, at, left, step, near)
            for k in range(slots):
                v[k] = (v[k] - near) * scale + shift
            put(vector, y, v, at, left, step, there)

    return _apply_norm


def _build_whole(slots, vector):
    @jit
    def _whole_line(y, mean, rstd, x, w, b, eps, wn, inner, lines, length, stride, code):
        """Statistics of each line and the result. A line has weights (line % wn) n ... of n = length / inner channels;
        inner is 0 where n is 1."""
        real = x.dtype.type
        parts = cuda.shared.array(PARTS, np.float64)
        v = cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors = chunks_of(code), slots // vector
        count, centre, square = np.float64(0), np.float64(0), np.float64(0)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, x, at, left, step, real(0))
            count, centre, square = grown(vector, v, left, step, count, centre, square)
        centre, variance = settled(parts, count, centre, square, length, stride, code)
        root = inverse_root(variance, eps)
        if there and lane == 0:
            mean[line], rstd[line] = centre, root
        c, weight, bias = number(line, 1, wn), np.float64(1), np.float64(0)
        if inner == 0:
            weight = np.float64(w[c]) if w.size > 0 else weight
            bias = np.float64(b[c]) if b.size > 0 else bias
        near, scale, shift = folded(centre, root, weight, bias, x)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            if chunks > 1:
                take(vector, v, x, at, left, step, real(0))
            for k in range(slots):
                v[k] = (v[k] - near) * scale + shift
            if inner > 0:
                # contiguous lines: a vector may lie in several channels
                base, most = at - line * length, length - 1
                for k in range(slots):
                    j = min(base + np.int32(k // vector * step + k % vector), most)
                    j = np.int64(np.uint32(c * length + j) // np.uint32(inner))
                    if w.size > 0:
                        v[k] *= w[j]
                    if b.size > 0:
                        v[k] += b[j]
            put(vector, y, v, at, left, step, there)

    return _whole_line


@device
def slopes(v, g, near, plain, product):
    """Sums of g and of g (v - near), with a chunk more; g is 0 behind its end."""
    for k in range(v.size):
        plain += g[k]
        product += g[k] * (v[k] - near)
    return plain, product


def _build_slopes(slots, vector):
    @jit
    def _line_slopes(out, dy, x, mean, sd, sn, lines, length, stride, code):
        """out[line] = sums of dy and of dy (x - near)"""
        zero = x.dtype.type(0)
        parts = cuda.shared.array(PARTS, np.float64)
        v, g = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        near = x.dtype.type(mean[number(line, sd, sn)])
        plain, product = zero, zero
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, x, at, left, step, near)
            take(vector, g, dy, at, left, step, zero)
            plain, product = slopes(v, g, near, plain, product)
        first_sum = line_sum(parts, np.float64(plain), stride, code)
        second_sum = line_sum(parts, np.float64(product), stride, code)
        if there and lane == 0:
            out[line, 0], out[line, 1] = first_sum, second_sum

    return _line_slopes


def _build_combine(slots, vector):
    @jit
    def _combine_lines(dx, dy, x, w, mean, rstd, tilts, levels, sd, sn, wd, wn, lines, length, stride, code):
        """dx = a dy + (tilt (x - near) + level); without tilts x has no part in it, and its NaN must not reach dx."""
        zero = x.dtype.type(0)
        v, g = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        _, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        s, c = number(line, sd, sn), number(line, wd, wn)
        a, near = x.dtype.type(rstd[s] * w[c] if w.size > 0 else rstd[s]), x.dtype.type(mean[s])
        depends = tilts.size > 0
        tilt, level = tilts[s] if depends else zero, levels[s] if depends else zero
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, g, dy, at, left, step, zero)
            if depends:
                take(vector, v, x, at, left, step, near)
                for k in range(slots):
                    g[k] = a * g[k] + (tilt * (v[k] - near) + level)
            else:
                for k in range(slots):
                    g[k] *= a
            put(vector, dx, g, at, left, step, there)

    return _combine_lines


def _build_whole_gradient(slots, vector):
    @jit
    def _whole_line_gradient(dx, weights, biases, dy, x, w, mean, rstd, wn, lines, length, stride, code):
        """dx, and what each line adds to the gradients of its weight and bias."""
        zero = x.dtype.type(0)
        parts = cuda.shared.array(PARTS, np.float64)
        v, g = cuda.local.array(slots, x.dtype), cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors = chunks_of(code), slots // vector
        centre, root = mean[line], rstd[line]
        near, plain, product = x.dtype.type(centre), zero, zero
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, x, at, left, step, near)
            take(vector, g, dy, at, left, step, zero)
            plain, product = slopes(v, g, near, plain, product)
        whole = line_sum(parts, np.float64(plain), stride, code)
        slope = (line_sum(parts, np.float64(product), stride, code) + (near - centre) * whole) * root
        if there and lane == 0:
            if weights.size > 0:
                weights[line] = slope
            if biases.size > 0:
                biases[line] = whole
        c = number(line, 1, wn)
        factor = root * w[c] if w.size > 0 else root
        tilt = -factor * root * slope / length
        a, p = x.dtype.type(factor), x.dtype.type(tilt)
        q = x.dtype.type((near - centre) * tilt - factor * whole / length)
        for chunk in range(chunks if dx.size > 0 else 0):
            at, left = reach(first, last, step, vectors, chunk)
            if chunks > 1:
                take(vector, v, x, at, left, step, near)
                take(vector, g, dy, at, left, step, zero)
            for k in range(slots):
                g[k] = a * g[k] + (p * (v[k] - near) + q)
            put(vector, dx, g, at, left, step, there)

    return _whole_line_gradient


MOMENTS, APPLY, WHOLE = versions(_build_moments), versions(_build_apply), versions(_build_whole)
SLOPES, COMBINE = versions(_build_slopes, HALF), versions(_build_combine, HALF)
WHOLE_GRADIENT = versions(_build_whole_gradient, HALF)


def start(kernels, laid, stream, *args):
    launch(laid.of(kernels), laid.grid, laid.block, stream, *args, *laid.shape)


@jit
def _join_lines(mean, rstd, found, channels, pieces, count, eps):
    """Statistics of a channel, one a block, from those of its lines; pieces: neighbouring lines of it. count: elements
    of a line."""
    parts = cuda.shared.array(PARTS, np.float64)
    channel, i = cuda.blockIdx.x, cuda.threadIdx.x
    many, centre, square = np.float64(0), np.float64(0), np.float64(0)
    lines, n = found.shape[0] // channels, np.float64(count)
    while i < lines:
        line = (i // pieces * channels + channel) * pieces + i % pieces
        shift, share = found[line, 0] - centre, n / (many + n)
        square += found[line, 1] + shift * shift * (many * share)
        centre += shift * share
        many += n
        i += cuda.blockDim.x
    centre, variance = settled(parts, many, centre, square, lines * count, 1, BLOCK)
    if cuda.threadIdx.x == 0:
        mean[channel], rstd[channel] = centre, inverse_root(variance, eps)


def join(mean, rstd, found, pieces, count, eps, stream):
    """One launch, a block for each statistic."""
    launch(_join_lines, mean.size, THREADS, stream, mean, rstd, found, mean.size, pieces, count, eps)
