"""Softmax, softmin and log-softmax along the lines of lines.py: one launch each, every line read once.

A line of one chunk stays in registers. Of a longer one the maximum and the sum of exponentials are made in one pass,
and what shared memory keeps of it is not read again; the gradients read longer lines twice, the second time mostly from
the second cache. Softmin is softmax of -x, by a sign.
"""

import math

from .functions import exp, log
from .lines import PARTS, chunks_of, keep, lay, line_max, line_sum, place, put, reach, recall, room, take, versions
from .target import cuda, device, jit, kernel, launch


@device
def grown(v, sign, top, total):
    """(maximum of sign x, sum of exp(sign x - maximum)) of a thread, with the elements v more."""
    real = v.dtype.type
    best = top
    for k in range(v.size):
        z = sign * v[k]
        best = z if z > best else best
    # a maximum of -inf is that of nothing, or of elements that add nothing
    base = best if best > real(-math.inf) else real(0)
    total *= exp(top - base)
    for k in range(v.size):
        total += exp(sign * v[k] - base)
    return best, total


@device
def joined(parts, v, sign, top, total, stride, code):
    """(maximum, sum of exponentials) of the line: of v, if that is all of it, else of what `grown` has found."""
    real = v.dtype.type
    if chunks_of(code) == 1:
        best = real(-math.inf)
        for k in range(v.size):
            z = sign * v[k]
            best = z if z > best else best
        best = line_max(parts, best, stride, code)
        total = real(0)
        for k in range(v.size):
            total += exp(sign * v[k] - best)
    else:
        best = line_max(parts, top, stride, code)
        # -inf: this thread has found nothing
        total *= exp(top - best)
    return best, line_sum(parts, total, stride, code)


def _forward(slots, vector):
    @jit
    def _softmax(y, x, sign, logarithm, kept, lines, length, stride, code):
        real = x.dtype.type
        parts, cache = cuda.shared.array(PARTS, x.dtype), cuda.shared.array(0, x.dtype)
        v = cuda.local.array(slots, x.dtype)
        _, _, _, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors = chunks_of(code), slots // vector
        top, total, nothing = real(-math.inf), real(0), sign * real(-math.inf)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, x, at, left, step, nothing)
            if chunks > 1:
                top, total = grown(v, sign, top, total)
            if chunk < kept:
                keep(cache, v, chunk)
        top, total = joined(parts, v, sign, top, total, stride, code)
        shift, scale = log(total), real(1) / total
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            if chunk < kept:
                recall(v, cache, chunk)
            elif chunks > 1:
                take(vector, v, x, at, left, step, nothing)
            for k in range(slots):
                z = sign * v[k] - top
                v[k] = z - shift if logarithm else exp(z) * scale
            put(vector, y, v, at, left, step, there)

    return _softmax


def _backward(slots, vector):
    @jit
    def _softmax_gradient(dx, dy, y, sign, logarithm, lines, length, stride, code):
        real = y.dtype.type
        parts = cuda.shared.array(PARTS, y.dtype)
        v, g = cuda.local.array(slots, y.dtype), cuda.local.array(slots, y.dtype)
        _, _, _, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        chunks, vectors = chunks_of(code), slots // vector
        total = real(0)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            take(vector, v, y, at, left, step, real(0))
            take(vector, g, dy, at, left, step, real(0))
            for k in range(slots):
                total += g[k] if logarithm else g[k] * v[k]
        total = line_sum(parts, total, stride, code)
        for chunk in range(chunks):
            at, left = reach(first, last, step, vectors, chunk)
            if chunks > 1:
                take(vector, v, y, at, left, step, real(0))
                take(vector, g, dy, at, left, step, real(0))
            for k in range(slots):
                v[k] = g[k] - exp(v[k]) * total if logarithm else sign * v[k] * (g[k] - total)
            put(vector, dx, v, at, left, step, there)

    return _softmax_gradient


_FORWARD, _BACKWARD = versions(_forward), versions(_backward)


def _run(y, x, sign, logarithm, stream):
    if x.size == 0:
        return
    y, x, (outer, length, inner) = y.reshape(-1), x.reshape(-1), x.shape
    laid = lay(outer * inner, length, inner, y, x)
    kept, shared = room(laid, x.dtype)
    args = (y, x, x.dtype.type(sign), logarithm, kept, *laid.shape)
    launch(laid.of(_FORWARD), laid.grid, laid.block, stream, *args, shared=shared)


def _run_back(dx, dy, y, sign, logarithm, stream):
    if y.size == 0:
        return
    dx, dy, y, (outer, length, inner) = dx.reshape(-1), dy.reshape(-1), y.reshape(-1), y.shape
    laid = lay(outer * inner, length, inner, dx, dy, y)
    args = (dx, dy, y, y.dtype.type(sign), logarithm, *laid.shape)
    launch(laid.of(_BACKWARD), laid.grid, laid.block, stream, *args)


@kernel
def softmax_forward(y, x, stream=0):
    """One launch; a line is read once and its result written once."""
    _run(y, x, 1, False, stream)


@kernel
def softmax_backward(dx, dy, y, stream=0):
    """One launch; both lines are in registers, or read twice."""
    _run_back(dx, dy, y, 1, False, stream)


@kernel
def softmin_forward(y, x, stream=0):
    """Softmax of -x."""
    _run(y, x, -1, False, stream)


@kernel
def softmin_backward(dx, dy, y, stream=0):
    """Softmax's, with the sign turned."""
    _run_back(dx, dy, y, -1, False, stream)


@kernel
def log_softmax_forward(y, x, stream=0):
    """Softmax's, with another end: y = (x - maximum) - log(sum)."""
    _run(y, x, 1, True, stream)


@kernel
def log_softmax_backward(dx, dy, y, stream=0):
    """Softmax's, with another sum and end."""
    _run_back(dx, dy, y, 1, True, stream)
