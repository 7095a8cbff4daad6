"""Resampling of planes of up to three dimensions: along each, a result is a weighted sum of a few elements.

Which ones, and how much of each, is told by tables (interpolate_taps.py). So the same kernels serve nearest, linear and
cubic, with and without antialias.
"""

import numpy as np


def _check(x, tables):
    for size, (taps, _) in zip(x.shape[1:], tables, strict=True):
        if taps.shape[0] < 1:
            raise ValueError("interpolate: expected a tap or more for each result")
        if taps.size and (taps.min() < 0 or taps.max() > size):
            raise ValueError("interpolate: a tap does not lie in the input")


def interpolate_forward(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w):
    """y[p, i, j, k] = sum over a, b, c of wd[a, i] wh[b, j] ww[c, k] x[p, td[a, i], th[b, j], tw[c, k]]

    y          (P, OD, OH, OW) [out]
    x          (P, ID, IH, IW)       P planes: samples times channels
    taps_d     (A, OD) int64         positions, 0 .. ID-1; ID: none
    weights_d  (A, OD)
    taps_h     (B, OH) int64         likewise
    weights_h  (B, OH)
    taps_w     (C, OW) int64         likewise
    weights_w  (C, OW)

    Raises ValueError for positions outside of the input, and for tables without taps.
    """
    tables = (taps_d, weights_d), (taps_h, weights_h), (taps_w, weights_w)
    _check(x, tables)
    for axis, (taps, weights) in enumerate(tables, 1):
        wide = np.insert(np.moveaxis(x, axis, -1), x.shape[axis], 0, axis=-1)
        x = np.moveaxis(sum(w * wide[..., t] for t, w in zip(taps, weights, strict=True)), -1, axis)
    y[...] = x


def interpolate_backward(dx, dy, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w):
    """dx[p, s] = sum of the weights of s in o times dy[p, o]

    dx         (P, ID, IH, IW) [out]
    dy         (P, OD, OH, OW)       gradient of the result
    taps_d     (A, OD) int64         as given to the forward
    weights_d  (A, OD)
    taps_h     (B, OH) int64
    weights_h  (B, OH)
    taps_w     (C, OW) int64
    weights_w  (C, OW)

    Raises ValueError for positions outside of the input, and for tables without taps.
    """
    tables = (taps_d, weights_d), (taps_h, weights_h), (taps_w, weights_w)
    _check(dx, tables)
    for axis, (taps, weights) in enumerate(tables, 1):
        slope = np.moveaxis(dy, axis, -1)
        wide = np.zeros((*slope.shape[:-1], dx.shape[axis] + 1), dx.dtype)
        for t, w in zip(taps, weights, strict=True):
            np.add.at(wide, (..., t), w * slope)
        dy = np.moveaxis(wide[..., :-1], -1, axis)
    dx[...] = dy
