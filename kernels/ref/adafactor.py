"""Adafactor on one parameter: a vector, or matrices whose second moments are kept as rows and columns."""

import numpy as np

from .rule import count


def _rms(x):
    """The root of the mean of squares, in float64."""
    return np.sqrt(np.mean(x.astype(np.float64) ** 2))


def _begin(param, step, hyper, eps2):
    """What a step begins with: the weight of a new square, the rate; the parameter decays."""
    lr, beta2_decay, _, weight_decay = hyper
    t = count(step)
    if not param.size:
        return 0.0, 0.0
    # a NaN is not larger
    alpha = max(eps2, _rms(param)) * min(lr, 1 / np.sqrt(t))
    param *= param.dtype.type(1 - lr * weight_decay)
    return t**beta2_decay, alpha


def _move(param, grad, variance, alpha, d, eps1, maximize):
    if not param.size:
        return
    cast = param.dtype.type
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (-grad if maximize else grad) / np.sqrt(np.maximum(variance, cast(eps1 * eps1)))
    param -= cast(alpha / max(1.0, _rms(u) / d)) * u


def vector_update(param, variance, grad, step, hyper, eps1, eps2, maximize):
    """One step of Adafactor on a parameter of one dimension or none, in place.

    t = step + 1;   beta = 1 - t**beta2_decay;   g = -grad if maximize else grad
    alpha = max(eps2, rms(param)) * min(lr, 1 / sqrt(t));   param = param - lr * weight_decay * param
    v = beta * v + (1 - beta) * g * g
    u = g / max(sqrt(v), eps1)
    param = param - alpha / max(1, rms(u) / d) * u

    param     (N,)          [inout]  one parameter
    variance  (N,)          [inout]  v, zero before the first step
    grad      (N,)                   its gradient
    step      (P,) float64  [inout]  steps made before this one; 1 is added
    hyper     (4,) float64           lr, beta2_decay, d, weight_decay
    eps1      float                  the least root of v that is divided by
    eps2      float                  the least rms of the parameter that a step is a share of
    maximize  bool                   climb instead of descending

    rms is the root of the mean of squares, made in float64.

    Raises ValueError when step has size 0.
    Source: Shazeer & Stern 2018; as torch.optim.Adafactor.
    """
    fresh, alpha = _begin(param, step, hyper, eps2)
    variance += param.dtype.type(fresh) * (grad * grad - variance)
    _move(param, grad, variance, alpha, hyper[2], eps1, maximize)


def matrix_update(param, row_var, col_var, grad, step, hyper, eps1, eps2, maximize):
    """One step of Adafactor on B matrices that are one parameter, in place.

    As vector_update, but for v:
    r = beta * r + (1 - beta) * mean of g * g over columns;   c = beta * c + (1 - beta) * mean of g * g over rows
    v[i, j] = r[i] * c[j] / max(mean(r), eps1)

    param     (B, R, C)     [inout]  one parameter
    row_var   (B, R)        [inout]  r, zero before the first step
    col_var   (B, C)        [inout]  c, zero before the first step
    grad      (B, R, C)              its gradient
    step      (P,) float64  [inout]  steps made before this one; 1 is added
    hyper     (4,) float64           lr, beta2_decay, d, weight_decay
    eps1      float                  the least mean of r, and the least root of v, that is divided by
    eps2      float                  the least rms of the parameter that a step is a share of
    maximize  bool                   climb instead of descending

    Means are made in float64, that of r for each matrix, rms for all of them together.

    Raises ValueError when step has size 0.
    Source: Shazeer & Stern 2018; as torch.optim.Adafactor.
    """
    fresh, alpha = _begin(param, step, hyper, eps2)
    if not param.size:
        return
    cast = param.dtype.type
    squares = grad.astype(np.float64) ** 2
    row_var += cast(fresh) * (squares.mean(2).astype(cast) - row_var)
    col_var += cast(fresh) * (squares.mean(1).astype(cast) - col_var)
    mean = np.maximum(row_var.astype(np.float64).mean(1), eps1).astype(cast)
    variance = row_var[:, :, None] * col_var[:, None, :] / mean[:, None, None]
    _move(param, grad, variance, alpha, hyper[2], eps1, maximize)
