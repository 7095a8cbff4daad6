"""Weights as a direction and a length: sums of slices in float64, then a pass that scales.

A slice is many lines as a channel of batch norm is, or one: then it is two launches, else three. Weights stay in the
second cache between them.
"""

import math

import numpy as np

from .lanes import WARPS, block_sum
from .lines import HALF, PARTS, THREADS, chunks_of, lay, line_sum, place, put, reach, take, versions
from .norm_batch import cut
from .norm_lines import number, start
from .target import cuda, empty, jit, kernel, launch


def _build_dots(slots, vector):
    @jit
    def _dots(out, a, b, lines, length, stride, code):
        """out[line] = sum of a b"""
        parts = cuda.shared.array(PARTS, np.float64)
        v, u = cuda.local.array(slots, a.dtype), cuda.local.array(slots, a.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        total = np.float64(0)
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, v, a, at, left, step, a.dtype.type(0))
            take(vector, u, b, at, left, step, a.dtype.type(0))
            for k in range(slots):
                total += np.float64(v[k]) * np.float64(u[k])
        total = line_sum(parts, total, stride, code)
        if there and lane == 0:
            out[line] = total

    return _dots


def _build_scale(slots, vector):
    @jit
    def _lengths(w, norm, v, g, sums, sd, sn, lines, length, stride, code):
        u = cuda.local.array(slots, v.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        r = number(line, sd, sn)
        long = math.sqrt(sums[r])
        if there and lane == 0 and line == r * sd:
            norm[r] = long
        factor = v.dtype.type(g[r] / long)
        for chunk in range(chunks_of(code)):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, u, v, at, left, step, v.dtype.type(0))
            for k in range(slots):
                u[k] *= factor
            put(vector, w, u, at, left, step, there)

    return _lengths


def _build_gradients(slots, vector):
    @jit
    def _weight_gradients(dv, dg, dw, v, g, norm, sums, accumulate, sd, sn, lines, length, stride, code):
        real = v.dtype.type
        a, b = cuda.local.array(slots, v.dtype), cuda.local.array(slots, v.dtype)
        lane, _, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
        r = number(line, sd, sn)
        slope, share = sums[r] / norm[r], g[r] / norm[r]
        if there and lane == 0 and line == r * sd and dg.size > 0:
            dg[r] = real(dg[r] + slope) if accumulate else real(slope)
        p, q = real(share), real(share * slope / norm[r])
        for chunk in range(chunks_of(code) if dv.size > 0 else 0):
            at, left = reach(first, last, step, slots // vector, chunk)
            take(vector, a, dw, at, left, step, real(0))
            take(vector, b, v, at, left, step, real(0))
            for k in range(slots):
                a[k] = p * a[k] - q * b[k]
            if accumulate:
                take(vector, b, dv, at, left, step, real(0))
                for k in range(slots):
                    a[k] += b[k]
            put(vector, dv, a, at, left, step, there)

    return _weight_gradients


_DOTS, _LENGTHS, _GRADIENTS = (versions(make, HALF) for make in (_build_dots, _build_scale, _build_gradients))


@jit
def _gather_slices(sums, found, pieces):
    """A block for each slice: the sum of what its lines found."""
    parts = cuda.shared.array(WARPS, np.float64)
    total, i, r, slices = np.float64(0), cuda.threadIdx.x, cuda.blockIdx.x, cuda.gridDim.x
    while i < found.size // slices:
        total += found[(i // pieces * slices + r) * pieces + i % pieces]
        i += cuda.blockDim.x
    total = block_sum(parts, total)
    if cuda.threadIdx.x == 0:
        sums[r] = total


def _sums(a, b, slices, cutting, laid, stream):
    """For each slice the sum of a b."""
    lines, _, _, near = cutting
    found = empty((lines if laid else 0,), np.float64)
    if laid:
        start(_DOTS, laid, stream, found, a.reshape(-1), b.reshape(-1))
        if lines == slices:
            return found
    sums = empty((slices,), np.float64)
    launch(_gather_slices, slices, THREADS, stream, sums, found, near)
    return sums


@jit
def _no_lengths(norm):
    i = cuda.grid(1)
    if i < norm.size:
        norm[i] = 0


@jit
def _no_slopes(dg, norm, accumulate):
    i = cuda.grid(1)
    if i < dg.size:
        slope = dg.dtype.type(0 / norm[i])
        dg[i] = dg[i] + slope if accumulate else slope


@kernel
def weight_norm_forward(w, norm, v, g, stream=0):
    """Two launches where a slice is one line, else three."""
    cutting = lines, length, stride, near = cut(v)
    if v.size == 0:
        launch(_no_lengths, -(-norm.size // THREADS), THREADS, stream, norm)
        return
    laid = lay(lines, length, stride, w, v, hold=HALF)
    sums = _sums(v, v, norm.size, cutting, laid, stream)
    start(_LENGTHS, laid, stream, w.reshape(-1), norm, v.reshape(-1), g, sums, near, norm.size)


@kernel
def weight_norm_backward(dv, dg, dw, v, g, norm, accumulate, stream=0):
    """As forward."""
    cutting = lines, length, stride, near = cut(v)
    if v.size == 0:
        launch(_no_slopes, -(-dg.size // THREADS), THREADS, stream, dg, norm, accumulate)
        return
    laid = lay(lines, length, stride, dv, dw, v, hold=HALF)
    sums = _sums(dw, v, norm.size, cutting, laid, stream)
    args = dv.reshape(-1), dg, dw.reshape(-1), v.reshape(-1), g, norm, sums, accumulate, near, norm.size
    start(_GRADIENTS, laid, stream, *args)
