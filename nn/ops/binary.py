"""Functions of two tensors, element by element, with broadcasting: what arithmetic.py puts on the tape."""

from __future__ import annotations

from typing import Any

from ..doors import absent, call, empty
from ..tape import Function
from .broadcasting import expanded, plan, reduced

__all__ = [
    "BITWISE",
    "Add",
    "Binary",
    "Div",
    "FloorDivide",
    "Maximum",
    "Minimum",
    "Mul",
    "Pow",
    "Remainder",
    "Sub",
    "binary",
]


class Binary(Function):
    """y = a op b: the kernel `elementwise.<op>_forward` for equal shapes, `broadcast.<op>_forward` else."""

    op: str

    @staticmethod
    def forward(ctx, a, b):
        ctx.save(a, b)
        return binary(ctx.function.op, a, b, a.dtype, ctx.device)

    @staticmethod
    def backward(ctx, dy):
        a, b = ctx.saved
        op, device, (need_a, need_b) = ctx.function.op, ctx.device, ctx.needs
        if a.shape == b.shape:
            da = empty(a.shape, a.dtype, device) if need_a else absent(a.dtype)
            db = empty(b.shape, b.dtype, device) if need_b else absent(b.dtype)
            call(f"elementwise.{op}_backward", da, db, dy, a, b)
            return da if need_a else None, db if need_b else None
        way = plan(a.shape, b.shape)
        walk, strides = way.walk, way.strides
        if walk is None:
            a, b = expanded(a, way.shape, device), expanded(b, way.shape, device)
            walk, strides = (1, 1, 1, a.size), (0, 0, 0, 1) * 2
        none = absent(a.dtype).reshape(0, 0, 0, 0)
        da = empty(walk, a.dtype, device) if need_a else none
        db = empty(walk, b.dtype, device) if need_b else none
        call(f"broadcast.{op}_backward", da, db, dy.reshape(walk), a.reshape(-1), b.reshape(-1), *strides)
        a, b = ctx.saved
        return (
            reduced(da, way.sums[0], a.shape, device) if need_a else None,
            reduced(db, way.sums[1], b.shape, device) if need_b else None,
        )


def binary(op: str, a: Any, b: Any, dtype: Any, device: str) -> Any:
    """a op b on arrays of one dtype, as a fresh array of `dtype`."""
    if a.shape == b.shape:
        y = empty(a.shape, dtype, device)
        call(f"elementwise.{op}_forward", y, a, b)
        return y
    way = plan(a.shape, b.shape)
    y = empty(way.shape, dtype, device)
    if way.walk is None:
        call(f"elementwise.{op}_forward", y, expanded(a, way.shape, device), expanded(b, way.shape, device))
    else:
        call(f"broadcast.{op}_forward", y.reshape(way.walk), a.reshape(-1), b.reshape(-1), *way.strides)
    return y


class Add(Binary):
    op = "add"

    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes = a.shape, b.shape
        return binary("add", a, b, a.dtype, ctx.device)

    @staticmethod
    def backward(ctx, dy):
        a, b = ctx.shapes
        if a == b:
            return dy, dy
        sums, (need_a, need_b) = plan(a, b).sums, ctx.needs
        return (
            reduced(dy, sums[0], a, ctx.device) if need_a else None,
            reduced(dy, sums[1], b, ctx.device) if need_b else None,
        )


class Sub(Add):
    op = "sub"

    @staticmethod
    def forward(ctx, a, b):
        ctx.shapes = a.shape, b.shape
        return binary("sub", a, b, a.dtype, ctx.device)

    @staticmethod
    def backward(ctx, dy):
        da, db = Add.backward(ctx, dy)
        if not ctx.needs[1]:
            return da, None
        negative = empty(db.shape, db.dtype, ctx.device)
        call("unary.neg_forward", negative, db)
        return da, negative


class NoGradient(Binary):
    """Flat almost everywhere, or for integers only."""

    @staticmethod
    def backward(ctx, dy):
        return tuple(zeros_like(x, ctx.device) if need else None for x, need in zip(ctx.saved, ctx.needs, strict=True))


def zeros_like(like: Any, device: str) -> Any:
    zeros = empty(like.shape, like.dtype, device)
    call("elementwise.fill_forward", zeros, 0.0)
    return zeros


def _of(base: type, op: str) -> Any:
    return type(base)(op.title().replace("_", ""), (base,), {"op": op})


Mul, Div, Pow = _of(Binary, "mul"), _of(Binary, "div"), _of(Binary, "pow")
Maximum, Minimum, Remainder = _of(Binary, "maximum"), _of(Binary, "minimum"), _of(Binary, "remainder")
FloorDivide = _of(NoGradient, "floor_divide")
BITWISE = {symbol: _of(NoGradient, f"bitwise_{symbol}") for symbol in ("and", "or", "xor")}
