"""Similarity and distance of vectors, and their losses: CosineSimilarity, PairwiseDistance, CosineEmbeddingLoss,
TripletMarginLoss, TripletMarginWithDistanceLoss, and their functions."""

from __future__ import annotations

from collections.abc import Callable

from .doors import absent, call, empty
from .losses_base import Loss, elementwise, legacy_reduction, one_dtype, one_shape, reduction_code, rows, size
from .module import Module
from .tape import Function
from .tensor import as_tensor

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "PairwiseDistance",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "cosine_embedding_loss",
    "cosine_similarity",
    "normalize",
    "pairwise_distance",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _gradients(ctx, x1, x2):
    return [
        empty(x.shape, x.dtype, ctx.device) if needed else absent(x.dtype, ctx.device)
        for x, needed in zip((x1, x2), ctx.needs, strict=False)
    ]


class CosineFunction(Function):
    """The cosine of vectors along the last dimension."""

    autocast = "float"

    @staticmethod
    def forward(ctx, x1, x2, eps):
        lead, features = x1.shape[:-1], x1.shape[-1]
        flat = size(lead), features
        y, norm1, norm2 = (empty(flat[:1], x1.dtype, ctx.device) for _ in range(3))
        call("loss_distance.cosine_similarity_forward", y, norm1, norm2, x1.reshape(flat), x2.reshape(flat), eps)
        ctx.save(x1, x2, y)
        ctx.norms, ctx.flat, ctx.eps = (norm1, norm2), flat, eps
        return y.reshape(lead)

    @staticmethod
    def backward(ctx, dy):
        x1, x2, y = ctx.saved
        flat, grads = ctx.flat, _gradients(ctx, x1, x2)
        arrays = [g.reshape(flat) if g.size else g for g in grads] + [dy.reshape(flat[0])]
        arrays += [x1.reshape(flat), x2.reshape(flat), y, *ctx.norms]
        call("loss_distance.cosine_similarity_backward", *arrays, ctx.eps)
        return *(g if needed else None for g, needed in zip(grads, ctx.needs, strict=False)), None


class DistanceFunction(Function):
    """The p-norm of x1 - x2 + eps along the last dimension, which is kept with size 1 if `keepdim`."""

    autocast = "float"

    @staticmethod
    def forward(ctx, x1, x2, p, eps, keepdim):
        lead, features = x1.shape[:-1], x1.shape[-1]
        flat = size(lead), features
        y = empty(flat[:1], x1.dtype, ctx.device)
        call("loss_distance.pairwise_distance_forward", y, x1.reshape(flat), x2.reshape(flat), p, eps)
        ctx.save(x1, x2, y)
        ctx.flat, ctx.p, ctx.eps = flat, p, eps
        return y.reshape((*lead, 1) if keepdim else lead)

    @staticmethod
    def backward(ctx, dy):
        x1, x2, y = ctx.saved
        flat, grads = ctx.flat, _gradients(ctx, x1, x2)
        arrays = [g.reshape(flat) if g.size else g for g in grads] + [dy.reshape(flat[0])]
        arrays += [x1.reshape(flat), x2.reshape(flat), y]
        call("loss_distance.pairwise_distance_backward", *arrays, ctx.p, ctx.eps)
        return *(g if needed else None for g, needed in zip(grads, ctx.needs, strict=False)), None, None, None


def cosine_similarity(x1, x2, dim: int = 1, eps: float = 1e-8):
    """x1.x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`; the other dimensions broadcast."""
    x1, x2 = one_shape("cosine_similarity", *one_dtype(x1, x2))
    dims = len(x1._data.shape)
    if not -dims <= dim < dims:
        raise IndexError(f"cosine_similarity: dim: expected {-dims} .. {dims - 1}, got {dim}")
    dim %= dims
    if dim != dims - 1:
        order = [d for d in range(dims) if d != dim] + [dim]
        x1, x2 = x1.permute(*order), x2.permute(*order)
    return CosineFunction.apply(x1, x2, float(eps))


def normalize(input, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12):
    """input / max(its p-norm along `dim`, eps)"""
    x = as_tensor(input)
    return x / x.norm(p, dim, keepdim=True).clamp(min=eps)


def pairwise_distance(x1, x2, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
    """The p-norm of x1 - x2 + eps along the last dimension; the others broadcast. p may be 0, negative or inf."""
    x1, x2 = one_shape("pairwise_distance", *one_dtype(x1, x2))
    if not x1._data.shape:
        raise ValueError("pairwise_distance: expected vectors, got numbers")
    return DistanceFunction.apply(x1, x2, float(p), float(eps), bool(keepdim))


def cosine_embedding_loss(
    input1, input2, target, margin: float = 0.0, size_average=None, reduce=None, reduction: str = "mean"
):
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1. Inputs (N, D), target (N,)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    input1, input2, target = one_dtype(input1, input2, target)
    input1, input2 = one_shape("cosine_embedding_loss", input1, input2)
    given, labels = input1._data.shape, target._data.shape
    if len(given) != len(labels) + 1 or len(labels) > 1 or (labels and labels[0] not in (given[0], 1)):
        raise ValueError(
            f"cosine_embedding_loss: expected inputs (N, D) and target (N,), or (D,) and a number, got {given} "
            f"and {labels}"
        )
    if labels != given[:-1]:
        target = target.expand(given[:-1])
    flat = (1, *given)[-2:]
    kernel, layout = "loss_distance.cosine_embedding_forward", (flat, flat, flat[:1])
    return rows(kernel, 2, reduction, (input1, input2, target), layout, given[:-1], (float(margin),))


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average=None,
    reduce=None,
    reduction: str = "mean",
):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d the p-norm.

    With `swap` the nearer of anchor and positive to the negative counts.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)

    def distance(a, b):
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor,
    positive,
    negative,
    *,
    distance_function: Callable | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
):
    """triplet_margin_loss with any function of two tensors as the distance; `pairwise_distance` if None."""
    reduction_code(reduction)
    if not margin > 0:
        raise ValueError(f"margin: expected more than 0, got {margin}")
    anchor, positive, negative = one_dtype(anchor, positive, negative)
    if len({len(t._data.shape) for t in (anchor, positive, negative)}) > 1:
        shapes = ", ".join(str(t._data.shape) for t in (anchor, positive, negative))
        raise ValueError(f"triplet loss: expected tensors of one number of dimensions, got {shapes}")
    distance = pairwise_distance if distance_function is None else distance_function
    distances = [distance(anchor, positive), distance(anchor, negative)]
    if swap:
        distances.append(distance(positive, negative))
    distances = one_shape("triplet loss", *one_dtype(*distances))
    inputs = (*distances, None) if len(distances) == 2 else distances
    return elementwise("loss_margin.triplet_margin_forward", 3, reduction, inputs, (float(margin),))


class CosineSimilarity(Module):
    """The cosine of vectors along `dim`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.CosineSimilarity()(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])).tolist()
    [1.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of differences along the last dimension.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.PairwiseDistance(eps=0.0)(np.array([[3.0, 4.0]]), np.zeros((1, 2))).tolist()
    [5.0]
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineEmbeddingLoss(Loss):
    """Similar pairs (target 1) are to point the same way, others (-1) apart by at least `margin`."""

    def __init__(self, margin: float = 0.0, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(Loss):
    """The anchor is to be nearer to the positive than to the negative, by `margin`."""

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average=None,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginLoss: margin: expected more than 0, got {margin}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor, positive, negative):
        return triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(Loss):
    """TripletMarginLoss with any function, or module, of two tensors as the distance."""

    def __init__(
        self,
        *,
        distance_function: Callable | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin: expected more than 0, got {margin}")
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor, positive, negative):
        return triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
