"""Attention of several heads over projections that lie side by side, and torch's function of the whole of it.

One product projects all inputs that are the same tensor: (A, B, 3 E) for self-attention. Its queries, keys and values
are strided views, the result is written as (A, B, E), ready for the output's product, and the gradients are written
into one array like the projection. A and B are samples and steps in either order: it is a matter of strides alone.
"""

from __future__ import annotations

import math
from typing import Any

from .attention_functions import attend, differentiate
from .attention_masks import merged
from .creation import ones, zeros
from .doors import absent, call, empty
from .dtypes import bool_
from .factory import gradients_into
from .linear import linear
from .ops.join import cat
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["HeadsFunction", "InProjection", "multi_head_attention_forward"]


# of the layer, in errors
_NAME = "MultiheadAttention"


class InProjection(Function):
    """x @ w[rows].T + b[rows] of each input, `counts` thirds of the rows for each in order; b may be None."""

    autocast = "half"

    @staticmethod
    def forward(ctx, w, b, counts, *inputs):
        third, nothing = w.shape[0] // 3, absent(w.dtype, ctx.device)
        results, begin = [], 0
        for x, count in zip(inputs, counts, strict=True):
            if x.shape[2] != w.shape[1] or x.dtype != w.dtype:
                kind = ValueError if x.dtype == w.dtype else TypeError
                expected, got = f"{w.dtype} (..., {w.shape[1]})", f"{x.dtype} {x.shape}"
                raise kind(f"{_NAME}: expected query, key and value {expected}, got {got}")
            end = begin + count * third
            y = empty((*x.shape[:2], count * third), w.dtype, ctx.device)
            given = _rows(x), w[begin:end], nothing if b is None else b[begin:end]
            call("linear.linear_forward", _rows(y), absent(w.dtype, ctx.device, 2), *given, 0)
            results.append(y)
            begin = end
        ctx.save(w, *inputs)
        ctx.counts = counts
        return tuple(results)

    @staticmethod
    def backward(ctx, *gradients):
        w, *inputs = ctx.saved
        dtype, device = w.dtype, ctx.device
        third, nothing, begin = w.shape[0] // 3, absent(dtype, device, 2), 0
        dw, db, accumulate = gradients_into(ctx, 0, 1)
        results = []
        for i, (x, dy, count) in enumerate(zip(inputs, gradients, ctx.counts, strict=True)):
            end = begin + count * third
            if dy is None:
                dy = empty((*x.shape[:2], count * third), dtype, device)
                call("elementwise.fill_forward", dy, 0.0)
            dx = empty(x.shape, dtype, device) if ctx.needs[3 + i] else None
            written = nothing if dx is None else _rows(dx), dw[begin:end], db[begin:end]
            given = _rows(dy), _rows(x), w[begin:end], nothing, nothing
            call("linear.linear_backward", *written, *given, 0, accumulate)
            results.append(dx)
            begin = end
        return dw, db, None, *results


class HeadsFunction(Function):
    """y (A, B, E) of projections (A, B, 1, 2 or 3 times E) that hold queries, keys and values in this order.

    options: number of heads, whether A is samples, causal, rate of dropout, whether the weights (N, H, L, S) are
    wanted too; rotary: None, or tables of cos and sin for queries and for keys, and whether pairs are interleaved.
    """

    autocast = "half"

    @staticmethod
    def forward(ctx, bias, keep, options, rotary, *projections):
        heads, batch_first, causal, rate, weights = ctx.options = options
        first, dtype, device = projections[0], projections[0].dtype, ctx.device
        width = sum([x.shape[2] for x in projections]) // 3
        q, k, v = _parts(projections, width, heads, batch_first)
        if rotary is not None:
            turned = [empty((*x.shape[:2], width), dtype, device) for x in (first, projections[-1])]
            ys = _parts(turned, width, heads, batch_first)
            _turn("rotary.rotary_forward", ys, (q, k), rotary)
            q, k = ys
        y = empty((*first.shape[:2], width), dtype, device)
        (out,) = _parts((y,), width, heads, batch_first)
        ctx.projections, ctx.rotary = [x.shape for x in projections], rotary
        dropped = attend(ctx, out, q, k, v, bias, keep, 1 / math.sqrt(width // heads), causal, rate, weights)
        return (y, dropped) if weights else y

    @staticmethod
    def backward(ctx, dy, dweights=None):
        heads, batch_first = ctx.options[:2]
        dtype, device, rotary = ctx.saved[0].dtype, ctx.device, ctx.rotary
        gradients = [empty(shape, dtype, device) for shape in ctx.projections]
        width = sum([x.shape[2] for x in gradients]) // 3
        if dy is None:
            # the weights alone were used
            dy = empty((*gradients[0].shape[:2], width), dtype, device)
            call("elementwise.fill_forward", dy, 0.0)
        (dy,) = _parts((dy,), width, heads, batch_first)
        dq, dk, dv = _parts(gradients, width, heads, batch_first)
        dbias = differentiate(ctx, dq, dk, dv, dy, ctx.needs[0], dweights)
        if rotary is not None:
            # turned back where they are
            _turn("rotary.rotary_backward", (dq, dk), (dq, dk), rotary)
        return dbias, None, None, None, *gradients


def _rows(x: Any) -> Any:
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _parts(arrays, width: int, heads: int, batch_first: bool) -> list:
    """The heads (N, H, L, D) inside arrays (A, B, some times width), one after the other."""
    order = (0, 2, 1, 3) if batch_first else (1, 2, 0, 3)
    parts = []
    for x in arrays:
        outer, inner, total = x.shape
        count = total // width
        x = x.reshape(outer, inner, count, heads, width // heads)
        parts += [x[:, :, i].transpose(order) for i in range(count)]
    return parts


def _turn(kernel: str, ys: Any, xs: Any, rotary: tuple) -> None:
    """Rotary positions of queries and keys, which the kernel wants as (N, L, H, D)."""
    tables, interleaved = rotary
    for y, x, table in zip(ys, xs, tables, strict=True):
        call(kernel, y.transpose((0, 2, 1, 3)), x.transpose((0, 2, 1, 3)), *table, interleaved)


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight,
    out_proj_bias,
    training: bool = True,
    key_padding_mask=None,
    need_weights: bool = True,
    attn_mask=None,
    use_separate_proj_weight: bool = False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
    rotary=None,
) -> tuple[Tensor, Tensor | None]:
    """What MultiheadAttention computes, from its parameters: see there, and torch.nn.functional.

    query (L, N, E), key (S, N, kdim), value (S, N, vdim), or without N, or with the keyword `batch_first` N before L
    and S. static_k and static_v (N * num_heads, S, E / num_heads) take the place of projected keys and values.
    """
    same, shared = query is key is value, key is value
    query = as_tensor(query)
    key = query if same else as_tensor(key)
    value = key if shared else as_tensor(value)
    _check(query, key, value, embed_dim_to_check, num_heads)
    batched = query.ndim == 3
    if not batched:
        batch_first = False
        query = query.unsqueeze(1)
        key = query if same else key.unsqueeze(1)
        value = key if shared else value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else as_tensor(key_padding_mask).unsqueeze(0)
    steps = 1 if batch_first else 0
    if query.shape[1 - steps] != key.shape[1 - steps]:
        raise ValueError(f"{_NAME}: expected as many samples of query as of key, got {query.shape} and {key.shape}")
    # whether keys and values are more, or others, than the projections of key and value
    apart = add_zero_attn or any(given is not None for given in (bias_k, bias_v, static_k, static_v))
    if apart and rotary is not None:
        raise ValueError(f"{_NAME}: expected no bias_k, add_zero_attn, static_k or static_v beside rotary positions")

    if use_separate_proj_weight:
        biases = (None,) * 3 if in_proj_bias is None else as_tensor(in_proj_bias).chunk(3)
        matrices = q_proj_weight, k_proj_weight, v_proj_weight
        projections = [linear(x, w, b) for x, w, b in zip((query, key, value), matrices, biases, strict=True)]
    elif apart or not shared:
        projections = InProjection.apply(in_proj_weight, in_proj_bias, (1, 1, 1), query, key, value)
    elif same:
        projections = InProjection.apply(in_proj_weight, in_proj_bias, (3,), query)
    else:
        projections = InProjection.apply(in_proj_weight, in_proj_bias, (1, 2), query, key)

    sizes = query.shape[1 - steps], num_heads, query.shape[steps], key.shape[steps]
    extra = 0
    if apart:
        given = (static_k, bias_k), (static_v, bias_v)
        projections, extra = _extended(projections, given, add_zero_attn, num_heads, steps)
        sizes = *sizes[:3], projections[1].shape[steps]
        if is_causal and extra:
            # the added keys come last, and yet every query sees them
            is_causal = False
            if attn_mask is None:
                attn_mask = ones(sizes[2], sizes[3] - extra, dtype=bool_, device=query.device).triu(1)
    attn_mask = None if is_causal else attn_mask
    bias = keep = None
    if attn_mask is not None or key_padding_mask is not None:
        bias, keep = merged(_NAME, attn_mask, key_padding_mask, sizes, extra, projections[0].dtype)
    if rotary is not None:
        dtype, device = projections[0].dtype, query.device
        rotary = tuple([rotary.table(n, 0, dtype, device) for n in sizes[2:]]), rotary.interleaved
    options = num_heads, batch_first, bool(is_causal), float(dropout_p) if training else 0.0, bool(need_weights)
    result = HeadsFunction.apply(bias, keep, options, rotary, *projections)
    y, weights = result if need_weights else (result, None)
    y = linear(y, out_proj_weight, out_proj_bias)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    if batched:
        return y, weights
    return y.squeeze(1), None if weights is None else weights.squeeze(0)


def _extended(projections: Any, given: tuple, zero: bool, heads: int, steps: int) -> tuple[list, int]:
    """Keys and values that were given in the projections' place, and those behind them; how many are behind.

    given  for keys and for values: what takes their place, what is added to every sample's; None: nothing
    """
    query, *pair = projections
    samples, width = query.shape[1 - steps], query.shape[2]
    depth, found = width // heads, [query]
    for x, (static, row) in zip(pair, given, strict=True):
        if static is not None:
            static = as_tensor(static)
            if static.ndim != 3 or static.shape[::2] != (samples * heads, depth):
                expected = f"({samples * heads}, S, {depth})"
                raise ValueError(f"{_NAME}: expected static_k and static_v {expected}, got shape {static.shape}")
            order = (0, 2, 1, 3) if steps else (2, 0, 1, 3)
            x = static.reshape(samples, heads, static.shape[1], depth).permute(order).flatten(2)
        parts, shape = [x], (samples, 1, width) if steps else (1, samples, width)
        if row is not None:
            parts.append(as_tensor(row).expand(*shape))
        if zero:
            parts.append(zeros(*shape, dtype=x.dtype, device=x.device))
        found.append(cat(parts, steps))
    if found[1].shape != found[2].shape:
        raise ValueError(f"{_NAME}: expected as many values as keys, got {found[2].shape} and {found[1].shape}")
    return found, len(parts) - 1


def _check(query: Tensor, key: Tensor, value: Tensor, width: int, heads: int) -> None:
    shapes = query.shape, key.shape, value.shape
    if query.ndim not in (2, 3) or not len(shapes[0]) == len(shapes[1]) == len(shapes[2]):
        got = ", ".join(map(str, shapes))
        raise ValueError(f"{_NAME}: expected query, key and value with 3 dimensions, or 2 without a batch, got {got}")
    if shapes[0][-1] != width:
        raise ValueError(f"{_NAME}: expected query (..., {width}), got shape {shapes[0]}")
    if heads <= 0 or width % heads:
        raise ValueError(f"{_NAME}: expected embed_dim as a multiple of num_heads, got {width} and {heads}")
    if shapes[1][:-1] != shapes[2][:-1]:
        raise ValueError(f"{_NAME}: expected key and value of the same steps and samples, got {shapes[1]}, {shapes[2]}")
