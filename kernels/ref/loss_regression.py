"""Losses of regression: squared, absolute and mixed errors, Poisson and Gaussian likelihoods."""

import numpy as np

from .loss import reduced, save


def mse_forward(loss, dx, dtarget, x, target, reduction):
    """loss = (x - target)**2

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target
    x          (...)                 prediction
    target     (...)                 truth
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.MSELoss.
    """
    d = x - target
    scale = reduced(loss, d * d, reduction)
    save(dx, scale * 2 * d)
    save(dtarget, -scale * 2 * d)


def l1_forward(loss, dx, dtarget, x, target, reduction):
    """loss = |x - target|;  the slope at 0 is 0

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target
    x          (...)                 prediction
    target     (...)                 truth
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.L1Loss.
    """
    d = x - target
    scale = reduced(loss, abs(d), reduction)
    save(dx, scale * np.sign(d))
    save(dtarget, -scale * np.sign(d))


def smooth_l1_forward(loss, dx, dtarget, x, target, beta, reduction):
    """d = x - target;  loss = d*d / (2*beta) where |d| < beta, else |d| - beta/2

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target
    x          (...)                 prediction
    target     (...)                 truth
    beta       float                 where the parabola meets the line; 0: the absolute error
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and a negative beta. Source: as torch.nn.SmoothL1Loss.
    """
    if beta < 0:
        raise ValueError("smooth_l1_forward: beta: expected 0 or more")
    d = x - target
    near = abs(d) < beta
    b = x.dtype.type(beta if beta > 0 else 1)
    scale = reduced(loss, np.where(near, d * d / (2 * b), abs(d) - x.dtype.type(beta) / 2), reduction)
    slope = np.where(near, d / b, np.sign(d))
    save(dx, scale * slope)
    save(dtarget, -scale * slope)


def huber_forward(loss, dx, dtarget, x, target, delta, reduction):
    """d = x - target;  loss = d*d / 2 where |d| <= delta, else delta * (|d| - delta/2)

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target
    x          (...)                 prediction
    target     (...)                 truth
    delta      float                 where the parabola meets the line, > 0
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and a delta that is not positive.
    Source: Huber 1964; as torch.nn.HuberLoss.
    """
    if not delta > 0:
        raise ValueError("huber_forward: delta: expected more than 0")
    d = x - target
    delta = x.dtype.type(delta)
    near = abs(d) <= delta
    scale = reduced(loss, np.where(near, d * d / 2, delta * (abs(d) - delta / 2)), reduction)
    slope = np.where(near, d, delta * np.sign(d))
    save(dx, scale * slope)
    save(dtarget, -scale * slope)


def poisson_nll_forward(loss, dx, dtarget, x, target, log_input, full, eps, reduction):
    """loss = exp(x) - target * x, or x - target * log(x + eps) when x is not a logarithm

    With `full`, and where target > 1, Stirling's target * log(target) - target + log(2*pi*target) / 2 is added.

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target
    x          (...)                 rate of the distribution, or its logarithm
    target     (...)                 counts
    log_input  bool                  x is the logarithm of the rate
    full       bool                  add Stirling's approximation of log(target!)
    eps        float                 keeps log(x + eps) finite at 0
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.PoissonNLLLoss.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if log_input:
            values, slope, tslope = np.exp(x) - target * x, np.exp(x) - target, -x
        else:
            r = x + x.dtype.type(eps)
            values, slope, tslope = x - target * np.log(r), 1 - target / r, -np.log(r)
        if full:
            t = np.where(target > 1, target, x.dtype.type(1))
            log_t, half_log_2pi = np.log(t), x.dtype.type(0.5 * np.log(2 * np.pi))
            values = values + np.where(target > 1, t * log_t - t + half_log_2pi + log_t / 2, 0).astype(x.dtype)
            tslope = tslope + np.where(target > 1, log_t + 1 / (2 * t), 0).astype(x.dtype)
        scale = reduced(loss, values, reduction)
        save(dx, scale * slope)
        save(dtarget, scale * tslope)


def gaussian_nll_forward(loss, dx, dtarget, dvar, x, target, var, full, eps, reduction):
    """v = max(var, eps);  loss = (log(v) + (x - target)**2 / v) / 2, plus log(2*pi) / 2 with `full`

    loss       (L,)           [out]  one value a sample for reduction 0, else one value
    dx         (...) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (...) or (0,)  [out]  likewise for target
    dvar       (...) or (0,)  [out]  likewise for var; below eps the gradient is that of v
    x          (...)                 mean of the distribution
    target     (...)                 samples
    var        (...)                 variance, 0 or more
    full       bool                  add the constant term
    eps        float                 least variance
    reduction  int                   0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and a negative variance.
    Source: Nix & Weigend 1994; as torch.nn.GaussianNLLLoss.
    """
    if (var < 0).any():
        raise ValueError("gaussian_nll_forward: var: expected 0 or more")
    v = np.where(var < x.dtype.type(eps), x.dtype.type(eps), var)
    d = x - target
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (np.log(v) + d * d / v) / 2
        if full:
            values = values + x.dtype.type(0.5 * np.log(2 * np.pi))
        scale = reduced(loss, values, reduction)
        save(dx, scale * d / v)
        save(dtarget, -scale * d / v)
        save(dvar, scale * (1 - d * d / v) / (2 * v))
