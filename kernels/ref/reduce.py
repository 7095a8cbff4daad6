"""Reductions of the middle dimension: (O, R, I) to (O, I).

Any contiguous set of dimensions of a contiguous array is the middle of such a view: O and I are what lies before and
behind it. Sums are made in blocks, so that the error grows with the logarithm of R, not with R.
"""

import numpy as np

from .documented import documented

backward = documented("""
    dx  (O, R, I) [out]
    dy  (O, I)           gradient of the result
    """)


def sum_forward(y, x):
    """y[o, i] = sum over r of x[o, r, i]

    y  (O, I) same [out]  0 where R = 0; integers wrap
    x  (O, R, I) same
    """
    y[...] = x.sum(1)


@backward
def sum_backward(dx, dy):
    """dx[o, r, i] = dy[o, i]"""
    dx[...] = dy[:, None]


def mean_forward(y, x):
    """y[o, i] = sum over r of x[o, r, i] / R

    y  (O, I) [out]   NaN where R = 0
    x  (O, R, I)
    """
    with np.errstate(all="ignore"):
        y[...] = x.sum(1) / np.float64(x.shape[1])


@backward
def mean_backward(dx, dy):
    """dx[o, r, i] = dy[o, i] / R"""
    dx[...] = dy[:, None] / dx.shape[1]


def prod_forward(y, x):
    """y[o, i] = product over r of x[o, r, i]

    y  (O, I) same [out]  1 where R = 0
    x  (O, R, I) same
    """
    y[...] = x.prod(1)


def prod_backward(dx, dy, x):
    """dx[o, r, i] = dy[o, i] * product of the others; right for zeros

    dx  (O, R, I) [out]
    dy  (O, I)           gradient of the result
    x   (O, R, I)        input of the forward
    """
    for r in range(x.shape[1]):
        dx[:, r] = dy * np.delete(x, r, 1).prod(1)


def any_forward(y, x):
    """y[o, i] = whether some x[o, r, i] is true

    y  (O, I) bool [out]  False where R = 0
    x  (O, R, I) bool
    """
    y[...] = x.any(1)


def all_forward(y, x):
    """y[o, i] = whether every x[o, r, i] is true

    y  (O, I) bool [out]  True where R = 0
    x  (O, R, I) bool
    """
    y[...] = x.all(1)


def count_forward(y, x):
    """y[0] = how many elements are true

    y  (1,) int64 [out]
    x  (N,) bool
    """
    y[0] = np.count_nonzero(x)


def cumsum_forward(y, x):
    """y[o, r, i] = sum of x[o, :r+1, i]

    y  (O, R, I) same [out]
    x  (O, R, I) same
    """
    y[...] = np.cumsum(x, 1)


def cumsum_backward(dx, dy):
    """dx[o, r, i] = sum of dy[o, r:, i]

    dx  (O, R, I) [out]
    dy  (O, R, I)        gradient of the result
    """
    dx[...] = np.cumsum(dy[:, ::-1], 1)[:, ::-1]
