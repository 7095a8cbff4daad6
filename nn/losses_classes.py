"""Losses of classes: CrossEntropyLoss, NLLLoss, LinearCrossEntropyLoss, and their functions."""

from __future__ import annotations

import math

import numpy as np

from .dtypes import is_floating
from .linear import Linear, linear
from .losses_base import (
    WeightedLoss,
    as_labels,
    class_weight,
    legacy_reduction,
    one_dtype,
    rows,
    size,
)
from .tensor import as_tensor

__all__ = [
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "NLLLoss",
    "cross_entropy",
    "linear_cross_entropy",
    "nll_loss",
]


def _samples(shape):
    """(N, C, M) for the shape of an input (C,), (N, C) or (N, C, d1 ...), and the shape of its labels."""
    if len(shape) == 2:
        return (*shape, 1), shape[:1]
    if len(shape) == 1:
        return (1, shape[0], 1), ()
    return (shape[0], shape[1], size(shape[2:])), (shape[0], *shape[2:])


def _of_labels(kernel, name, input, target, weight, reduction, scalars):
    given = input._data.shape
    if not given:
        raise ValueError(f"{name}: input: expected shape (C,), (N, C) or (N, C, d1, ...), got a number")
    target = as_labels(name, target)
    three, wanted = _samples(given)
    if target._data.shape != wanted:
        raise ValueError(
            f"{name}: target: expected shape {wanted} for an input of shape {given}, got {target._data.shape}"
        )
    weight = class_weight(name, weight, three[1], input._data.dtype)
    layout = three, (three[0], three[2]), None
    return rows(kernel, 1, reduction, (input, target, weight), layout, wanted, scalars)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index: int = -100,
    reduce=None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
):
    """The loss of logits (C,), (N, C) or (N, C, d1 ...) and labels without the dimension C, or probabilities with it.

    `weight` is a factor a class; samples labelled `ignore_index` count for nothing; a mean over labels is divided by
    the sum of their weights.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing: expected 0 .. 1, got {label_smoothing}")
    (input,), target = one_dtype(input), as_tensor(target)
    smoothing = float(label_smoothing)
    if target._data.shape != input._data.shape:
        scalars = int(ignore_index), smoothing
        kernel = "cross_entropy.cross_entropy_forward"
        return _of_labels(kernel, "cross_entropy", input, target, weight, reduction, scalars)
    if not is_floating(target._data.dtype):
        raise TypeError(
            f"cross_entropy: target: expected labels of shape {_samples(input._data.shape or (0,))[1]}, or "
            f"probabilities (floating) of the input's shape {input._data.shape}, got {target._data.dtype} of that shape"
        )
    if ignore_index >= 0:
        raise ValueError("cross_entropy: ignore_index is for labels; the target holds probabilities")
    if not input._data.shape:
        raise ValueError("cross_entropy: input: expected shape (C,), (N, C) or (N, C, d1, ...), got a number")
    input, target = one_dtype(input, target)
    three, shape = _samples(input._data.shape)
    weight = class_weight("cross_entropy", weight, three[1], input._data.dtype)
    kernel = "cross_entropy_soft.cross_entropy_soft_forward"
    return rows(kernel, 2, reduction, (input, target, weight), (three, three, None), shape, (smoothing,))


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index: int = -100, reduce=None, reduction: str = "mean"
):
    """-weight[target] input[target]: the loss of logarithms of probabilities; shapes as in `cross_entropy`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    (input,) = one_dtype(input)
    return _of_labels("nll.nll_forward", "nll_loss", input, target, weight, reduction, (int(ignore_index),))


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
):
    """cross_entropy(linear(input, linear_weight, linear_bias), target, ...)

    input (in,) or (N, in); linear_weight (C, in) or (C, d1 ..., in), linear_bias without the last dimension; target as
    `cross_entropy` takes it for logits of shape (C,), (N, C) or (N, C, d1 ...).
    """
    input, linear_weight = one_dtype(input, linear_weight)
    given, wide = input._data.shape, linear_weight._data.shape
    if len(given) not in (1, 2) or len(wide) < 2 or given[-1] != wide[-1]:
        raise ValueError(
            "linear_cross_entropy: expected input (in,) or (N, in) and linear_weight (C, ..., in), "
            f"got {given} and {wide}"
        )
    if len(wide) > 2 and len(given) == 1:
        raise ValueError(f"linear_cross_entropy: linear_weight of shape {wide} needs an input (N, in), got {given}")
    logits_shape = (*given[:-1], *wide[:-1])
    target = as_tensor(target)
    if target._data.shape == logits_shape and ignore_index is not None:
        raise ValueError("linear_cross_entropy: ignore_index is for labels; the target holds probabilities")
    if linear_bias is not None:
        linear_bias = as_tensor(linear_bias)
        if linear_bias._data.shape != wide[:-1]:
            raise ValueError(f"linear_cross_entropy: linear_bias: expected {wide[:-1]}, got {linear_bias._data.shape}")
    if len(wide) > 2:
        linear_weight = linear_weight.reshape(size(wide[:-1]), wide[-1])
        linear_bias = None if linear_bias is None else linear_bias.reshape(size(wide[:-1]))
    logits = linear(input, linear_weight, linear_bias)
    if len(wide) > 2:
        logits = logits.reshape(logits_shape)
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class NLLLoss(WeightedLoss):
    """The loss of logarithms of probabilities (N, C, ...) and labels (N, ...).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> print(f"{nn.NLLLoss()(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0])).item():.4f}")
    1.0397
    """

    def __init__(
        self, weight=None, size_average=None, ignore_index: int = -100, reduce=None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(WeightedLoss):
    """The loss of logits (N, C, ...) and labels (N, ...), or probabilities (N, C, ...); see `functional.cross_entropy`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> loss = nn.CrossEntropyLoss()
    >>> print(f"{loss(np.zeros((3, 4), np.float32), np.array([0, 1, 3])).item():.4f}")
    1.3863
    """

    def __init__(
        self,
        weight=None,
        size_average=None,
        ignore_index: int = -100,
        reduce=None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input, target):
        return cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class LinearCrossEntropyLoss(WeightedLoss):
    """Cross-entropy of a linear layer's result: the layer is `linear`, of shape (C prod(out_features), in_features).

    Input (in_features,) or (N, in_features); labels (N, *out_features) or probabilities (N, C, *out_features).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> loss = nn.LinearCrossEntropyLoss(5, 10, out_features=(4, 3))
    >>> loss(np.ones((2, 5), np.float32), np.zeros((2, 4, 3), np.int64)).shape
    ()
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device=None,
        dtype=None,
        reduction: str = "mean",
        weight=None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        if weight is not None and np.shape(as_tensor(weight).data) != (num_classes,):
            raise ValueError(f"weight: expected shape ({num_classes},), got {as_tensor(weight).shape}")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing: expected 0 .. 1, got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        features = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, features, bias=bias, device=device, dtype=dtype)

    def forward(self, input, target):
        weight, bias = self.linear.weight, self.linear.bias
        if self.out_features:
            weight = weight.reshape(self.num_classes, *self.out_features, self.linear.in_features)
            bias = None if bias is None else bias.reshape(self.num_classes, *self.out_features)
        return linear_cross_entropy(
            input,
            weight,
            target,
            linear_bias=bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}"
        )
