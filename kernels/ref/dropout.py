"""Dropout and its kin. What is dropped follows from the random state alone, so that backward needs no stored mask.

Element i of the elementwise forms is dropped where word i of the state's stream (kernels/ref/random.py) falls below
p * 2^32; the feature forms drop row i of a matrix of rows (sample, channel).
"""

import numpy as np

from .. import scalar
from .random import below

# what SELU's units saturate at
ALPHA = -scalar.SELU_ALPHA * scalar.SELU_SCALE


def dropout_forward(y, x, state, p):
    """y = x / (1 - p) where an element is kept, 0 where it is dropped, with probability p.

    y      (...)       [out]  result
    x      (...)              input
    state  (2,) uint64        seed and first counter; hand the same to dropout_backward
    p      float              0 .. 1

    A dropped element is 0 even where x is infinite or NaN. Raises ValueError for p outside of 0 .. 1.
    Source: as torch.nn.Dropout; Srivastava et al. 2014.
    """
    dropped = below(state, x.size, p).reshape(x.shape)
    y[...] = np.where(dropped, 0, x * x.dtype.type(_kept(p)))


def dropout_backward(dx, dy, state, p):
    """dx = dy / (1 - p) where the element was kept, 0 where it was dropped.

    dx     (...)       [out]  gradient of x
    dy     (...)              gradient of y
    state  (2,) uint64        as dropout_forward had it
    p      float              0 .. 1
    """
    dropout_forward(dx, dy, state, p)


def feature_dropout_forward(y, x, state, p):
    """Whole rows kept and divided by 1 - p, or 0.

    y      (R, C)      [out]  result
    x      (R, C)             input: a row for each channel of each sample
    state  (2,) uint64        seed and first counter; hand the same to feature_dropout_backward
    p      float              0 .. 1, that of dropping a row

    Raises ValueError for p outside of 0 .. 1. Source: as torch.nn.Dropout2d; Tompson et al. 2015.
    """
    dropped = below(state, len(x), p)[:, None]
    y[...] = np.where(dropped, 0, x * x.dtype.type(_kept(p)))


def feature_dropout_backward(dx, dy, state, p):
    """dx = dy / (1 - p) in rows that were kept, 0 in those that were dropped.

    dx     (R, C)      [out]  gradient of x
    dy     (R, C)             gradient of y
    state  (2,) uint64        as feature_dropout_forward had it
    p      float              0 .. 1
    """
    feature_dropout_forward(dx, dy, state, p)


def alpha_dropout_forward(y, x, state, p):
    """y = a * x + b where an element is kept, a * ALPHA + b where it is dropped: mean 0 and variance 1 stay.

    a = 1 / sqrt((1 - p) (1 + p ALPHA^2)), b = -a p ALPHA; for p = 1 both are 0.

    y      (...)       [out]  result
    x      (...)              input
    state  (2,) uint64        seed and first counter; hand the same to alpha_dropout_backward
    p      float              0 .. 1

    Raises ValueError for p outside of 0 .. 1. Source: as torch.nn.AlphaDropout; Klambauer et al. 2017.
    """
    dropped = below(state, x.size, p).reshape(x.shape)
    a, b, fill = (x.dtype.type(v) for v in _alpha(p))
    y[...] = np.where(dropped, fill, a * x + b)


def alpha_dropout_backward(dx, dy, state, p):
    """dx = a * dy where the element was kept, 0 where it was dropped.

    dx     (...)       [out]  gradient of x
    dy     (...)              gradient of y
    state  (2,) uint64        as alpha_dropout_forward had it
    p      float              0 .. 1
    """
    dropped = below(state, dy.size, p).reshape(dy.shape)
    dx[...] = np.where(dropped, 0, dy * dy.dtype.type(_alpha(p)[0]))


def feature_alpha_dropout_forward(y, x, state, p):
    """Whole rows as alpha_dropout_forward does elements.

    y      (R, C)      [out]  result
    x      (R, C)             input: a row for each channel of each sample
    state  (2,) uint64        seed and first counter; hand the same to feature_alpha_dropout_backward
    p      float              0 .. 1, that of dropping a row

    Raises ValueError for p outside of 0 .. 1. Source: as torch.nn.FeatureAlphaDropout.
    """
    dropped = below(state, len(x), p)[:, None]
    a, b, fill = (x.dtype.type(v) for v in _alpha(p))
    y[...] = np.where(dropped, fill, a * x + b)


def feature_alpha_dropout_backward(dx, dy, state, p):
    """dx = a * dy in rows that were kept, 0 in those that were dropped.

    dx     (R, C)      [out]  gradient of x
    dy     (R, C)             gradient of y
    state  (2,) uint64        as feature_alpha_dropout_forward had it
    p      float              0 .. 1
    """
    dropped = below(state, len(dy), p)[:, None]
    dx[...] = np.where(dropped, 0, dy * dy.dtype.type(_alpha(p)[0]))


def _kept(p):
    return 1 / (1 - p) if p < 1 else 0.0


def _alpha(p):
    """a, b and what a dropped element becomes."""
    if p == 1:
        return 0.0, 0.0, 0.0
    a = ((1 - p) * (1 + p * ALPHA * ALPHA)) ** -0.5
    b = -a * p * ALPHA
    return a, b, a * ALPHA + b
