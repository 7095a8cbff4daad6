"""Scaled dot-product attention: the operation on the tape, and torch.nn.functional's function.

Heads are read and written where they lie, by strides: a transposed view of a projection costs no copy, and the result
and the gradients come in the order of memory that their inputs have.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .attention_masks import bias_and_keep
from .autocast import cast
from .doors import absent, call, contiguous, empty, spread
from .dtypes import bool_, float32, is_floating
from .mode import mode
from .ops.broadcasting import broadcast_shape, plan, reduced
from .ops.shape import expand, reshape
from .rng import next_state
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["ATTENTION_KEPT", "AttentionFunction", "scaled_dot_product_attention"]

# weights of a layer are kept for backward, which then is a tenth faster, up to so many (64 MB in float32) and for so
# many keys; those of longer sequences are made again, so that memory is linear in the sequence's length
ATTENTION_KEPT, KEPT_KEYS = 2**24, 1024

_UINT64 = np.dtype(np.uint64)


class AttentionFunction(Function):
    """y (N, H, L, E) of q (N, H, L, D), k (N, G, S, D), v (N, G, S, E).

    bias, to be added to the scores, and keep, of bools, broadcast to (N, H, L, S); None: none.
    """

    autocast = "half"
    strided = strided_backward = True

    @staticmethod
    def forward(ctx, q, k, v, bias, keep, scale, causal, rate):
        q, k, v = map(_with_rows, (q, k, v))
        y = _ordered_as(q, v.shape[3], ctx.device)
        attend(ctx, y, q, k, v, bias, keep, scale, causal, rate)
        return y

    @staticmethod
    def backward(ctx, dy):
        q, k, v = ctx.saved[:3]
        dq, dk, dv = (_ordered_as(x, x.shape[3], ctx.device) for x in (q, k, v))
        dbias = differentiate(ctx, dq, dk, dv, _with_rows(dy), ctx.needs[3])
        return dq, dk, dv, dbias, None, None, None, None


def attend(ctx, y, q, k, v, bias, keep, scale, causal, rate, weights=False) -> Any:
    """Write y and save what `differentiate` needs; with `weights` give them, as they multiply the values."""
    dtype, device = q.dtype, ctx.device
    shape = (*q.shape[:3], k.shape[2])
    count = math.prod(shape)
    lse = empty(shape[:3], float32 if dtype.itemsize == 2 else dtype, device)
    recording = True in ctx.needs
    # the kernels for CUDA make them again in any case
    kept = recording and device == "cpu" and shape[3] <= KEPT_KEYS and count <= ATTENTION_KEPT
    p = empty(shape, dtype, device) if weights or kept else absent(dtype, device, 4)
    state = next_state(count, device) if rate else absent(_UINT64, device)
    ctx.bias_shape = None if bias is None else bias.shape
    bias = absent(dtype, device, 4) if bias is None else spread(bias, shape)
    keep = absent(bool_, device, 4) if keep is None else spread(keep, shape)
    call("attention.attention_forward", y, lse, p, q, k, v, bias, keep, state, scale, causal, rate)
    if recording:
        ctx.save(q, k, v, bias, keep, y, lse, p, state)
        ctx.numbers = scale, causal, rate
    if not weights or not rate:
        return p if weights else None
    # the same words of the same state: the weights that the kernel dropped
    dropped = empty(shape, dtype, device)
    call("dropout.dropout_forward", dropped, p, state, rate)
    return dropped


def differentiate(ctx, dq, dk, dv, dy, bias_wanted: bool, dweights=None) -> Any:
    """Write the gradients of q, k and v; give that of bias if it is wanted."""
    q, k, v, bias, keep, y, lse, p, state = ctx.saved
    scale, causal, rate = ctx.numbers
    dtype, device = q.dtype, ctx.device
    shape = (*q.shape[:3], k.shape[2])
    dp = absent(dtype, device, 4) if dweights is None else dweights
    if dweights is not None and rate:
        dp = empty(shape, dtype, device)
        call("dropout.dropout_backward", dp, dweights, state, rate)
    dscores = empty(shape, dtype, device) if bias_wanted else absent(dtype, device, 4)
    saved = q, k, v, bias, keep, y, lse, p, state
    call("attention.attention_backward", dq, dk, dv, dscores, dy, dp, *saved, scale, causal, rate)
    if not bias_wanted:
        return None
    return reduced(dscores, plan(ctx.bias_shape, shape).sums[0], ctx.bias_shape, device)


def _with_rows(x: Any) -> Any:
    """x itself where the numbers of a row lie side by side, else a copy."""
    return x if x.strides[-1] == x.dtype.itemsize else contiguous(x)


def _ordered_as(x: Any, width: int, device: str) -> Any:
    """A new array of x's shape but for the last axis, whose axes lie in memory in the order that x's have."""
    order = sorted(range(3), key=lambda axis: -x.strides[axis])
    if order == [0, 1, 2]:
        return empty((*x.shape[:3], width), x.dtype, device)
    back = (*[order.index(axis) for axis in range(3)], 3)
    return empty((*[x.shape[axis] for axis in order], width), x.dtype, device).transpose(back)


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """dropout(softmax(scale query key^T + mask)) value, the softmax over those keys that a query may see.

    query       (..., H, L, D)
    key         (..., H, S, D); with enable_gqa it may have fewer heads, of which each serves H / heads of query's
    value       (..., H, S, E), with as many heads as key
    attn_mask   broadcasts to (..., H, L, S): bools, True where a query may see a key, or floats, which are added to the
                scores and get a gradient if they require one; None: none
    dropout_p   0 .. 1, the probability that a weight is dropped: also outside of training, as in torch
    is_causal   query l sees no key after the l-th; torch refuses it beside a mask, here both hold
    scale       factor of the scores; None: 1 / sqrt(D)
    enable_gqa  whether heads of query share those of key and value

    Gives (..., H, L, E). Leading dimensions, of which there may be none, broadcast. A query that sees no key gives 0.
    The scores of long sequences are never written out, memory is linear in L and S, unless a mask gets a gradient.
    Raises ValueError for shapes that do not fit and a dropout_p outside of 0 .. 1, TypeError for dtypes that differ or
    a mask of integers.
    Source: Vaswani et al. 2017; as torch.nn.functional.scaled_dot_product_attention.

    >>> import numpy as np
    >>> from hotloop.nn import functional as F
    >>> q, k, v = np.ones((2, 3, 4), np.float32), np.ones((2, 5, 4), np.float32), np.ones((2, 5, 6), np.float32)
    >>> F.scaled_dot_product_attention(q, k, v, is_causal=True).shape
    (2, 3, 6)
    """
    name = "scaled_dot_product_attention"
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    if mode.autocast is not None:
        q, k, v = cast(AttentionFunction, (q, k, v))
    _check(name, q, k, v, dropout_p)
    heads, groups = q.shape[:-2], k.shape[:-2]
    if enable_gqa:
        _check_groups(name, q, k, v)
        batch = broadcast_shape(heads[:-1], groups[:-1], v.shape[:-3])
        heads, groups = (*batch, heads[-1]), (*batch, groups[-1])
    elif not heads == groups == v.shape[:-2]:
        heads = groups = broadcast_shape(heads, groups, v.shape[:-2])
    q, k, v = _four(q, heads), _four(k, groups), _four(v, groups)
    bias, keep = bias_and_keep(name, attn_mask, (*heads, q.shape[2], k.shape[2]), q.dtype)
    scale = 1 / math.sqrt(q.shape[3] or 1) if scale is None else float(scale)
    y = AttentionFunction.apply(q, k, v, bias, keep, scale, bool(is_causal), float(dropout_p))
    return y if len(heads) == 2 else reshape(y, *heads, *y.shape[2:])


def _four(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """x with its leading dimensions broadcast to `lead`, and then made two: samples and heads."""
    if x.shape[:-2] != lead:
        x = expand(x, *lead, *x.shape[-2:])
    if len(lead) == 2:
        return x
    return reshape(x, math.prod(lead[:-1]), lead[-1] if lead else 1, *x.shape[-2:])


def _check(name: str, q: Tensor, k: Tensor, v: Tensor, rate: float) -> None:
    if not q.dtype == k.dtype == v.dtype or not is_floating(q.dtype):
        raise TypeError(
            f"{name}: expected query, key and value of one float dtype, got {q.dtype}, {k.dtype}, {v.dtype}"
        )
    shapes = q.shape, k.shape, v.shape
    if min(map(len, shapes)) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        got = ", ".join(map(str, shapes))
        raise ValueError(f"{name}: expected query (..., L, D), key (..., S, D) and value (..., S, E), got {got}")
    if not 0 <= rate <= 1:
        raise ValueError(f"{name}: expected dropout_p of 0 .. 1, got {rate}")


def _check_groups(name: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    if min(x.ndim for x in (q, k, v)) < 3:
        raise ValueError(f"{name}: expected heads with enable_gqa, (..., H, L, D), got query {q.shape}, key {k.shape}")
    heads, groups, values = (x.shape[-3] for x in (q, k, v))
    if groups != values or not groups or heads % groups:
        raise ValueError(
            f"{name}: expected as many heads of value as of key, and a multiple of them of query; "
            f"got {heads} of query, {groups} of key, {values} of value"
        )
