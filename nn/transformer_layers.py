"""TransformerEncoderLayer and TransformerDecoderLayer, by torch's names and rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import activation_functions as functions
from .activations import ReLU
from .attention import MultiheadAttention
from .dropout import Dropout
from .fusion import run
from .linear import Linear
from .module import Module
from .norm import LayerNorm
from .residual import added, added_and_normalised
from .tensor import Tensor, as_tensor

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]

_ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {"relu": functions.relu, "gelu": functions.gelu}
# does what functions.relu does, and is computed together with the Linear before it
_RELU = ReLU()


class _Layer(Module):
    """What both layers have: parameters, and the ways from one sum to the next."""

    # how many sums of the input and what is made of it, each with a dropout and a norm
    _sums: int
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = functions.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
        *,
        rotary: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(activation, str):
            if activation not in _ACTIVATIONS:
                expected = f"one of {list(_ACTIVATIONS)} or a function"
                raise ValueError(f"{type(self).__name__}: expected activation {expected}, got {activation!r}")
            activation = _ACTIVATIONS[activation]
        options: dict[str, Any] = dict(dropout=dropout, bias=bias, batch_first=batch_first, device=device, dtype=dtype)
        self.self_attn = MultiheadAttention(d_model, nhead, **options, rotary=rotary)
        if self._sums == 3:
            self.multihead_attn = MultiheadAttention(d_model, nhead, **options)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for i in range(1, self._sums + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        for i in range(1, self._sums + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = activation

    def _attended(self, attention: Any, x: Tensor, memory: Tensor, mask: Any, padding: Any, causal: bool) -> Tensor:
        return attention(
            x, memory, memory, key_padding_mask=padding, need_weights=False, attn_mask=mask, is_causal=causal
        )[0]

    def _fed_forward(self, x: Tensor) -> Tensor:
        activation = _RELU if self.activation is functions.relu else self.activation
        return run([self.linear1, activation, self.dropout, self.linear2], x)

    def _added(self, x: Tensor, update: Callable, dropout: Any, norm: Any) -> Tensor:
        """The sum of x and what `update` makes of it, the norm before or after."""
        if self.norm_first:
            return added(x, update(norm(x)), dropout)
        return added_and_normalised(x, update(x), dropout, norm)


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each added to its input and normalised.

    x = norm1(x + dropout1(self_attn(x)));   y = norm2(x + dropout2(linear2(dropout(activation(linear1(x))))))

    With norm_first x + dropout1(self_attn(norm1(x))), and so on: Xiong et al. 2020. Input and output (L, N, d_model),
    with batch_first (N, L, d_model), or (L, d_model). src_mask, src_key_padding_mask and is_causal as attn_mask,
    key_padding_mask and is_causal of MultiheadAttention. `activation` is "relu", "gelu" or a function of a tensor.
    Parameters: self_attn (MultiheadAttention), linear1 and linear2 (Linear), norm1 and norm2 (LayerNorm), drawn as
    those layers draw them; bias=False leaves out every bias. The keyword `rotary` is self_attn's.

    Source: Vaswani et al. 2017; as torch.nn.TransformerEncoderLayer.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(np.ones((3, 5, 8), np.float32), is_causal=True).shape
    (3, 5, 8)
    """

    _sums = 2

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal: bool = False) -> Tensor:
        def attended(x):
            return self._attended(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal)

        x = self._added(as_tensor(src), attended, self.dropout1, self.norm1)
        return self._added(x, self._fed_forward, self.dropout2, self.norm2)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to an encoder's result, and a feed-forward network, each added and normalised.

    x = norm1(x + dropout1(self_attn(x)));   x = norm2(x + dropout2(multihead_attn(x, memory)))
    y = norm3(x + dropout3(linear2(dropout(activation(linear1(x))))))

    tgt and the output are (T, N, d_model), memory (S, N, d_model), with batch_first (N, T, d_model) ..., or without N.
    The masks and hints that begin with tgt_ are self_attn's, those with memory_ multihead_attn's; the rest as
    TransformerEncoderLayer, with multihead_attn (MultiheadAttention) and norm3 (LayerNorm). As
    torch.nn.TransformerDecoderLayer.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(np.ones((3, 5, 8), np.float32), np.ones((3, 7, 8), np.float32), tgt_is_causal=True).shape
    (3, 5, 8)
    """

    _sums = 3
    norm3: LayerNorm
    dropout3: Dropout

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attended(x):
            return self._attended(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def informed(x):
            masks = memory_mask, memory_key_padding_mask, memory_is_causal
            return self._attended(self.multihead_attn, x, memory, *masks)

        x = self._added(as_tensor(tgt), attended, self.dropout1, self.norm1)
        x = self._added(x, informed, self.dropout2, self.norm2)
        return self._added(x, self._fed_forward, self.dropout3, self.norm3)
