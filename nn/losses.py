"""Losses of regression: MSELoss, L1Loss, SmoothL1Loss, HuberLoss, PoissonNLLLoss, GaussianNLLLoss; their functions."""

from __future__ import annotations

import warnings

from .losses_base import Loss, elementwise, legacy_reduction, one_dtype, one_shape, reduction_code
from .tensor import Tensor, as_tensor

__all__ = [
    "GaussianNLLLoss",
    "HuberLoss",
    "L1Loss",
    "MSELoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


def _of_error(kernel, name, input, target, reduction, scalars=(), weight=None, weighted_mean=True):
    """A loss of input - target; with `weight` its mean is divided by the sum of weights, if `weighted_mean`."""
    input, target = one_dtype(input, target)
    if input._data.shape != target._data.shape:
        warnings.warn(
            f"{name}: the target's shape {target._data.shape} differs from the input's {input._data.shape}; they are "
            "broadcast together, which is rarely what is meant",
            stacklevel=4,
        )
        input, target = one_shape(name, input, target)
    if weight is None:
        return elementwise(kernel, 2, reduction, (input, target), scalars)
    weight = as_tensor(weight)
    if weight._data.shape != input._data.shape:
        raise ValueError(f"{name}: weight: expected the input's shape {input._data.shape}, got {weight._data.shape}")
    reduction_code(reduction)
    losses = elementwise(kernel, 2, "none", (input, target), scalars) * weight
    if reduction == "none":
        return losses
    if reduction == "mean":
        return losses.sum() / weight.sum() if weighted_mean else losses.mean()
    return losses.sum()


def mse_loss(input, target, size_average=None, reduce=None, reduction: str = "mean", weight=None):
    """(input - target)**2, reduced; a weighted mean is divided by the sum of weights."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _of_error("loss_regression.mse_forward", "mse_loss", input, target, reduction, weight=weight)


def l1_loss(input, target, size_average=None, reduce=None, reduction: str = "mean", weight=None):
    """|input - target|, reduced; a weighted mean is divided by the sum of weights."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _of_error("loss_regression.l1_forward", "l1_loss", input, target, reduction, weight=weight)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction: str = "mean", beta: float = 1.0):
    """(input - target)**2 / (2 beta) where |input - target| < beta, |input - target| - beta / 2 beyond."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta: expected 0 or more, got {beta}")
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _of_error("loss_regression.smooth_l1_forward", "smooth_l1_loss", input, target, reduction, (float(beta),))


def huber_loss(input, target, reduction: str = "mean", delta: float = 1.0, weight=None):
    """(input - target)**2 / 2 where |input - target| <= delta, delta (|input - target| - delta / 2) beyond."""
    if not delta > 0:
        raise ValueError(f"huber_loss: delta: expected more than 0, got {delta}")
    kernel, scalars = "loss_regression.huber_forward", (float(delta),)
    return _of_error(kernel, "huber_loss", input, target, reduction, scalars, weight, weighted_mean=False)


def poisson_nll_loss(
    input,
    target,
    log_input: bool = True,
    full: bool = False,
    size_average=None,
    eps: float = 1e-8,
    reduce=None,
    reduction: str = "mean",
):
    """exp(input) - target * input, or input - target * log(input + eps) without log_input; `full` adds log(target!)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    tensors = one_shape("poisson_nll_loss", *one_dtype(input, target))
    scalars = bool(log_input), bool(full), float(eps)
    return elementwise("loss_regression.poisson_nll_forward", 2, reduction, tensors, scalars)


def gaussian_nll_loss(input, target, var, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
    """(log(v) + (input - target)**2 / v) / 2 with v = max(var, eps); `full` adds log(2 pi) / 2.

    var is a number, has input's shape, lacks its last dimension, or has one dimension of size 1 in its place.
    """
    reduction_code(reduction)
    if isinstance(var, int | float):
        var = as_tensor(float(var))
        shape = as_tensor(input)._data.shape
        input, target, var = one_dtype(input, target, var)
        var = var.expand(shape)
    else:
        input, target, var = one_dtype(input, target, var)
        var = _variance(input._data.shape, var)
    tensors = one_shape("gaussian_nll_loss", input, target, var)
    return elementwise("loss_regression.gaussian_nll_forward", 3, reduction, tensors, (bool(full), float(eps)))


def _variance(shape, var: Tensor):
    given = var._data.shape
    if given == shape:
        return var
    if given == shape[:-1]:
        return var.reshape(*given, 1)
    different = [b for a, b in zip(shape, given, strict=False) if a != b]
    if len(given) == len(shape) and different == [1]:
        return var
    raise ValueError(f"gaussian_nll_loss: var: expected shape {shape}, {shape[:-1]} or one dimension of 1, got {given}")


class MSELoss(Loss):
    """The squared error.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.MSELoss()(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0])).item()
    3.0
    """

    def forward(self, input, target):
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """The absolute error."""

    def forward(self, input, target):
        return l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """The squared error below `beta`, the absolute error beyond, joined smoothly."""

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """`delta` times SmoothL1Loss: the squared error below delta, a line of slope delta beyond."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        if not isinstance(delta, int | float):
            raise TypeError(f"delta: expected a number, got {type(delta).__name__}")
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input, target):
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts; see `functional.poisson_nll_loss`."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average=None,
        eps: float = 1e-8,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        return poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of samples with a mean and a variance; see `functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        return gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)
