"""Losses of single probabilities: BCELoss, BCEWithLogitsLoss, KLDivLoss, SoftMarginLoss, MultiLabelSoftMarginLoss."""

from __future__ import annotations

import warnings

from .losses_base import (
    Loss,
    WeightedLoss,
    buffer,
    class_weight,
    elementwise,
    legacy_reduction,
    one_dtype,
    one_shape,
    rows,
    size,
)
from .tensor import as_tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "KLDivLoss",
    "MultiLabelSoftMarginLoss",
    "SoftMarginLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]


def _same_shape(name, input, target):
    input, target = one_dtype(input, target)
    if input._data.shape != target._data.shape:
        raise ValueError(f"{name}: target: expected the input's shape {input._data.shape}, got {target._data.shape}")
    return input, target


def _factor(name, what, factor, input):
    """A factor for each element of input, from anything that broadcasts to its shape; None stays."""
    if factor is None:
        return None
    factor = as_tensor(factor)
    if factor._data.dtype != input._data.dtype:
        factor = factor.to(input._data.dtype)
    wide, _ = one_shape(f"{name}: {what}", factor, input)
    if wide._data.shape != input._data.shape:
        raise ValueError(
            f"{name}: {what}: expected a shape that broadcasts to {input._data.shape}, got {factor._data.shape}"
        )
    return wide


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction: str = "mean"):
    """-weight (target log(input) + (1 - target) log(1 - input)), the logarithms held at -100."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    input, target = _same_shape("binary_cross_entropy", input, target)
    weight = _factor("binary_cross_entropy", "weight", weight, input)
    return elementwise("loss_binary.bce_forward", 2, reduction, (input, target, weight))


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction: str = "mean", pos_weight=None
):
    """-weight (pos_weight target log(s) + (1 - target) log(1 - s)), s = sigmoid(input); finite for every logit."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    name = "binary_cross_entropy_with_logits"
    input, target = _same_shape(name, input, target)
    factors = _factor(name, "weight", weight, input), _factor(name, "pos_weight", pos_weight, input)
    return elementwise("loss_binary.bce_with_logits_forward", 2, reduction, (input, target, *factors))


def kl_div(input, target, size_average=None, reduce=None, reduction: str = "mean", log_target: bool = False):
    """target (log(target) - input), or exp(target) (target - input) with log_target.

    `reduction` may also be "batchmean": the sum divided by the size of the first dimension, which is the divergence.
    """
    legacy = size_average is not None or reduce is not None
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction == "mean" and not legacy:
        warnings.warn(
            "kl_div: reduction='mean' divides by the number of elements; the divergence is reduction='batchmean'",
            stacklevel=2,
        )
    tensors = one_shape("kl_div", *one_dtype(input, target))
    batchmean = reduction == "batchmean"
    loss = elementwise("loss_binary.kl_div_forward", 2, "sum" if batchmean else reduction, tensors, (bool(log_target),))
    shape = as_tensor(input)._data.shape
    return loss / shape[0] if batchmean and shape else loss


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction: str = "mean"):
    """log(1 + exp(-target input)) for targets of -1 and 1; finite for every input."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    tensors = one_shape("soft_margin_loss", *one_dtype(input, target))
    return elementwise("loss_binary.soft_margin_forward", 1, reduction, tensors)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction: str = "mean"):
    """The mean over the last dimension, the classes, of binary cross-entropies of logits."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    input, target = one_shape("multilabel_soft_margin_loss", *one_dtype(input, target))
    *lead, classes = input._data.shape
    weight = class_weight("multilabel_soft_margin_loss", weight, classes, input._data.dtype)
    flat = size(lead), classes
    kernel = "loss_multiclass.multilabel_soft_margin_forward"
    return rows(kernel, 2, reduction, (input, target, weight), (flat, flat, None), tuple(lead))


class BCELoss(WeightedLoss):
    """Binary cross-entropy of probabilities; BCEWithLogitsLoss is more precise."""

    def forward(self, input, target):
        return binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of logits; `pos_weight` is a factor of the positive part, one a class.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> print(f"{nn.BCEWithLogitsLoss()(np.zeros((2, 3)), np.ones((2, 3))).item():.4f}")
    0.6931
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction: str = "mean", pos_weight=None) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", buffer(weight))
        self.register_buffer("pos_weight", buffer(pos_weight))

    def forward(self, input, target):
        return binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence; input are logarithms of probabilities, and target with `log_target`."""

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class SoftMarginLoss(Loss):
    """The logistic loss of targets -1 and 1."""

    def forward(self, input, target):
        return soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """Binary cross-entropy of logits for each class, averaged over classes: one loss a sample."""

    def forward(self, input, target):
        return multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)
