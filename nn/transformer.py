"""TransformerEncoder, TransformerDecoder and Transformer, by torch's names and rules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from . import init
from .activation_functions import relu
from .attention_masks import is_causal_mask, square_subsequent_mask
from .containers import ModuleList
from .module import Module
from .norm import LayerNorm
from .tensor import Tensor, as_tensor
from .transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = ["Transformer", "TransformerDecoder", "TransformerEncoder"]


class _Stack(Module):
    """Copies of a layer, with the same initial values, and perhaps a norm at the end."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _causal(self, mask: Any, is_causal: bool | None, x: Tensor) -> bool:
        """`is_causal`; None: whether the mask says so."""
        if is_causal is not None or mask is None:
            return bool(is_causal)
        batch_first = x.ndim == 3 and self.layers[0].self_attn.batch_first
        return is_causal_mask(mask, x.shape[1 if batch_first else 0])


class TransformerEncoder(_Stack):
    """num_layers copies of an encoder layer one after the other, then `norm`, if one is given.

    Arguments and shapes of a call as TransformerEncoderLayer; is_causal=None: a mask that is the causal one of its size
    is found out, and costs nothing then (one on a device is not looked at: say is_causal=True). The copies begin with
    the same values. enable_nested_tensor and mask_check are there for code written for torch, and do nothing: there are
    no nested tensors, and results at steps that src_key_padding_mask hides are what the layers make of them, where
    torch in eval mode may give 0. As torch.nn.TransformerEncoder.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    >>> encoder = nn.TransformerEncoder(layer, num_layers=2, norm=nn.LayerNorm(8))
    >>> mask = nn.Transformer.generate_square_subsequent_mask(5)
    >>> encoder(np.ones((5, 3, 8), np.float32), mask).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal: bool | None = None) -> Tensor:
        x = as_tensor(src)
        causal = self._causal(mask, is_causal, x)
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(_Stack):
    """num_layers copies of a decoder layer one after the other, then `norm`, if one is given.

    Arguments and shapes of a call as TransformerDecoderLayer; tgt_is_causal=None: a mask that is the causal one of its
    size is found out. The copies begin with the same values. As torch.nn.TransformerDecoder.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    >>> decoder = nn.TransformerDecoder(layer, num_layers=2)
    >>> decoder(np.ones((5, 3, 8), np.float32), np.ones((7, 3, 8), np.float32), tgt_is_causal=True).shape
    (5, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        x, memory = as_tensor(tgt), as_tensor(memory)
        causal = self._causal(tgt_mask, tgt_is_causal, x)
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder of one sequence, and a decoder of another that looks at the first.

    Input: src (S, N, d_model) and tgt (T, N, d_model), with batch_first (N, S, d_model) ..., or without N; output like
    tgt. The masks and hints of a call that begin with src_ are the encoder's, the others the decoder's: see
    MultiheadAttention; a query that sees no key gives 0, not NaN. Both parts end with a LayerNorm. Matrices are uniform
    by Xavier's rule at first. The keyword `rotary`, a nn.RotaryEmbedding, is the self-attention's in both. As
    torch.nn.Transformer.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> net = nn.Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
    >>> net(np.ones((3, 7, 8), np.float32), np.ones((3, 5, 8), np.float32), tgt_is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
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
        common = d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        place: dict[str, Any] = dict(device=device, dtype=dtype)
        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(*common, **place, rotary=rotary)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
            custom_encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm)
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(*common, **place, rotary=rotary)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
            custom_decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm)
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        src, tgt = as_tensor(src), as_tensor(tgt)
        samples = 0 if self.batch_first else 1
        fits = src.ndim == tgt.ndim and src.ndim in (2, 3) and src.shape[-1] == tgt.shape[-1] == self.d_model
        if not fits or (src.ndim == 3 and src.shape[samples] != tgt.shape[samples]):
            expected = f"src and tgt with {self.d_model} features and of as many samples"
            raise ValueError(f"Transformer: expected {expected}, got shapes {src.shape} and {tgt.shape}")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz): 0 where a query may see a key, which is not after it, and -inf elsewhere."""
        return square_subsequent_mask(sz, device, dtype)
