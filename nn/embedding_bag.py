"""EmbeddingBag: sums, means and maxima of rows of a table, a bag of ids at a time, by torch's names and rules."""

from __future__ import annotations

from typing import Any

from ..kernels.bag_checks import MAX, MODES
from . import init
from .doors import absent, call, empty
from .dtypes import int64
from .embedding import (
    as_ids,
    check_sparse,
    check_table,
    clear_padding,
    described,
    ends_at_leaf,
    given_table,
    padding_row,
    renorm,
)
from .factory import new_parameter
from .module import Module
from .parameter import Parameter
from .sparse import first_rows
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["EmbeddingBag", "embedding_bag"]


class EmbeddingBagFunction(Function):
    """Bags of rows; offsets None: each row of the ids is a bag. options: mode, padding_idx, by frequency, sparse."""

    autocast = "float"

    @staticmethod
    def forward(ctx, weight, ids, offsets, weights, options, bags):
        mode, padding = options[:2]
        flat, device, real = ids.reshape(-1), ctx.device, weight.dtype
        offsets = absent(int64, device) if offsets is None else offsets
        factors = absent(real, device) if weights is None else weights.reshape(-1)
        y = empty((bags, weight.shape[1]), real, device)
        largest = empty(y.shape, int64, device) if mode == MAX and ctx.needs[0] else absent(int64, device, 2)
        call("embedding_bag.embedding_bag_forward", y, largest, weight, flat, offsets, factors, mode, padding)
        # only the gradient of weights is made of the table's values
        ctx.save(flat, offsets, factors, largest, *((weight,) if ctx.needs[3] else ()))
        ctx.options, ctx.table, ctx.shape = options, weight, ids.shape
        return y

    @staticmethod
    def backward(ctx, dy):
        flat, offsets, factors, largest = ctx.saved[:4]
        mode, padding, by_frequency, sparse = ctx.options
        w, real, device = ctx.table, dy.dtype, ctx.device
        sparse = sparse and ctx.needs[0] and ends_at_leaf(ctx, 0)
        dw, accumulate = (absent(real, device, 2), False) if sparse else ctx.grad_into(0)
        dfactors = empty(flat.shape, real, device) if ctx.needs[3] else absent(real, device)
        if dw.size or dfactors.size:
            arrays = dw, dfactors, dy, w, flat, offsets, factors, largest
            call("embedding_bag.embedding_bag_backward", *arrays, mode, padding, by_frequency, accumulate)
        if sparse:
            rows, count = empty(flat.shape, int64, device), empty((1,), int64, device)
            values = empty((flat.size, w.shape[1]), real, device)
            arrays = rows, values, count, dy, flat, offsets, factors
            call("embedding_bag.embedding_bag_rows_backward", *arrays, w.shape[0], mode, padding)
            dw = first_rows(rows, values, count, w.shape)
        if not ctx.retained:
            ctx.table = None
        return dw, None, None, dfactors.reshape(ctx.shape) if ctx.needs[3] else None, None, None


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights=None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """y[b] = sum, mean or maximum over the ids of bag b of their rows in weight; 0 for an empty bag

    input (bags, ids) of integers, or (ids,) with offsets (bags,): where each bag begins; weight (num_embeddings,
    embedding_dim); gives (bags, embedding_dim).

    mode                 "sum", "mean" or "max"
    per_sample_weights   of input's shape: factors of the rows, for "sum"
    include_last_offset  offsets (bags + 1,) say where the last bag ends, too
    padding_idx          an id that does not count: it is in no bag

    Others as `embedding`; scale_grad_by_freq and sparse are not for "max". (With scale_grad_by_freq PyTorch's bags
    divide by how often other ids stand in input: not here.)
    """
    weight, ids = as_tensor(weight), as_ids(input, "embedding_bag")
    check_table(weight, "embedding_bag")
    if mode not in MODES:
        raise ValueError(f"mode has to be one of sum, mean or max; got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    check_sparse(sparse, scale_grad_by_freq, "embedding_bag")
    if per_sample_weights is not None:
        per_sample_weights = _weights_of_samples(per_sample_weights, ids, mode)
    starts, bags = _bags(ids, offsets, include_last_offset)
    padding = padding_row(padding_idx, weight.shape[0], "embedding_bag")
    renorm(weight, ids, max_norm, norm_type)
    options = MODES[mode], padding, bool(scale_grad_by_freq), bool(sparse)
    return EmbeddingBagFunction.apply(weight, ids, starts, per_sample_weights, options, bags)


def _weights_of_samples(given: Any, ids: Tensor, mode: str) -> Tensor:
    weights = as_tensor(given)
    if weights.shape != ids.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({weights.shape}) is not None, then it must have the same shape as "
            f"the input ({ids.shape})"
        )
    if mode != "sum":
        raise NotImplementedError(f"per_sample_weights is only supported for mode='sum' (got mode='{mode}')")
    return weights


def _bags(ids: Tensor, offsets: Any, include_last_offset: bool) -> tuple[Tensor | None, int]:
    """Where bags begin, None when each row of ids is one; and how many there are."""
    if ids.ndim == 2:
        if offsets is not None:
            raise ValueError(f"if input is 2D, then offsets has to be None, got a {type(offsets).__name__}")
        return None, ids.shape[0]
    if ids.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {ids.ndim}")
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    starts = as_ids(offsets, "offsets")
    if starts.ndim != 1:
        raise ValueError(f"offsets has to be a 1D Tensor, got shape {starts.shape}")
    if include_last_offset and not starts.shape[0]:
        raise ValueError("include_last_offset: expected offsets of at least 1 element, got none")
    return starts, starts.shape[0] - bool(include_last_offset)


class EmbeddingBag(Module):
    """y[b] = sum, mean or maximum over the ids of bag b of their rows in weight; 0 for an empty bag

    Input (bags, ids) of integers, or (ids,) and offsets (bags,); output (bags, embedding_dim). Parameter: weight
    (num_embeddings, embedding_dim), standard normal at first but for row padding_idx, which is 0; as
    torch.nn.EmbeddingBag. Options as `functional.embedding_bag`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.EmbeddingBag(10, 3, mode="sum")
    >>> layer
    EmbeddingBag(10, 3, mode='sum')
    >>> layer(np.array([1, 2, 4, 5, 4, 3, 2, 9]), np.array([0, 4])).shape
    (2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight=None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        if padding_idx is not None:
            padding_idx = padding_row(padding_idx, num_embeddings, "EmbeddingBag")
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        self.padding_idx = padding_idx
        if _weight is None:
            self.weight = new_parameter((num_embeddings, embedding_dim), device, dtype)
            self.reset_parameters()
        else:
            self.weight = given_table(_weight, (num_embeddings, embedding_dim), device, freeze=False)
        if sparse:
            self.weight._by_rows = True

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        clear_padding(self)

    def forward(self, input, offsets=None, per_sample_weights=None) -> Tensor:
        options = self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse
        last = per_sample_weights, self.include_last_offset, self.padding_idx
        return embedding_bag(input, self.weight, offsets, *options, *last)

    def extra_repr(self) -> str:
        return described(self, "max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx")

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer over a table that exists; `freeze`: it does not learn."""
        table = as_tensor(embeddings)
        check_table(table, "from_pretrained")
        rows, width = table.shape
        options = max_norm, norm_type, scale_grad_by_freq, mode, sparse, table, include_last_offset, padding_idx
        layer = cls(rows, width, *options)
        layer.weight.requires_grad_(not freeze)
        return layer
