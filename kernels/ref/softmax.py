"""Softmax, softmin and log-softmax over the middle of three dimensions (the last: I = 1), shifted by the maximum."""

import numpy as np

from .documented import documented

forward = documented("""
    y  (O, C, I) [out]  result
    x  (O, C, I)        input; a line of -inf alone, or with +inf or NaN in it, gives NaN as in torch
    """)

backward = documented("""
    dx  (O, C, I) [out]  gradient of the input
    dy  (O, C, I)        gradient of the result
    y   (O, C, I)        result of the forward
    """)


def shifted(x):
    return x - np.max(x, axis=1, keepdims=True, initial=-np.inf)


@forward
def softmax_forward(y, x):
    """y = exp(x) / sum(exp(x)), the sum over C"""
    with np.errstate(invalid="ignore"):
        e = np.exp(shifted(x))
        y[...] = e / e.sum(axis=1, keepdims=True)


@backward
def softmax_backward(dx, dy, y):
    """dx = y (dy - sum(dy y))"""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))


@forward
def softmin_forward(y, x):
    """y = exp(-x) / sum(exp(-x)), the sum over C"""
    softmax_forward(y, -x)


@backward
def softmin_backward(dx, dy, y):
    """dx = -y (dy - sum(dy y))"""
    softmax_backward(dx, -dy, y)


@forward
def log_softmax_forward(y, x):
    """y = x - log(sum(exp(x))), the sum over C"""
    with np.errstate(invalid="ignore", divide="ignore"):
        z = shifted(x)
        y[...] = z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@backward
def log_softmax_backward(dx, dy, y):
    """dx = dy - exp(y) sum(dy)"""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)
