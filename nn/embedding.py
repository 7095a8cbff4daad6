"""Embedding: rows of a table by id, by torch's names and rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import init
from .device import as_device
from .doors import call, empty
from .dtypes import int64
from .factory import new_parameter
from .module import Module
from .parameter import Parameter
from .sparse import coalesced
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["Embedding", "embedding"]


class EmbeddingFunction(Function):
    """Rows of weight by ids of any shape; padding_idx -1: none."""

    @staticmethod
    def forward(ctx, weight, ids, padding_idx, scale_grad_by_freq, sparse):
        y = empty((ids.size, weight.shape[1]), weight.dtype, ctx.device)
        ctx.save(ids)
        ctx.options, ctx.sparse, ctx.table = (padding_idx, scale_grad_by_freq), sparse, weight.shape
        call("embedding.embedding_forward", y, weight, ids.reshape(-1))
        return y.reshape(*ids.shape, weight.shape[1])

    @staticmethod
    def backward(ctx, dy):
        ids = ctx.saved[0].reshape(-1)
        dy = dy.reshape(ids.size, ctx.table[1])
        if ctx.sparse and ends_at_leaf(ctx, 0):
            return coalesced(dy, ids, ctx.table, ctx.options[0]), None, None, None, None
        dw, accumulate = ctx.grad_into(0)
        call("embedding.embedding_backward", dw, dy, ids, *ctx.options, accumulate)
        return dw, None, None, None, None


def ends_at_leaf(ctx, i: int) -> bool:
    """Whether argument i was made by nothing: what makes a tensor wants a whole gradient."""
    return type(ctx.edges[i]) is not tuple


def check_sparse(sparse: bool, scale_grad_by_freq: bool, what: str) -> None:
    if sparse and scale_grad_by_freq:
        raise ValueError(f"{what}: scale_grad_by_freq is not supported with sparse gradients")


def as_ids(input: Any, what: str) -> Tensor:
    """Ids as a tensor of int64: the tensor given, where it is one."""
    ids = as_tensor(input)
    dtype = ids._data.dtype
    if dtype is int64:
        return ids
    # an empty list is floating, but there is nothing to misread
    if dtype.kind not in "iu" and ids._data.size:
        raise TypeError(f"{what}: expected ids as integers, got {dtype}")
    return ids.detach().to(int64)


def padding_row(padding_idx: int | None, rows: int, what: str) -> int:
    """padding_idx counted from the front; -1: none."""
    if padding_idx is None:
        return -1
    if not isinstance(padding_idx, (int, np.integer)):
        raise TypeError(f"{what}: expected padding_idx as an integer, got {padding_idx!r}")
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{what}: padding_idx must be within num_embeddings, {rows}; got {padding_idx}")
    return int(padding_idx % rows)


def check_table(weight: Any, what: str) -> None:
    if len(weight.shape) != 2:
        raise ValueError(f"{what}: expected weight (num_embeddings, embedding_dim), got shape {tuple(weight.shape)}")


def renorm(weight: Tensor, ids: Tensor, max_norm: float | None, norm_type: float) -> None:
    """Scale the rows that ids name down to max_norm, in place and off the tape."""
    if max_norm is not None:
        array = weight.detach()._writable()
        flat = ids.contiguous()._data.reshape(-1)
        call("embedding.embedding_renorm_update", array, flat, float(max_norm), float(norm_type))


def embedding(
    input,
    weight,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[...] = weight[input[...]]

    input (...) of integers, weight (num_embeddings, embedding_dim); gives (..., embedding_dim).

    padding_idx         a row that gets no gradient
    max_norm            scale rows that are looked up down to this norm, in place
    norm_type           the order of that norm
    scale_grad_by_freq  divide a row's gradient by how often its id stands in input
    sparse              the gradient of a leaf is a SparseGradient: the rows that were used
    """
    weight, ids = as_tensor(weight), as_ids(input, "embedding")
    check_table(weight, "embedding")
    padding = padding_row(padding_idx, weight.shape[0], "embedding")
    renorm(weight, ids, max_norm, norm_type)
    check_sparse(sparse, scale_grad_by_freq, "embedding")
    return EmbeddingFunction.apply(weight, ids, padding, bool(scale_grad_by_freq), bool(sparse))


class Embedding(Module):
    """y[...] = weight[input[...]]

    Input (...) of integers, output (..., embedding_dim). Parameter: weight (num_embeddings, embedding_dim), standard
    normal at first but for row padding_idx, which is 0; as torch.nn.Embedding. Options as `functional.embedding`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.Embedding(10, 3, padding_idx=0)
    >>> layer
    Embedding(10, 3, padding_idx=0)
    >>> y = layer(np.array([[1, 2, 4, 5], [4, 3, 2, 0]]))
    >>> y.shape
    (2, 4, 3)
    >>> y.numpy()[1, 3]
    array([0., 0., 0.], dtype=float32)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight=None,
        _freeze: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None:
            padding_idx = padding_row(padding_idx, num_embeddings, "Embedding")
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = new_parameter((num_embeddings, embedding_dim), device, dtype)
            self.weight.requires_grad_(not _freeze)
            self.reset_parameters()
        else:
            self.weight = given_table(_weight, (num_embeddings, embedding_dim), device, _freeze)
        if sparse:
            self.weight._by_rows = True

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.normal_(self.weight)
        clear_padding(self)

    def forward(self, input) -> Tensor:
        options = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        return embedding(input, self.weight, *options)

    def extra_repr(self) -> str:
        return described(self, *DEFAULTS)

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer over a table that exists; `freeze`: it does not learn."""
        table = as_tensor(embeddings)
        check_table(table, "from_pretrained")
        rows, width = table.shape
        options = padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
        return cls(rows, width, *options, _weight=table, _freeze=freeze)


def given_table(weight: Any, shape: tuple[int, int], device: Any, freeze: bool) -> Parameter:
    """A parameter over a table of the caller's."""
    table = as_tensor(weight).detach()
    if table.shape != shape:
        got = tuple(table.shape)
        raise ValueError(
            f"Shape of weight does not match num_embeddings and embedding_dim: expected {shape}, got {got}"
        )
    return Parameter(table.to(device=as_device(device)), requires_grad=not freeze)


def clear_padding(layer: Any) -> None:
    """The row of padding_idx is 0."""
    if layer.padding_idx is not None:
        init.zeros_(layer.weight.detach()[layer.padding_idx])


# options as extra_repr knows them: these stand there unless a layer has the default
DEFAULTS = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}


def described(layer: Any, *names: str) -> str:
    """Sizes, and those of the options `names` that differ from their defaults."""
    parts = [f"{layer.num_embeddings}, {layer.embedding_dim}"]
    for name in names:
        value = getattr(layer, name)
        if name not in DEFAULTS or value != DEFAULTS[name]:
            parts.append(f"{name}={value!r}")
    return ", ".join(parts)
