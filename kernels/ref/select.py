"""Choosing and bounding elements: where, masked_fill, clamp, lerp."""

import numpy as np


def where_forward(y, condition, a, b):
    """y = a where condition, else b

    y          (...) same [out]  may be a or b
    condition  (...) bool
    a          (...) same
    b          (...) same
    """
    y[...] = np.where(condition, a, b)


def where_backward(da, db, dy, condition):
    """da = dy where condition, else 0;  db = 0 where condition, else dy

    da         (...) or (0,) [out]  size 0: not wanted
    db         (...) or (0,) [out]  size 0: not wanted
    dy         (...)                gradient of the result
    condition  (...) bool
    """
    if da.size:
        da[...] = np.where(condition, dy, 0)
    if db.size:
        db[...] = np.where(condition, 0, dy)


def masked_fill_forward(y, x, mask, value):
    """y = value where mask, else x

    y      (...) same [out]  may be x
    x      (...) same
    mask   (...) bool
    value  float             converted to y's dtype
    """
    y[...] = np.where(mask, np.float64(value).astype(y.dtype), x)


def clamp_forward(y, x, low, high):
    """y = min(max(x, low), high); NaN stays NaN

    y     (...) [out]  may be x
    x     (...)
    low   float        -inf: no bound
    high  float        inf: no bound; y = high where low > high
    """
    y[...] = np.minimum(np.maximum(x, low), high)


def clamp_backward(dx, dy, x, low, high):
    """dx = dy where low <= x <= high, else 0

    dx    (...) [out]  may be dy
    dy    (...)        gradient of the result
    x     (...)        input of the forward
    low   float
    high  float
    """
    dx[...] = np.where((x >= low) & (x <= high), dy, 0)


def lerp_forward(y, a, b, weight):
    """y = a + weight * (b - a)

    y       (...) [out]  may be a or b
    a       (...)
    b       (...)
    weight  float
    """
    y[...] = a + weight * (b - a)


def tril_forward(y, x, diagonal):
    """y = x on and below a diagonal, 0 above it

    y         (B, N, M) same [out]  may be x
    x         (B, N, M) same
    diagonal  int                   0: the main one; above it positive
    """
    y[...] = np.tril(x, diagonal)


def triu_forward(y, x, diagonal):
    """y = x on and above a diagonal, 0 below it

    y         (B, N, M) same [out]  may be x
    x         (B, N, M) same
    diagonal  int                   0: the main one; above it positive
    """
    y[...] = np.triu(x, diagonal)
