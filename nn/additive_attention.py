"""Additive (Bahdanau) attention: for decoders that look at all of what an encoder read, a step at a time."""

from __future__ import annotations

import math
from typing import Any

from . import init
from .creation import ones
from .doors import absent, call, empty
from .dropout import dropout
from .factory import new_parameter
from .linear import Linear
from .module import Module
from .parameter import Parameter
from .softmax import softmax
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["AdditiveAttention", "additive_attention"]


class AdditiveScores(Function):
    """(N, L, S) from projected queries (N, L, H) and keys (N, S, H) and the weights (H,) of the units."""

    # its kernels know no 16-bit floats
    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, query, key, weight):
        scores = empty((*query.shape[:2], key.shape[1]), query.dtype, ctx.device)
        call("additive.additive_forward", scores, query, key, weight)
        ctx.save(query, key, weight)
        return scores

    @staticmethod
    def backward(ctx, ds):
        query, key, weight = ctx.saved
        dq, dk = (
            empty(x.shape, x.dtype, ctx.device) if needed else absent(x.dtype, ctx.device, 3)
            for x, needed in zip((query, key), ctx.needs, strict=False)
        )
        dv, accumulate = ctx.grad_into(2)
        call("additive.additive_backward", dq, dk, dv, ds, query, key, weight, accumulate)
        return dq if ctx.needs[0] else None, dk if ctx.needs[1] else None, dv if ctx.needs[2] else None


def additive_attention(
    query, key, value=None, weight=None, key_padding_mask=None, dropout_p: float = 0.0
) -> tuple[Tensor, Tensor]:
    """(context, weights): weights = softmax over j of sum(weight tanh(query + key[j])), context = weights @ value

    query (N, L, H), or (N, H) for one step; key (N, S, H); value (N, S, E), None: key; weight (H,), None: all 1.
    key_padding_mask (N, S) is True where a key is not to be seen; a sample that sees none gets zeros. Gives context
    (N, L, E) and weights (N, L, S), or (N, E) and (N, S). `dropout_p` drops weights. As
    keras.layers.AdditiveAttention, whose scale is `weight`.
    """
    q, k = as_tensor(query), as_tensor(key)
    v = k if value is None else as_tensor(value)
    step = q.dim() == 2
    if step:
        q = q.unsqueeze(1)
    if q.dim() != 3 or k.dim() != 3 or q.shape[::2] != k.shape[::2]:
        shapes = f"{tuple(as_tensor(query).shape)} and {tuple(k.shape)}"
        raise ValueError(f"additive_attention: expected query (N, L, H) or (N, H) and key (N, S, H), got {shapes}")
    if v.dim() != 3 or v.shape[:2] != k.shape[:2]:
        expected = f"({k.shape[0]}, {k.shape[1]}, E)"
        raise ValueError(f"additive_attention: expected value {expected}, got shape {tuple(v.shape)}")
    w = ones(q.shape[2], dtype=q.dtype, device=q.device) if weight is None else as_tensor(weight)
    if w.shape != q.shape[2:]:
        raise ValueError(f"additive_attention: expected weight ({q.shape[2]},), got shape {tuple(w.shape)}")
    weights = _masked_softmax(AdditiveScores.apply(q, k, w), key_padding_mask)
    context = (dropout(weights, dropout_p) if dropout_p else weights) @ v
    return (context.squeeze(1), weights.squeeze(1)) if step else (context, weights)


def _masked_softmax(scores: Tensor, mask: Any) -> Tensor:
    if mask is None:
        return softmax(scores, -1)
    hidden = as_tensor(mask).to(device=scores.device)
    n, _, keys = scores.shape
    if hidden.dtype.kind != "b" or tuple(hidden.shape) != (n, keys):
        got = f"{hidden.dtype} {tuple(hidden.shape)}"
        raise ValueError(f"additive_attention: expected key_padding_mask bool ({n}, {keys}), got {got}")
    hidden = hidden.unsqueeze(1)
    # the second fill is for samples all of whose keys are hidden: their softmax is NaN
    return softmax(scores.masked_fill(hidden, -math.inf), -1).masked_fill(hidden, 0.0)


class AdditiveAttention(Module):
    """weights = softmax over j of v . tanh(W_q query + W_k key[j]), context = sum over j of weights[j] value[j]

    Inputs: query (N, L, query_size), or (N, query_size) for one step of a decoder; key (N, S, key_size); value
    (N, S, E), or None: the keys; key_padding_mask (N, S), True where a key is not to be seen (a sample that sees none
    gets zeros). Outputs: context (N, L, E) and weights (N, L, S), or (N, E) and (N, S). `dropout` drops weights.

    Keys are the same in every step: `project_key` projects them once, `projected_key` takes what it gave; beside a
    value, key may be None then. The array of tanh units, (N, L, S, hidden_size), is never made. Parameters:
    w_query.weight (hidden_size, query_size), w_query.bias (hidden_size,) if `bias`, w_key.weight (hidden_size,
    key_size) and v (hidden_size,), each uniform on +-1 / sqrt(inputs) at first.
    Source: Bahdanau, Cho & Bengio 2015.

    >>> import hotloop, numpy as np
    >>> from hotloop import nn
    >>> encoded = nn.Tensor(np.ones((2, 7, 6), np.float32))
    >>> attention, cell = nn.AdditiveAttention(5, 6, 8), nn.LSTMCell(3 + 6, 5)
    >>> h, c = nn.Tensor(np.zeros((2, 5), np.float32)), nn.Tensor(np.zeros((2, 5), np.float32))
    >>> keys = attention.project_key(encoded)
    >>> for word in np.ones((4, 2, 3), np.float32):
    ...     context, weights = attention(h, encoded, projected_key=keys)
    ...     h, c = cell(hotloop.cat([nn.Tensor(word), context], dim=1), (h, c))
    >>> h.shape, weights.shape
    ((2, 5), (2, 7))
    """

    v: Parameter

    def __init__(
        self,
        query_size: int,
        key_size: int,
        hidden_size: int,
        bias: bool = False,
        dropout: float = 0.0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {dropout}")
        self.query_size, self.key_size, self.hidden_size, self.dropout = query_size, key_size, hidden_size, dropout
        self.w_query = Linear(query_size, hidden_size, bias=bias, device=device, dtype=dtype)
        self.w_key = Linear(key_size, hidden_size, bias=False, device=device, dtype=dtype)
        self.v = new_parameter((hidden_size,), device, dtype)
        self._draw()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.w_query.reset_parameters()
        self.w_key.reset_parameters()
        self._draw()

    def _draw(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        init.uniform_(self.v, -bound, bound)

    def project_key(self, key) -> Tensor:
        """What every step makes of key (N, S, key_size), for `projected_key`."""
        return self.w_key(key)

    def forward(self, query, key, value=None, key_padding_mask=None, projected_key=None) -> tuple[Tensor, Tensor]:
        if key is None and (value is None or projected_key is None):
            raise ValueError("AdditiveAttention: expected a key; with a value and a projected_key there may be none")
        value = key if value is None else value
        keys = self.project_key(key) if projected_key is None else projected_key
        rate = self.dropout if self.training else 0.0
        return additive_attention(self.w_query(query), keys, value, self.v, key_padding_mask, rate)

    def extra_repr(self) -> str:
        more = f", dropout={self.dropout}" if self.dropout else ""
        return f"{self.query_size}, {self.key_size}, {self.hidden_size}, bias={self.w_query.bias is not None}{more}"
