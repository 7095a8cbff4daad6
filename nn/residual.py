"""Residual connections: the sum of an input and what a layer made of it, with the dropout before and the norm after.

One node each where nobody looks between the parts (no hooks, no `forward` of the user's), and the same numbers as the
parts one after the other: a matter of speed alone.
"""

from __future__ import annotations

from typing import Any

from .doors import absent, call, empty
from .dropout import Dropout
from .dtypes import float64
from .factory import gradients_into
from .fusion import unchanged
from .mode import mode
from .norm import LayerNorm
from .rng import next_state
from .tape import Function
from .tensor import Tensor

__all__ = ["added", "added_and_normalised"]


def added(x: Tensor, update: Tensor, dropout: Any) -> Tensor:
    """x + dropout(update)"""
    if not _alike(x, update) or not unchanged(dropout, Dropout):
        return x + dropout(update)
    rate = _rate(dropout)
    return _Added.apply(x, update, rate) if rate else x + update


def added_and_normalised(x: Tensor, update: Tensor, dropout: Any, norm: Any) -> Tensor:
    """norm(x + dropout(update))"""
    if not (_alike(x, update) and unchanged(dropout, Dropout) and unchanged(norm, LayerNorm)):
        return norm(x + dropout(update))
    if norm.normalized_shape != x.shape[-1:] or (norm.weight is not None and norm.weight.dtype != x.dtype):
        return norm(x + dropout(update))
    return _AddedAndNormalised.apply(x, update, norm.weight, norm.bias, float(norm.eps), _rate(dropout))


class _Added(Function):
    """x + dropout(update), rate > 0."""

    @staticmethod
    def forward(ctx, x, update, rate):
        y = empty(x.shape, x.dtype, ctx.device)
        ctx.state, ctx.rate = next_state(x.size, ctx.device), rate
        call("dropout_fused.dropout_add_forward", y, x, update, ctx.state, rate)
        return y

    @staticmethod
    def backward(ctx, dy):
        return dy, _through_dropout(ctx, dy) if ctx.needs[1] else None, None


class _AddedAndNormalised(Function):
    """Layer norm of x + dropout(update) over the last axis; w and b of a row's shape, or None."""

    wide = True

    @staticmethod
    def forward(ctx, x, update, w, b, eps, rate):
        dtype, device, width = x.dtype, ctx.device, x.shape[-1]
        total, y = empty(x.shape, dtype, device), empty(x.shape, dtype, device)
        ctx.rate, ctx.flat = rate, (x.size // width if width else 0, width)
        if rate:
            ctx.state = next_state(x.size, device)
            call("dropout_fused.dropout_add_forward", total, x, update, ctx.state, rate)
        else:
            call("elementwise.add_forward", total, x, update)
        mean, rstd = (empty(ctx.flat[:1], float64, device) for _ in range(2))
        w, b = (absent(dtype) if v is None else v for v in (w, b))
        call("norm.layer_norm_forward", y.reshape(ctx.flat), mean, rstd, total.reshape(ctx.flat), w, b, eps)
        ctx.save(total, w, mean, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        total, w, mean, rstd = ctx.saved
        flat = ctx.flat
        dx = empty(dy.shape, dy.dtype, ctx.device)
        dw, db, accumulate = gradients_into(ctx, 2, 3)
        given = dy.reshape(flat), total.reshape(flat), w, mean, rstd
        call("norm.layer_norm_backward", dx.reshape(flat), dw, db, *given, accumulate)
        update = _through_dropout(ctx, dx) if ctx.rate and ctx.needs[1] else dx
        return dx, update, dw, db, None, None


def _through_dropout(ctx, dy):
    dx = empty(dy.shape, dy.dtype, ctx.device)
    call("dropout.dropout_backward", dx, dy, ctx.state, ctx.rate)
    return dx


def _alike(x: Tensor, update: Tensor) -> bool:
    """Whether the sum needs neither broadcasting nor another dtype."""
    return mode.autocast is None and x.shape == update.shape and x.dtype == update.dtype


def _rate(dropout: Dropout) -> float:
    return float(dropout.p) if dropout.training else 0.0
