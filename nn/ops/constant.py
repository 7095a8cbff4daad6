"""Functions of a tensor and a number, element by element: what arithmetic.py puts on the tape."""

from __future__ import annotations

from typing import Any

from ..doors import call, empty
from ..tape import Function
from .binary import zeros_like

__all__ = [
    "AddConstant",
    "Constant",
    "DivConstant",
    "FloorDivideConstant",
    "MulConstant",
    "PowConstant",
    "RdivConstant",
    "RemainderConstant",
    "RpowConstant",
    "RsubConstant",
]


class Constant(Function):
    """y = x op value. Backward is a kernel of its own, or for linear ones the gradient by a number."""

    op: str
    saves = False

    @staticmethod
    def forward(ctx, x, value):
        y = empty(x.shape, x.dtype, ctx.device)
        call(f"constant.{ctx.function.op}_forward", y, x, value)
        if ctx.function.saves:
            ctx.save(x)
        ctx.value = value
        return y

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call(f"constant.{ctx.function.op}_backward", dx, dy, x, ctx.value)
        return dx, None


class AddConstant(Constant):
    op = "add"

    @staticmethod
    def backward(ctx, dy):
        return dy, None


class RemainderConstant(AddConstant):
    op = "remainder"


class RsubConstant(Constant):
    op = "rsub"

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("unary.neg_forward", dx, dy)
        return dx, None


class MulConstant(Constant):
    op = "mul"

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call(f"constant.{ctx.function.op}_forward", dx, dy, ctx.value)
        return dx, None


class DivConstant(MulConstant):
    op = "div"


class FloorDivideConstant(Constant):
    op = "floor_divide"

    @staticmethod
    def backward(ctx, dy):
        return zeros_like(dy, ctx.device), None


def _saving(op: str) -> Any:
    return type(f"{op.title()}Constant", (Constant,), {"op": op, "saves": True})


RdivConstant, PowConstant, RpowConstant = map(_saving, ("rdiv", "pow", "rpow"))
