"""+ - * / ** // % maximum minimum & | ^: between tensors with broadcasting, and between a tensor and a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dtypes import is_floating, result_type
from ..tensor import Tensor, as_tensor
from .binary import BITWISE, Add, Div, FloorDivide, Maximum, Minimum, Mul, Pow, Remainder, Sub
from .constant import (
    AddConstant,
    DivConstant,
    FloorDivideConstant,
    MulConstant,
    PowConstant,
    RdivConstant,
    RemainderConstant,
    RpowConstant,
    RsubConstant,
)
from .operands import as_float, is_number, is_operand, number_with, pair
from .unary import Neg, Reciprocal, Sqrt, Square

__all__ = [
    "add",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "div",
    "floor_divide",
    "logical_and",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mul",
    "pow",
    "remainder",
    "rsub",
    "sub",
]


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
    """a / b; integers give float32. rounding_mode "floor" or "trunc" rounds the result, and keeps integers."""
    if rounding_mode == "floor":
        return floor_divide(a, b)
    if rounding_mode not in (None, "trunc"):
        raise ValueError(f"div: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}")
    operands = (x if is_number(x) else as_tensor(x)._data for x in (a, b))
    if rounding_mode and not is_floating(result_type(*operands)):
        quotient = floor_divide(a, b)
        # floor went past the negative ones that have a remainder
        return quotient + (quotient.lt(0) & (quotient * b).ne(a))
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
        if value == 0 and not is_floating(x._data.dtype):
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
        if is_floating(a._data.dtype):
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


def _logical(name: str, function: Callable) -> Callable:
    def operation(a: Any, b: Any) -> Tensor:
        return function(as_tensor(a).bool(), as_tensor(b).bool())

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"Of whether elements are not 0, as torch.{name}"
    return operation


logical_and = _logical("logical_and", bitwise_and)
logical_or = _logical("logical_or", bitwise_or)
logical_xor = _logical("logical_xor", bitwise_xor)


def attach(cls: Any) -> None:
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
    for function in (bitwise_and, bitwise_or, bitwise_xor, logical_and, logical_or, logical_xor):
        setattr(cls, function.__name__, function)
    cls.multiply, cls.divide, cls.true_divide, cls.subtract = mul, div, div, sub
    cls.__neg__ = lambda self: Neg.apply(self)
    cls.__pos__ = lambda self: self
