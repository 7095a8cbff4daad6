"""Weights as a direction and a length: sums in float64, slice by slice, or several side by side."""

import math

import numpy as np

from ..jit import compiled, kernel, parallel_for, scratch

GRAIN = 16384
TOGETHER = 64  # interleaved slices that a chunk has at least: their sums are vectors


@compiled
def _dots(begin, end, sums, a, b, shape):
    """Slices begin .. end: sums of a b."""
    O, R, I = shape
    total = sums[begin:end]
    for r in range(total.size):
        total[r] = 0.0
    if I == 1:
        for o in range(O):
            first, second = a[o * R + begin : o * R + end], b[o * R + begin : o * R + end]
            for r in range(total.size):
                total[r] += np.float64(first[r]) * np.float64(second[r])
        return
    for r in range(total.size):
        for o in range(O):
            at = (o * R + begin + r) * I
            first, second = a[at : at + I], b[at : at + I]
            s = 0.0
            for i in range(I):
                s += np.float64(first[i]) * np.float64(second[i])
            total[r] += s


@compiled
def _scale(begin, end, w, norm, v, g, factors, shape):
    O, R, I = shape
    _dots(begin, end, norm, v, v, shape)
    for r in range(begin, end):
        norm[r] = math.sqrt(norm[r])
        factors[r] = g[r] / norm[r]
    for o in range(O):
        if I == 1:
            at, factor = o * R + begin, factors[begin:end]
            out, line = w[at : at + factor.size], v[at : at + factor.size]
            for r in range(out.size):
                out[r] = line[r] * factor[r]
            continue
        for r in range(begin, end):
            at, scale = (o * R + r) * I, factors[r]
            out, line = w[at : at + I], v[at : at + I]
            for i in range(I):
                out[i] = line[i] * scale


@compiled
def _gradients(begin, end, dv, dg, dw, v, g, norm, dots, factors, shape, accumulate):
    """dv (+)= factors[0] dw - factors[1] v"""
    O, R, I = shape
    _dots(begin, end, dots, dw, v, shape)
    for r in range(begin, end):
        length = dots[r] / norm[r]
        if dg.size:
            dg[r] = dg[r] + length if accumulate else length
        factors[r], factors[R + r] = g[r] / norm[r], g[r] / norm[r] * length / norm[r]
    if dv.size == 0:
        return
    for o in range(O):
        if I == 1:
            first, second = factors[begin:end], factors[R + begin : R + end]
            at, count = o * R + begin, first.size
            out, slope, line = dv[at : at + count], dw[at : at + count], v[at : at + count]
            for r in range(out.size):
                value = first[r] * slope[r] - second[r] * line[r]
                out[r] = out[r] + value if accumulate else value
            continue
        for r in range(begin, end):
            at = (o * R + r) * I
            out, slope, line = dv[at : at + I], dw[at : at + I], v[at : at + I]
            p, q = factors[r], factors[R + r]
            for i in range(I):
                value = p * slope[i] - q * line[i]
                out[i] = out[i] + value if accumulate else value


@compiled
def _grain(shape):
    O, _, I = shape
    grain = max(1, GRAIN // max(1, O * I))
    return max(grain, TOGETHER) if I == 1 else grain


@kernel
def weight_norm_forward(w, norm, v, g):
    """Slices in parallel; the factor of each is rounded once."""
    factors = scratch(3, g.size, v)
    arguments = (w.reshape(-1), norm, v.reshape(-1), g, factors, v.shape)
    parallel_for(_scale, g.size, _grain(v.shape), arguments)


@kernel
def weight_norm_backward(dv, dg, dw, v, g, norm, accumulate):
    """Slices in parallel: the sum over a slice, then its gradient."""
    dots, factors = scratch(3, g.size, norm), scratch(4, 2 * g.size, v)
    flat = (dv.reshape(-1), dg, dw.reshape(-1), v.reshape(-1))
    parallel_for(_gradients, g.size, _grain(v.shape), (*flat, g, norm, dots, factors, v.shape, accumulate))
