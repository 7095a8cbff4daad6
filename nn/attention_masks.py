"""Masks of attention as the kernels take them: what is added to the scores, and which keys may be seen.

torch has two conventions. In scaled_dot_product_attention True means that a key may be seen; in MultiheadAttention and
the Transformer layers True means that it may not. Nothing here is as large as the scores unless a mask already is.
"""

from __future__ import annotations

import math
from typing import Any

from .creation import full, zeros
from .dtypes import bool_, is_floating
from .ops.join import cat
from .tensor import Tensor, as_tensor

__all__ = ["bias_and_keep", "is_causal_mask", "merged", "square_subsequent_mask"]


def bias_and_keep(name: str, mask: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Tensor | None, Tensor | None]:
    """The mask of scaled_dot_product_attention for scores of that shape: floats to add, or bools, True where seen."""
    if mask is None:
        return None, None
    mask = _checked(name, "attn_mask", mask, dtype)
    fits = len(mask.shape) <= len(shape) and all(
        n in (1, m) for n, m in zip(mask.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ValueError(f"{name}: expected attn_mask to broadcast to the scores {shape}, got shape {mask.shape}")
    if mask.ndim > 3 and len(shape) > 4:
        # the leading dimensions become one
        lead = shape[:-3]
        mask = mask.expand(*lead, *mask.shape[-3:]).reshape(math.prod(lead), *mask.shape[-3:])
    return (None, mask) if mask.dtype == bool_ else (mask, None)


def merged(
    name: str, attn_mask: Any, key_padding_mask: Any, sizes: tuple[int, int, int, int], extra: int, dtype: Any
) -> tuple[Tensor | None, Tensor | None]:
    """Both masks of MultiheadAttention for scores (N, H, L, S) as floats to add and bools, True where seen.

    extra  how many of the S keys are behind those that the masks speak of; every query may see them
    """
    samples, heads, queries, keys = sizes
    keys -= extra
    masks = []
    if attn_mask is not None:
        mask = _checked(name, "attn_mask", attn_mask, dtype)
        if mask.shape not in ((queries, keys), (samples * heads, queries, keys)):
            expected = f"(L, S) = {(queries, keys)} or (N * num_heads, L, S) = {(samples * heads, queries, keys)}"
            raise ValueError(f"{name}: expected attn_mask {expected}, got shape {mask.shape}")
        masks.append(mask if mask.ndim == 2 else mask.reshape(samples, heads, queries, keys))
    if key_padding_mask is not None:
        mask = _checked(name, "key_padding_mask", key_padding_mask, dtype)
        if mask.shape != (samples, keys):
            raise ValueError(f"{name}: expected key_padding_mask (N, S) = {(samples, keys)}, got shape {mask.shape}")
        masks.append(mask.reshape(samples, 1, 1, keys))
    if extra:
        masks = [cat([m, zeros(*m.shape[:-1], extra, dtype=m.dtype, device=m.device)], -1) for m in masks]
    hidden = [m for m in masks if m.dtype == bool_]
    added = [m for m in masks if m.dtype != bool_]
    keep = None if not hidden else ~(hidden[0] if len(hidden) == 1 else hidden[0] | hidden[1])
    bias = None if not added else added[0] if len(added) == 1 else added[0] + added[1]
    return bias, keep


def _checked(name: str, which: str, mask: Any, dtype: Any) -> Tensor:
    """A mask as a tensor of bools, or of floats like the scores."""
    mask = as_tensor(mask)
    if mask.dtype == bool_ or mask.dtype == dtype:
        return mask
    if not is_floating(mask.dtype):
        raise TypeError(f"{name}: expected {which} of bools or floats, got {mask.dtype}")
    return mask.to(dtype)


def square_subsequent_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    """(size, size): 0 where a query may see a key, which is not after it, and -inf (of bools: True) elsewhere."""
    return full((size, size), -math.inf, dtype=dtype, device=device).triu(1)


def is_causal_mask(mask: Any, size: int) -> bool:
    """Whether a mask of MultiheadAttention is that of a causal sequence of that size, and nothing else.

    A mask on a device is not looked at: it would have to be waited for.
    """
    mask = as_tensor(mask)
    if mask.shape != (size, size) or mask.requires_grad or mask.device != "cpu":
        return False
    return bool((mask == square_subsequent_mask(size, dtype=mask.dtype)).all())
