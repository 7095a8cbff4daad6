"""MultiheadAttention, by torch's names and rules."""

from __future__ import annotations

from typing import Any

from . import init
from .attention_heads import multi_head_attention_forward
from .factory import new_parameter
from .linear import Linear
from .module import Module
from .parameter import Parameter
from .tensor import Tensor

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Each of num_heads heads mixes the steps of a sequence of values, by how well their keys fit a query.

    q, k, v = split(in_proj_weight x + in_proj_bias), each cut into heads
    head = dropout(softmax(q k^T / sqrt(E / num_heads) + masks)) v;   y = out_proj(heads side by side)

    Input: query (L, N, E), key (S, N, kdim) and value (S, N, vdim), with batch_first (N, L, E) ..., or without N.
    Output: a pair, y of query's shape and the weights (N, L, S), the mean over the heads: (N, num_heads, L, S) with
    average_attn_weights=False, None with need_weights=False, which is faster. Masks, of bools or of floats:

    key_padding_mask  (N, S): True for keys that nobody may see, or numbers added to their scores
    attn_mask         (L, S) or (N * num_heads, L, S): True for keys that a query may not see, or numbers added
    is_causal         query l sees no key after the l-th: attn_mask is taken to say so, and not looked at

    A query that may see no key gets 0 from every head, where torch gives NaN. Bools and floats may be mixed. is_causal
    needs no attn_mask, as it does in torch. With add_bias_kv or add_zero_attn, whose key every query sees, attn_mask
    holds if it is given. The weights are those that multiply the values: in training, after dropout.

    Parameters: in_proj_weight (3 E, E) or, where kdim or vdim differs from embed_dim, q_proj_weight (E, E),
    k_proj_weight (E, kdim) and v_proj_weight (E, vdim), all uniform by Xavier's rule at first; in_proj_bias (3 E,), 0;
    with add_bias_kv a key and a value for all samples, bias_k and bias_v (1, 1, E); out_proj, a Linear whose bias
    begins with 0. The keyword `rotary`, a nn.RotaryEmbedding, turns projected queries and keys by their places.

    Source: Vaswani et al. 2017; as torch.nn.MultiheadAttention.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = np.ones((3, 5, 8), np.float32)
    >>> y, weights = layer(x, x, x, is_causal=True)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    >>> layer
    MultiheadAttention(
      8, 2, batch_first=True
      (out_proj): Linear(in_features=8, out_features=8, bias=True)
    )
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device=None,
        dtype=None,
        *,
        rotary: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: expected embed_dim and num_heads > 0, and embed_dim as a multiple of num_heads, "
                f"got {embed_dim} and {num_heads}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: expected dropout of 0 .. 1, got {dropout}")
        if rotary is not None and (add_bias_kv or add_zero_attn):
            raise ValueError("MultiheadAttention: expected no add_bias_kv or add_zero_attn beside rotary positions")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        apart = not self._qkv_same_embed_dim
        shapes: dict[str, tuple | None] = {
            "q_proj_weight": (embed_dim, embed_dim) if apart else None,
            "k_proj_weight": (embed_dim, self.kdim) if apart else None,
            "v_proj_weight": (embed_dim, self.vdim) if apart else None,
            "in_proj_weight": None if apart else (3 * embed_dim, embed_dim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else new_parameter(shape, device, dtype))
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.rotary = rotary
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw new initial values, but for out_proj's weight."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights: bool = True,
        attn_mask=None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        return multi_head_attention_forward(
            *(query, key, value, self.embed_dim, self.num_heads),
            *(self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn),
            *(self.dropout, self.out_proj.weight, self.out_proj.bias, self.training),
            *(key_padding_mask, need_weights, attn_mask, not self._qkv_same_embed_dim),
            *(self.q_proj_weight, self.k_proj_weight, self.v_proj_weight),
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
            rotary=self.rotary,
        )

    def extra_repr(self) -> str:
        shown = [f"{self.embed_dim}, {self.num_heads}"]
        if not self._qkv_same_embed_dim:
            shown.append(f"kdim={self.kdim}, vdim={self.vdim}")
        for name, off in (("dropout", 0.0), ("add_zero_attn", False), ("batch_first", False)):
            if getattr(self, name) != off:
                shown.append(f"{name}={getattr(self, name)}")
        if self.in_proj_bias is None:
            shown.append("bias=False")
        if self.bias_k is not None:
            shown.append("add_bias_kv=True")
        return ", ".join(shown)
