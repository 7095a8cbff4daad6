"""+ - * / ** // % maximum minimum & | ^: between tensors with broadcasting, and between a tensor and a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..doors import absent, call, empty
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .broadcasting import expanded, plan, reduced
from .operands import as_float, is_number, is_operand, number_with, pair
from .unary import Neg, Reciprocal, Sqrt, Square

__all__ = [
    "add",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "div",
    "floor_divide",
    "maximum",
    "minimum",
    "mul",
    "pow",
    "remainder",
    "rsub",
    "sub",
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
        return tuple(_zeros(x, ctx.device) if need else None for x, need in zip(ctx.saved, ctx.needs, strict=True))


def _zeros(like: Any, device: str) -> Any:
    zeros = empty(like.shape, like.dtype, device)
    call("elementwise.fill_forward", zeros, 0.0)
    return zeros


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
        return _zeros(dy, ctx.device), None


def _of(base: type, op: str, **fields: Any) -> Any:
    return type(base)(op.title().replace("_", "") + base.__name__, (base,), {"op": op, **fields})


Mul, Div, Pow = _of(Binary, "mul"), _of(Binary, "div"), _of(Binary, "pow")
Maximum, Minimum, Remainder = _of(Binary, "maximum"), _of(Binary, "minimum"), _of(Binary, "remainder")
FloorDivide = _of(NoGradient, "floor_divide")
BITWISE = {symbol: _of(NoGradient, f"bitwise_{symbol}") for symbol in ("and", "or", "xor")}
RdivConstant, PowConstant, RpowConstant = (_of(Constant, op, saves=True) for op in ("rdiv", "pow", "rpow"))


def add(a: Any, b: Any, alpha: float = 1) -> Tensor:
    """a + alpha * b"""
    if alpha != 1:
        b = mul(b, alpha)
    if is_number(b) and isinstance(a, Tensor):
        return AddConstant.apply(*number_with(a, b))
    if is_number(a):
        return AddConstant.apply(*number_with(as_tensor(b), a))
    return Add.apply(*pair(a, b))


def sub(a: Any, b: Any, alpha: float = 1) -> Tensor:
    """a - alpha * b"""
    if alpha != 1:
        b = mul(b, alpha)
    if is_number(b) and isinstance(a, Tensor):
        return AddConstant.apply(*number_with(a, -b))
    if is_number(a):
        return rsub(b, a)
    return Sub.apply(*pair(a, b))


def rsub(a: Any, b: Any) -> Tensor:
    """b - a"""
    return RsubConstant.apply(*number_with(as_tensor(a), b)) if is_number(b) else sub(b, a)


def mul(a: Any, b: Any) -> Tensor:
    """a * b"""
    if is_number(b) and isinstance(a, Tensor):
        return MulConstant.apply(*number_with(a, b))
    if is_number(a):
        return MulConstant.apply(*number_with(as_tensor(b), a))
    return Mul.apply(*pair(a, b))


def div(a: Any, b: Any, rounding_mode: str | None = None) -> Tensor:
    """a / b; integers give float32. rounding_mode "floor" or "trunc" rounds the result."""
    if rounding_mode == "floor":
        return floor_divide(a, b)
    if rounding_mode not in (None, "trunc"):
        raise ValueError(f"div: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}")
    if is_number(b) and isinstance(a, Tensor):
        y = DivConstant.apply(*number_with(as_float(a), b))
    elif is_number(a):
        y = RdivConstant.apply(*number_with(as_float(b), a))
    else:
        a, b = pair(a, b)
        y = Div.apply(as_float(a), as_float(b))
    return y.trunc() if rounding_mode else y


def pow(a: Any, b: Any) -> Tensor:
    """a ** b"""
    if is_number(b):
        x, value = number_with(as_tensor(a), b)
        if x._data.dtype.kind in "iu" and value < 0:
            raise ValueError(f"pow: expected a power >= 0 for integers, got {b}; use floats")
        special = {2.0: Square, 0.5: Sqrt, -1.0: Reciprocal}.get(value)
        return special.apply(x) if special else PowConstant.apply(x, value)
    if is_number(a):
        return RpowConstant.apply(*number_with(as_tensor(b), a))
    return Pow.apply(*pair(a, b))


def floor_divide(a: Any, b: Any) -> Tensor:
    """floor(a / b)"""
    return _divided(FloorDivide, FloorDivideConstant, a, b)


def remainder(a: Any, b: Any) -> Tensor:
    """a - b * floor(a / b): of the sign of b"""
    return _divided(Remainder, RemainderConstant, a, b)


def _divided(function: Any, constant: Any, a: Any, b: Any) -> Tensor:
    if is_number(b) and isinstance(a, Tensor):
        x, value = number_with(a, b)
        if value == 0 and x._data.dtype.kind != "f":
            raise ZeroDivisionError(f"{constant.op}: integers divided by zero")
        return constant.apply(x, value)
    return function.apply(*pair(a, b))


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of a and b, element by element; NaN if either is"""
    return Maximum.apply(*pair(a, b))


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of a and b, element by element; NaN if either is"""
    return Minimum.apply(*pair(a, b))


def _bitwise(symbol: str) -> Callable:
    def operation(a: Any, b: Any) -> Tensor:
        a, b = pair(a, b)
        if a._data.dtype.kind == "f":
            raise TypeError(f"bitwise_{symbol}: expected integers or bools, got {a._data.dtype}")
        return BITWISE[symbol].apply(a, b)

    operation.__name__ = operation.__qualname__ = f"bitwise_{symbol}"
    operation.__doc__ = f"Element by element {symbol} of the bits of integers, or of bools"
    return operation


bitwise_and, bitwise_or, bitwise_xor = _bitwise("and"), _bitwise("or"), _bitwise("xor")


def operator(function: Callable) -> Callable:
    """A method for `self op other`; other types of operand have their turn."""

    def method(self: Tensor, other: Any) -> Any:
        return function(self, other) if is_operand(other) else NotImplemented

    return method


def reflected(function: Callable) -> Callable:
    """A method for `other op self`."""

    def method(self: Tensor, other: Any) -> Any:
        return function(other, self) if is_operand(other) else NotImplemented

    return method


def attach(cls: type[Tensor]) -> None:
    operators = {
        "add": add,
        "sub": sub,
        "mul": mul,
        "truediv": div,
        "pow": pow,
        "floordiv": floor_divide,
        "mod": remainder,
        "and": bitwise_and,
        "or": bitwise_or,
        "xor": bitwise_xor,
    }
    for name, function in operators.items():
        setattr(cls, f"__{name}__", operator(function))
        setattr(cls, f"__r{name}__", reflected(function))
    for function in (add, sub, rsub, mul, div, pow, floor_divide, remainder, maximum, minimum):
        setattr(cls, function.__name__, function)
    for function in (bitwise_and, bitwise_or, bitwise_xor):
        setattr(cls, function.__name__, function)
        setattr(cls, function.__name__.replace("bitwise", "logical"), _logical(function))
    cls.multiply, cls.divide, cls.true_divide, cls.subtract = mul, div, div, sub
    cls.__neg__ = lambda self: Neg.apply(self)
    cls.__pos__ = lambda self: self


def _logical(function: Callable) -> Callable:
    def operation(a: Any, b: Any) -> Tensor:
        return function(as_tensor(a).bool(), as_tensor(b).bool())

    return operation
