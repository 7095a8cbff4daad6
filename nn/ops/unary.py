"""Functions of one tensor, element by element: exp, log, sqrt, sin, floor ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...kernels.formulas import UNARY
from ..doors import call, empty
from ..dtypes import is_floating
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .operands import as_float

__all__ = [
    "Neg",
    "Reciprocal",
    "Sqrt",
    "Square",
    "abs",
    "atan",
    "ceil",
    "cos",
    "erf",
    "exp",
    "expm1",
    "floor",
    "log",
    "log1p",
    "log2",
    "log10",
    "neg",
    "reciprocal",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]

# those that integers have too, and those whose gradient is 0
ANY = ("neg", "abs", "sign", "square")
FLAT = ("sign", "floor", "ceil", "round", "trunc")


class Unary(Function):
    """y = op(x); backward gets x or y, whichever the kernel asks for."""

    op: str
    saves: str

    @staticmethod
    def forward(ctx, x):
        y = empty(x.shape, x.dtype, ctx.device)
        call(ctx.function.op + "_forward", y, x)
        if ctx.needs[0]:
            ctx.save(x if ctx.function.saves == "x" else y)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call(ctx.function.op + "_backward", dx, dy, ctx.saved[0])
        return dx


class Neg(Unary):
    op = "unary.neg"

    @staticmethod
    def forward(ctx, x):
        y = empty(x.shape, x.dtype, ctx.device)
        call("unary.neg_forward", y, x)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("unary.neg_forward", dx, dy)
        return dx


class Flat(Unary):
    """A gradient of zeros."""

    saves = "x"

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call("elementwise.fill_forward", dx, 0.0)
        return dx


def _function(name: str) -> type[Function]:
    if name == "neg":
        return Neg
    fields = {"op": f"unary.{name}"} if name in FLAT else {"op": f"unary.{name}", "saves": UNARY[name][2]}
    return type(name.title(), (Flat if name in FLAT else Unary,), fields)


FUNCTIONS = {name: _function(name) for name in UNARY}
Square, Sqrt, Reciprocal = FUNCTIONS["square"], FUNCTIONS["sqrt"], FUNCTIONS["reciprocal"]


def _operation(name: str) -> Callable:
    apply, prepare = FUNCTIONS[name].apply, as_tensor if name in ANY else as_float
    keeps_integers = name in ("floor", "ceil", "round", "trunc")

    def operation(x: Any) -> Tensor:
        x = as_tensor(x)
        if keeps_integers and not is_floating(x._data.dtype):
            return x
        return apply(prepare(x))

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{name} of each element, as torch.{name}"
    return operation


neg = _operation("neg")
abs = _operation("abs")
sign = _operation("sign")
square = _operation("square")
reciprocal = _operation("reciprocal")
sqrt = _operation("sqrt")
rsqrt = _operation("rsqrt")
exp = _operation("exp")
expm1 = _operation("expm1")
log = _operation("log")
log1p = _operation("log1p")
log2 = _operation("log2")
log10 = _operation("log10")
sin = _operation("sin")
cos = _operation("cos")
tan = _operation("tan")
atan = _operation("atan")
tanh = _operation("tanh")
sigmoid = _operation("sigmoid")
erf = _operation("erf")
floor = _operation("floor")
ceil = _operation("ceil")
round = _operation("round")
trunc = _operation("trunc")


def attach(cls: Any) -> None:
    for name in UNARY:
        setattr(cls, name, globals()[name])
    cls.absolute = cls.__abs__ = abs
    cls.negative = neg
