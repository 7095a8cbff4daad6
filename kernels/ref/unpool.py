"""The partial inverse of max pooling: values go back to the positions they came from."""

import numpy as np


def _check(indices, size):
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        raise IndexError("max_unpool: an index lies outside of its plane")


def max_unpool_forward(y, x, indices):
    """y[p, indices[p, i]] = x[p, i], 0 elsewhere; of equal positions the last counts

    y        (P, O) [out]   O elements of a plane
    x        (P, I)
    indices  (P, I) int64   0 .. O-1, else IndexError
    """
    _check(indices, y.shape[1])
    y[...] = 0
    for p in range(x.shape[0]):
        y[p, indices[p]] = x[p]


def max_unpool_backward(dx, dy, indices):
    """dx[p, i] = dy[p, indices[p, i]]

    dx       (P, I) [out]
    dy       (P, O)         gradient of the result
    indices  (P, I) int64   0 .. O-1, else IndexError
    """
    _check(indices, dy.shape[1])
    dx[...] = np.take_along_axis(dy, indices, 1)
