"""Largest and smallest of the middle dimension: (O, R, I) to (O, I). The first of equals wins; NaN beats everything."""

import numpy as np

from .documented import documented

forward = documented("""
    y        (O, I) same [out]
    indices  (O, I) or (0,) int64 [out]  position along R; size 0: not wanted
    x        (O, R, I) same                 R >= 1 unless O * I = 0, else ValueError
    """)


def _check(y, x):
    if x.shape[1] == 0 and y.size:
        raise ValueError("max/min: the dimension to reduce has no elements")


@forward
def max_forward(y, indices, x):
    """y[o, i] = x[o, indices[o, i], i], the largest over r"""
    _check(y, x)
    if y.size:
        y[...] = x.max(1)
        if indices.size:
            indices[...] = x.argmax(1)


@forward
def min_forward(y, indices, x):
    """y[o, i] = x[o, indices[o, i], i], the smallest over r"""
    _check(y, x)
    if y.size:
        y[...] = x.min(1)
        if indices.size:
            indices[...] = x.argmin(1)


def max_backward(dx, dy, indices):
    """dx = dy at the position of the largest (or smallest) element, 0 elsewhere

    dx       (O, R, I) [out]
    dy       (O, I)          gradient of the result
    indices  (O, I) int64    from the forward
    """
    dx[...] = 0
    np.put_along_axis(dx, indices[:, None], dy[:, None], 1)


def amax_backward(dx, dy, x, y):
    """dx = dy, shared evenly among all elements that equal the largest (or smallest), 0 elsewhere

    dx  (O, R, I) [out]
    dy  (O, I)           gradient of the result
    x   (O, R, I)        input of the forward
    y   (O, I)           result of the forward
    """
    with np.errstate(all="ignore"):
        equal = x == y[:, None]
        dx[...] = np.where(equal, dy[:, None] / equal.sum(1, keepdims=True), 0)
