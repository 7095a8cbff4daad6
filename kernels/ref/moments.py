"""Variance, Euclidean norm and log-sum-exp of the middle dimension: (O, R, I) to (O, I)."""

import numpy as np


def var_forward(y, mean, x, correction):
    """y = sum over r of (x - mean)^2 / (R - correction), in two passes

    y           (O, I) [out]  NaN where R <= correction
    mean        (O, I) [out]  hand unchanged to var_backward
    x           (O, R, I)
    correction  float         1: unbiased, 0: population
    """
    with np.errstate(all="ignore"):
        mean[...] = x.sum(1) / np.float64(x.shape[1])
        y[...] = ((x - mean[:, None]) ** 2).sum(1) / np.float64(max(0.0, x.shape[1] - correction))


def var_backward(dx, dy, x, mean, correction):
    """dx = dy * 2 (x - mean) / (R - correction)

    dx          (O, R, I) [out]
    dy          (O, I)           gradient of the result
    x           (O, R, I)        input of the forward
    mean        (O, I)           from the forward
    correction  float
    """
    with np.errstate(all="ignore"):
        dx[...] = dy[:, None] * 2 * (x - mean[:, None]) / np.float64(max(0.0, x.shape[1] - correction))


def std_backward(dvar, dy, y):
    """Gradient of the variance from that of its square root y: dvar = dy / (2 y), 0 where y is 0

    dvar  (...) [out]
    dy    (...)        gradient of the standard deviation
    y     (...)        the standard deviation
    """
    with np.errstate(all="ignore"):
        dvar[...] = np.where(y == 0, 0, dy / (2 * y))


def norm_forward(y, x):
    """y = sqrt(sum over r of x^2)

    y  (O, I) [out]   0 where R = 0
    x  (O, R, I)
    """
    y[...] = np.sqrt((x * x).sum(1))


def norm_backward(dx, dy, x, y):
    """dx = dy * x / y, 0 where y is 0

    dx  (O, R, I) [out]
    dy  (O, I)           gradient of the result
    x   (O, R, I)        input of the forward
    y   (O, I)           result of the forward
    """
    with np.errstate(all="ignore"):
        dx[...] = np.where(y[:, None] == 0, 0, dy[:, None] * x / y[:, None])


def logsumexp_forward(y, x):
    """y = log(sum over r of e^x), without overflow

    y  (O, I) [out]   -inf where R = 0 or every x is -inf; inf where some x is
    x  (O, R, I)
    """
    y[...] = -np.inf
    with np.errstate(all="ignore"):
        if x.shape[1]:
            largest = x.max(1)
            shift = np.where(np.isinf(largest), 0, largest)
            y[...] = np.log(np.exp(x - shift[:, None]).sum(1)) + shift


def logsumexp_backward(dx, dy, x, y):
    """dx = dy * e^(x - y)

    dx  (O, R, I) [out]
    dy  (O, I)           gradient of the result
    x   (O, R, I)        input of the forward
    y   (O, I)           result of the forward
    """
    with np.errstate(all="ignore"):
        dx[...] = dy[:, None] * np.exp(x - y[:, None])
