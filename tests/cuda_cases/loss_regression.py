"""Losses of regression."""

import numpy as np

from .loss import elementwise


def cases(rng, dtype):
    x, target = (rng.standard_normal(19).astype(dtype) for _ in range(2))
    x[2] = target[2]
    yield from elementwise("loss_regression.mse_forward", (x, target))
    yield from elementwise("loss_regression.l1_forward", (x, target))
    yield from elementwise("loss_regression.smooth_l1_forward", (x, target), (0.7,))
    yield from elementwise("loss_regression.huber_forward", (x, target), (0.7,))
    counts = rng.integers(0, 5, 19).astype(dtype)
    for full in (False, True):
        yield from elementwise("loss_regression.poisson_nll_forward", (x, counts), (True, full, 0.0))
    yield from elementwise("loss_regression.poisson_nll_forward", (np.abs(x), counts), (False, True, 0.1))
    var = rng.random(19).astype(dtype)
    for full in (False, True):
        yield from elementwise("loss_regression.gaussian_nll_forward", (x, target, var), (full, 0.1))
