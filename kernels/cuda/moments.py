"""Variance, Euclidean norm and log-sum-exp along the lines of lines.py, each element read once.

A line that is all there is, is cut into pieces, and a second launch joins what they found; any other takes one launch.
Gradients are one pass over the elements.
"""

import math

import numpy as np

from .elementwise import fill_forward
from .functions import exp, log, sqrt
from .lanes import WARPS, block_max, block_sum
from .lines import (
    HALF,
    PARTS,
    THREADS,
    chunks_of,
    lay,
    line_max,
    line_sum,
    pieces,
    place,
    put,
    reach,
    take,
    versions,
)
from .norm_lines import number, start
from .norm_parts import grown, settled
from .target import SIMULATOR, cuda, device, empty, jit, kernel, launch, spread

VARIANCE, LENGTH, EXPONENTIALS = 0, 1, 2
# elements of a piece of lines side by side, at least
LEAST = 4 if SIMULATOR else 256
# lines side by side that a block has
NEAR = 4 if SIMULATOR else 16


def _cut(x):
    """(lines, length, stride, (divisor, count)): line number `line` belongs to result (line // divisor) % count."""
    outer, length, inner = x.shape
    n = 1
    if inner == 1:
        n = pieces(length, outer)
        return outer * n, length // n, 1, (n, max(outer, 1))
    if outer == 1:
        n = pieces(length, -(-inner // NEAR), LEAST)
    return outer * n * inner, length // n, inner, (1, max(outer * inner, 1))


@device
def base(top):
    """What exponents are relative to: the maximum, or 0 where it is infinite."""
    real = type(top)
    return top if -real(math.inf) < top < real(math.inf) else real(0)


@device
def rebased(total, top, best):
    """A sum of exponentials relative to `top` as one relative to `best`; without terms it is 0, or NaN."""
    return total * exp(base(top) - base(best)) if top > -type(top)(math.inf) else total


def _build_sums(slots, vector):
    @jit
    def _line_sums(found, y, x, kind, lines, length, stride, code):
        """What `ended` makes a result of: two numbers to `found` if it is there, or the result."""
        real = x.dtype.type
        parts = cuda.shared.array(PARTS, x.dtype)
        v = cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        nothing = real(-math.inf) if kind == EXPONENTIALS else real(0)
        top, total = nothing, real(0)
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, x, at, left, step, nothing)
            if kind == LENGTH:
                for k in range(slots):
                    total += v[k] * v[k]
            else:
                best = top
                for k in range(slots):
                    best = v[k] if v[k] > best else best
                total = rebased(total, top, best)
                for k in range(slots):
                    total += exp(v[k] - base(best))
                top = best
        if kind == EXPONENTIALS:
            best = line_max(parts, top, stride, code)
            total, top = rebased(total, top, best), best
        total = line_sum(parts, total, stride, code)
        if there and lane == 0:
            if found.size > 0:
                found[line, 0], found[line, 1] = total, top
            else:
                y[line] = ended(kind, total, top)

    return _line_sums


@device
def ended(kind, total, top):
    return sqrt(total) if kind == LENGTH else log(total) + base(top)


def _build_variance(slots, vector):
    @jit
    def _line_variance(found, y, mean, x, degrees, lines, length, stride, code):
        real = x.dtype.type
        parts = cuda.shared.array(PARTS, np.float64)
        v = cuda.local.array(slots, x.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        count, centre, square = np.float64(0), np.float64(0), np.float64(0)
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, x, at, left, step, real(0))
            count, centre, square = grown(vector, v, left, step, count, centre, square)
        centre, variance = settled(parts, count, centre, square, length, stride, code)
        if there and lane == 0:
            if found.size > 0:
                found[line, 0], found[line, 1] = centre, variance * length
            else:
                mean[line], y[line] = centre, variance * length / degrees

    return _line_variance


def _build_gradient(slots, vector):
    @jit
    def _line_gradient(dx, dy, x, y, kind, scale, sd, sn, lines, length, stride, code):
        """y: the mean for a variance, else the result."""
        zero = x.dtype.type(0)
        v = cuda.local.array(slots, x.dtype)
        _, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        s = number(line, sd, sn)
        slope, own = scale * dy[s], y[s]
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, x, at, left, step, zero)
            if kind == VARIANCE:
                for k in range(slots):
                    v[k] = slope * (v[k] - own)
            elif kind == LENGTH:
                for k in range(slots):
                    v[k] = zero if own == zero else slope * v[k] / own
            else:
                for k in range(slots):
                    v[k] = slope * exp(v[k] - own)
            put(vector, dx, v, at, left, step, there)

    return _line_gradient


_SUMS, _DEVIATIONS, _GRADIENT = versions(_build_sums), versions(_build_variance), versions(_build_gradient, HALF)


@jit
def _join_sums(y, found, kind, own, following):
    """A block for each result; its pieces are found[block * own + k * following]."""
    parts = cuda.shared.array(WARPS, y.dtype)
    real, count = y.dtype.type, found.shape[0] // y.size
    first, top, total = cuda.blockIdx.x * own, real(-math.inf), real(0)
    k = cuda.threadIdx.x
    while k < count:
        i = first + k * following
        top = found[i, 1] if found[i, 1] > top else top
        k += cuda.blockDim.x
    top = block_max(parts, top)
    k = cuda.threadIdx.x
    while k < count:
        i = first + k * following
        total += rebased(found[i, 0], found[i, 1], top) if kind == EXPONENTIALS else found[i, 0]
        k += cuda.blockDim.x
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        y[cuda.blockIdx.x] = ended(kind, total, top)


@jit
def _join_variance(y, mean, found, own, following, length, degrees):
    """The same; a piece is of `length` elements."""
    parts = cuda.shared.array(WARPS, np.float64)
    count = found.shape[0] // y.size
    first, centre, square = cuda.blockIdx.x * own, np.float64(0), np.float64(0)
    k = cuda.threadIdx.x
    while k < count:
        centre += found[first + k * following, 0]
        k += cuda.blockDim.x
    centre = block_sum(parts, centre) / count
    k = cuda.threadIdx.x
    while k < count:
        i = first + k * following
        gap = found[i, 0] - centre
        square += found[i, 1] + length * (gap * gap)
        k += cuda.blockDim.x
    square = block_sum(parts, square)
    if cuda.threadIdx.x == 0:
        mean[cuda.blockIdx.x], y[cuda.blockIdx.x] = centre, square / degrees


def _pieces_of(lines, results, stride, dtype):
    """(space for what the pieces of results find, if there are pieces; where they lie)"""
    count = lines // results
    found = empty((lines if count > 1 else 0, 2), dtype)
    return found, *((1, results) if stride > 1 else (count, 1))


def _sums(y, x, kind, stream):
    if y.size == 0:
        return
    (lines, length, stride, _), y, x = _cut(x), y.reshape(-1), x.reshape(-1)
    found, own, following = _pieces_of(lines, y.size, stride, x.dtype)
    start(_SUMS, lay(lines, length, stride, x), stream, found, y, x, kind)
    if found.size:
        launch(_join_sums, y.size, THREADS, stream, y, found, kind, own, following)


def _gradient(dx, dy, x, y, kind, scale, stream):
    if x.size:
        lines, length, stride, index = _cut(x)
        dx, dy, x, y = dx.reshape(-1), dy.reshape(-1), x.reshape(-1), y.reshape(-1)
        laid = lay(lines, length, stride, dx, x, hold=HALF)
        start(_GRADIENT, laid, stream, dx, dy, x, y, kind, x.dtype.type(scale), *index)


def _degrees(x, correction):
    return np.float64(max(0.0, x.shape[1] - correction))


@kernel
def var_forward(y, mean, x, correction, stream=0):
    """Mean and squared deviations of what a thread holds, joined in float64: one pass over x."""
    if y.size == 0:
        return
    degrees = _degrees(x, correction)
    if x.size == 0:
        fill_forward(mean, math.nan, stream)
        fill_forward(y, 0.0 if degrees else math.nan, stream)
        return
    (lines, length, stride, _), y, mean, x = _cut(x), y.reshape(-1), mean.reshape(-1), x.reshape(-1)
    found, own, following = _pieces_of(lines, y.size, stride, np.float64)
    start(_DEVIATIONS, lay(lines, length, stride, x), stream, found, y, mean, x, degrees)
    if found.size:
        launch(_join_variance, y.size, THREADS, stream, y, mean, found, own, following, length, degrees)


@kernel
def var_backward(dx, dy, x, mean, correction, stream=0):
    """One launch."""
    with np.errstate(divide="ignore"):
        _gradient(dx, dy, x, mean, VARIANCE, 2 / _degrees(x, correction), stream)


@kernel
def norm_forward(y, x, stream=0):
    """One pass over x."""
    _sums(y, x, LENGTH, stream)


@kernel
def norm_backward(dx, dy, x, y, stream=0):
    """One launch."""
    _gradient(dx, dy, x, y, LENGTH, 1, stream)


@kernel
def logsumexp_forward(y, x, stream=0):
    """Maximum and sum of exponentials together: one pass over x."""
    _sums(y, x, EXPONENTIALS, stream)


@kernel
def logsumexp_backward(dx, dy, x, y, stream=0):
    """One launch."""
    _gradient(dx, dy, x, y, EXPONENTIALS, 1, stream)


@jit
def _root_gradient(dvar, dy, y):
    zero, i = y.dtype.type(0), cuda.grid(1)
    while i < y.size:
        dvar[i] = zero if y[i] == zero else dy[i] / (y[i] + y[i])
        i += cuda.gridsize(1)


@kernel
def std_backward(dvar, dy, y, stream=0):
    """One launch."""
    spread(_root_gradient, y.size, stream, dvar, dy, y)
