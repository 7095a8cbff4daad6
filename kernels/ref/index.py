"""Reading and writing at positions. (O, R, I) arrays are indexed in the middle; negative positions count from the end.

Every position is checked before the first element moves: IndexError. A position may come twice: values are then added,
or the last one stays, in the order given.
"""

import numpy as np


def _checked(indices, R):
    if indices.size and (indices.min() < -R or indices.max() >= R):
        bad = indices[(indices < -R) | (indices >= R)][0]
        raise IndexError(f"index {bad} is out of range for a dimension of size {R}")
    return np.where(indices < 0, indices + R, indices)


def _put(y, where, x, accumulate):
    if accumulate:
        np.add.at(y, where, x)
    else:
        y[where] = x


def gather_rows_forward(y, x, indices):
    """y[k] = x[indices[k]]: the rows of a mini-batch

    y        (K, D) same [out]
    x        (R, D) same
    indices  (K,) int64         -R .. R-1, else IndexError
    """
    y[...] = x[_checked(indices, x.shape[0])]


def select_forward(y, x, indices):
    """y[o, k, i] = x[o, indices[k], i]

    y        (O, K, I) same [out]
    x        (O, R, I) same
    indices  (K,) int64            -R .. R-1, else IndexError
    """
    y[...] = x[:, _checked(indices, x.shape[1])]


def select_backward(dx, dy, indices, accumulate):
    """dx[o, r, i] = sum of dy[o, k, i] over the k with indices[k] = r

    dx          (O, R, I) [acc]
    dy          (O, K, I)        gradient of the result
    indices     (K,) int64       -R .. R-1, else IndexError
    accumulate  bool             add to dx instead of overwriting it
    """
    where = _checked(indices, dx.shape[1])
    if not accumulate:
        dx[...] = 0
    _put(dx, (slice(None), where), dy, True)


def put_forward(y, x, indices, accumulate):
    """y[o, indices[k], i] = x[o, k, i], or += with accumulate; the rest of y keeps its values

    y           (O, R, I) same [inout]
    x           (O, K, I) same
    indices     (K,) int64              -R .. R-1, else IndexError
    accumulate  bool
    """
    _put(y, (slice(None), _checked(indices, y.shape[1])), x, accumulate)


def gather_forward(y, x, indices):
    """y[o, k, i] = x[o, indices[o, k, i], i]

    y        (O, K, I) same [out]
    x        (O, R, I) same
    indices  (O, K, I) int64       -R .. R-1, else IndexError
    """
    y[...] = np.take_along_axis(x, _checked(indices, x.shape[1]), 1)


def _along(indices, R):
    o, _, i = np.ogrid[tuple(slice(n) for n in indices.shape)]
    return o, _checked(indices, R), i


def gather_backward(dx, dy, indices, accumulate):
    """dx[o, r, i] = sum of dy[o, k, i] over the k with indices[o, k, i] = r

    dx          (O, R, I) [acc]
    dy          (O, K, I)        gradient of the result
    indices     (O, K, I) int64  -R .. R-1, else IndexError
    accumulate  bool             add to dx instead of overwriting it
    """
    where = _along(indices, dx.shape[1])
    if not accumulate:
        dx[...] = 0
    _put(dx, where, dy, True)


def scatter_forward(y, x, indices, accumulate):
    """y[o, indices[o, k, i], i] = x[o, k, i], or += with accumulate; the rest of y keeps its values

    y           (O, R, I) same [inout]
    x           (O, K, I) same
    indices     (O, K, I) int64         -R .. R-1, else IndexError
    accumulate  bool
    """
    _put(y, _along(indices, y.shape[1]), x, accumulate)


def offsets_forward(y, indices, size, stride):
    """y += indices * stride: one dimension's part of the flat position of an element

    y        (...) int64 [inout]
    indices  (...) int64          -size .. size-1, else IndexError
    size     int                  of the dimension
    stride   int                  of the dimension, in elements
    """
    y += _checked(indices, size) * stride


def nonzero_forward(y, x):
    """y = the positions of the elements that are true, in order

    y  (K,) int64 [out]  K as reduce.count_forward counts, else ValueError
    x  (N,) bool
    """
    found = np.flatnonzero(x)
    if found.size != y.size:
        raise ValueError(f"nonzero: expected room for {found.size} positions, got {y.size}")
    y[...] = found


def one_hot_forward(y, labels):
    """y[n, labels[n]] = 1, 0 elsewhere

    y       (N, C) any [out]
    labels  (N,) int64        0 .. C-1, else IndexError
    """
    if labels.size and (labels.min() < 0 or labels.max() >= y.shape[1]):
        raise IndexError(f"one_hot: expected labels in 0 .. {y.shape[1] - 1}, got {labels.min()} .. {labels.max()}")
    y[...] = np.arange(y.shape[1]) == labels[:, None]
