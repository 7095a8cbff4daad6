"""Margin losses: HingeEmbeddingLoss, MarginRankingLoss, MultiMarginLoss, MultiLabelMarginLoss, and their functions."""

from __future__ import annotations

from .losses_base import (
    Loss,
    WeightedLoss,
    as_labels,
    class_weight,
    elementwise,
    legacy_reduction,
    one_dtype,
    one_shape,
    rows,
)

__all__ = [
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiMarginLoss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
]


def hinge_embedding_loss(input, target, margin: float = 1.0, size_average=None, reduce=None, reduction: str = "mean"):
    """input where target is 1, max(0, margin - input) where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    input, target = one_shape("hinge_embedding_loss", *one_dtype(input, target))
    return elementwise("loss_margin.hinge_embedding_forward", 1, reduction, (input, target.detach()), (float(margin),))


def margin_ranking_loss(
    input1, input2, target, margin: float = 0.0, size_average=None, reduce=None, reduction: str = "mean"
):
    """max(0, -target (input1 - input2) + margin) for targets of -1 and 1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    tensors = one_dtype(input1, input2, target)
    if len({len(t._data.shape) for t in tensors}) > 1:
        shapes = ", ".join(str(t._data.shape) for t in tensors)
        raise ValueError(f"margin_ranking_loss: expected tensors of one number of dimensions, got {shapes}")
    tensors = one_shape("margin_ranking_loss", *tensors)
    return elementwise("loss_margin.margin_ranking_forward", 3, reduction, tensors, (float(margin),))


def multi_margin_loss(
    input, target, p: int = 1, margin: float = 1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The mean over classes c other than the target of max(0, margin - input[target] + input[c])**p."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p: expected 1 or 2, got {p}")
    (input,), target = one_dtype(input), as_labels("multi_margin_loss", target)
    given = input._data.shape
    if len(given) not in (1, 2) or given[-1] == 0:
        raise ValueError(f"multi_margin_loss: input: expected shape (N, C) or (C,) with C > 0, got {given}")
    n = given[0] if len(given) == 2 else 1
    if target._data.size != n or len(target._data.shape) > 1:
        raise ValueError(
            f"multi_margin_loss: target: expected {n} labels for an input of shape {given}, got {target._data.shape}"
        )
    weight = class_weight("multi_margin_loss", weight, given[-1], input._data.dtype)
    return rows(
        "loss_multiclass.multi_margin_forward",
        1,
        reduction,
        (input, target, weight),
        ((n, given[-1]), (n,), None),
        target._data.shape,
        (int(p), float(margin)),
    )


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction: str = "mean"):
    """max(0, 1 - input[label] + input[c]) over labels and other classes c, divided by C; -1 ends the labels."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    (input,), target = one_dtype(input), as_labels("multilabel_margin_loss", target)
    given = input._data.shape
    if len(given) not in (1, 2) or given[-1] == 0:
        raise ValueError(f"multilabel_margin_loss: input: expected shape (N, C) or (C,) with C > 0, got {given}")
    if target._data.shape != given:
        raise ValueError(
            f"multilabel_margin_loss: target: expected the input's shape {given}, got {target._data.shape}"
        )
    flat = (1, *given)[-2:]
    kernel = "loss_multiclass.multilabel_margin_forward"
    return rows(kernel, 1, reduction, (input, target), (flat, flat), given[:-1])


class HingeEmbeddingLoss(Loss):
    """Distances of similar pairs (target 1) are to be small, of others (-1) at least `margin`."""

    def __init__(self, margin: float = 1.0, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input, target):
        return hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(Loss):
    """The first score is to be larger than the second by `margin` where target is 1, smaller where it is -1."""

    def __init__(self, margin: float = 0.0, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(WeightedLoss):
    """The right class is to stand out from all others by `margin`; `p` is the power of what is missing."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight=None, size_average=None, reduce=None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p: expected 1 or 2, got {p}")
        if weight is not None and len(weight.shape) != 1:
            raise ValueError(f"MultiMarginLoss: weight: expected one dimension, got shape {tuple(weight.shape)}")
        self.p, self.margin = p, margin

    def forward(self, input, target):
        return multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """All labels of a row are to stand out from all other classes by 1; the first -1 ends the labels."""

    def forward(self, input, target):
        return multilabel_margin_loss(input, target, reduction=self.reduction)
