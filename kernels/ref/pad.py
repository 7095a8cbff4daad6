"""Padding of planes of up to three dimensions: numbers around them, or fewer numbers where padding is negative."""

import numpy as np

from ..pad_modes import CIRCULAR, CONSTANT, check_padding, kept, source


def _sources(y, x, fronts, mode):
    """For each dimension, the position in x that each position in y reads; -1: none."""
    if not CONSTANT <= mode <= CIRCULAR:
        raise ValueError("pad: expected mode 0 .. 3")
    found = []
    for padded, size, front in zip(y.shape[1:], x.shape[1:], fronts, strict=True):
        low, high = kept(size, padded, front)
        check_padding(size, padded, front, high - low, mode)
        found.append(np.array([source(o - front, size, low, high, mode) for o in range(padded)], np.int64))
    return found


def pad_forward(y, x, front_d, front_h, front_w, mode, value):
    """y[p, i, j, k] = x[p, i - front_d, j - front_h, k - front_w]; beyond the edges of x what `mode` says

    y        (P, OD, OH, OW) same [out]  what is behind x follows from the sizes
    x        (P, ID, IH, IW) same        P planes: samples times channels
    front_d  int                         elements in front of x; negative: so many of x are left out
    front_h  int
    front_w  int
    mode     int                         pad_modes: 0 constant, 1 reflect, 2 replicate, 3 circular
    value    float                       the constant, converted to y's dtype

    A dimension that is cut is cut first: circular padding goes around what is left.
    Raises ValueError for padding that a mode has no numbers for. Source: as torch.nn.functional.pad.
    """
    where = _sources(y, x, (front_d, front_h, front_w), mode)
    y[...] = np.float64(value).astype(y.dtype)
    at = [np.flatnonzero(s >= 0) for s in where]
    y[:, *np.ix_(*at)] = x[:, *np.ix_(*(s[a] for s, a in zip(where, at, strict=True)))]


def pad_backward(dx, dy, front_d, front_h, front_w, mode):
    """dx[p, s] = sum of dy[p, o] over the places o that read element s

    dx       (P, ID, IH, IW) [out]
    dy       (P, OD, OH, OW)        gradient of the result
    front_d  int                    as given to the forward
    front_h  int
    front_w  int
    mode     int

    Raises ValueError for padding that a mode has no numbers for.
    """
    where = _sources(dy, dx, (front_d, front_h, front_w), mode)
    dx[...] = 0
    for p, i, j, k in np.ndindex(dy.shape):
        s = where[0][i], where[1][j], where[2][k]
        if min(s) >= 0:
            dx[p, *s] += dy[p, i, j, k]
