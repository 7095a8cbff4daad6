"""where, masked_fill, clamp, lerp, tril, triu."""

from __future__ import annotations

import math
from typing import Any

from ..doors import absent, call, contiguous, empty
from ..dtypes import bool_, is_floating
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .arithmetic import maximum, minimum
from .broadcasting import broadcast_shape, expanded, plan, reduced
from .operands import is_number, number_with, pair

__all__ = ["clamp", "clip", "lerp", "masked_fill", "tril", "triu", "where"]


class Where(Function):
    """y = a where condition, else b; all three broadcast."""

    @staticmethod
    def forward(ctx, condition, a, b):
        shape = broadcast_shape(condition.shape, a.shape, b.shape)
        ctx.shapes, device = (a.shape, b.shape), ctx.device
        condition = expanded(condition, shape, device)
        y = empty(shape, a.dtype, device)
        call("select.where_forward", y, condition, expanded(a, shape, device), expanded(b, shape, device))
        ctx.save(condition)
        return y

    @staticmethod
    def backward(ctx, dy):
        (condition,) = ctx.saved
        _, need_a, need_b = ctx.needs
        da = empty(dy.shape, dy.dtype, ctx.device) if need_a else absent(dy.dtype)
        db = empty(dy.shape, dy.dtype, ctx.device) if need_b else absent(dy.dtype)
        call("select.where_backward", da, db, dy, condition)
        a, b = ctx.shapes
        return (
            None,
            reduced(da, plan(a, dy.shape).sums[0], a, ctx.device) if need_a else None,
            reduced(db, plan(b, dy.shape).sums[0], b, ctx.device) if need_b else None,
        )


class MaskedFill(Function):
    @staticmethod
    def forward(ctx, x, mask, value):
        y = empty(x.shape, x.dtype, ctx.device)
        call("select.masked_fill_forward", y, x, mask, value)
        ctx.save(mask)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("select.masked_fill_forward", dx, dy, ctx.saved[0], 0.0)
        return dx, None, None


class Clamp(Function):
    @staticmethod
    def forward(ctx, x, low, high):
        y = empty(x.shape, x.dtype, ctx.device)
        call("select.clamp_forward", y, x, low, high)
        ctx.save(x)
        ctx.bounds = low, high
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("select.clamp_backward", dx, dy, *ctx.saved, *ctx.bounds)
        return dx, None, None


class Triangle(Function):
    @staticmethod
    def forward(ctx, x, kernel, diagonal):
        ctx.kernel, ctx.diagonal = kernel, diagonal
        y = empty(x.shape, x.dtype, ctx.device)
        shape = (math.prod(x.shape[:-2]), *x.shape[-2:])
        call(kernel, y.reshape(shape), x.reshape(shape), diagonal)
        return y

    @staticmethod
    def backward(ctx, dy):
        return Triangle.forward(ctx, dy, ctx.kernel, ctx.diagonal), None, None


def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """a where condition, else b; with the condition alone, the positions where it is true."""
    condition = as_tensor(condition)
    if a is None and b is None:
        return condition.nonzero(as_tuple=True)
    if is_number(a) and is_number(b):
        a = as_tensor(a)
    return Where.apply(_mask(condition, "where"), *pair(a, b))


def _mask(mask: Any, what: str) -> Tensor:
    mask = as_tensor(mask)
    if mask._data.dtype != bool_:
        raise TypeError(f"{what}: expected bools as condition, got {mask._data.dtype}; compare it or use .bool()")
    return mask


def masked_fill(x: Any, mask: Any, value: Any) -> Tensor:
    """x with `value` where the mask, which broadcasts to it, is true"""
    x, mask = as_tensor(x), _mask(mask, "masked_fill")
    if isinstance(value, Tensor):
        if value._data.ndim:
            raise ValueError(f"masked_fill: expected a value without dimensions, got shape {value.shape}")
        return where(mask, value, x)
    shape = broadcast_shape(x.shape, mask.shape)
    if shape != x.shape:
        x = x.expand(shape)
    return MaskedFill.apply(x, expanded(contiguous(mask._data), shape, x.device), float(value))


def clamp(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """x, but at least `min` and at most `max` (numbers or tensors)"""
    x = as_tensor(x)
    if min is None and max is None:
        raise ValueError("clamp: expected min or max, got neither")
    if any(bound is not None and not is_number(bound) for bound in (min, max)) or not is_floating(x._data.dtype):
        x = x if min is None else maximum(x, min)
        return x if max is None else minimum(x, max)
    low = -math.inf if min is None else number_with(x, min)[1]
    high = math.inf if max is None else number_with(x, max)[1]
    return Clamp.apply(x, low, high)


clip = clamp


def lerp(a: Any, b: Any, weight: Any) -> Tensor:
    """a + weight * (b - a)"""
    return a + (b - a) * weight


def tril(x: Any, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, zeros above it"""
    return _triangle(x, "tril", diagonal)


def triu(x: Any, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, zeros below it"""
    return _triangle(x, "triu", diagonal)


def _triangle(x: Any, name: str, diagonal: int) -> Tensor:
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"{name}: expected at least two dimensions, got shape {x.shape}")
    return Triangle.apply(x, f"select.{name}_forward", diagonal)


def attach(cls: Any) -> None:
    for function in (masked_fill, clamp, clip, lerp, tril, triu):
        setattr(cls, function.__name__, function)
    cls.clip = clamp
    cls.clamp_min = lambda self, min: clamp(self, min)
    cls.clamp_max = lambda self, max: clamp(self, None, max)
    cls.where = lambda self, condition, other: where(condition, self, other)
