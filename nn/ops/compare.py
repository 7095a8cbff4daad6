"""Comparisons, tests for NaN and infinity, and not: bool tensors, off the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..doors import call, contiguous, empty
from ..dtypes import bool_, is_floating
from ..tensor import Tensor, as_tensor, wrap
from .binary import binary
from .operands import is_number, is_operand, pair

__all__ = [
    "allclose",
    "bitwise_not",
    "eq",
    "equal",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_not",
    "lt",
    "ne",
]

SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def _with_number(op: str, x: Tensor, number: Any) -> Tensor:
    data = contiguous(x._data)
    y = empty(data.shape, bool_, x.device)
    # a bool is compared as the byte it is
    call(f"constant.{op}_forward", y, data.view("u1") if data.dtype is bool_ else data, float(number))
    return wrap(y, None, 0)


def _comparison(op: str) -> Callable:
    def compare(a: Any, b: Any) -> Tensor:
        if is_number(b) and isinstance(a, Tensor):
            return _with_number(op, a, b)
        if is_number(a) and isinstance(b, Tensor):
            return _with_number(SWAPPED[op], b, a)
        a, b = pair(a, b)
        return wrap(binary(op, contiguous(a._data), contiguous(b._data), bool_, a.device), None, 0)

    compare.__name__ = compare.__qualname__ = op
    compare.__doc__ = f"Element by element comparison, as torch.{op}"
    return compare


eq, ne, lt, le, gt, ge = map(_comparison, ("eq", "ne", "lt", "le", "gt", "ge"))


def logical_not(x: Any) -> Tensor:
    """True where x is 0"""
    return _with_number("eq", as_tensor(x), 0)


def bitwise_not(x: Any) -> Tensor:
    """~x: not of bools, -1 - x of integers"""
    x = as_tensor(x)
    if is_floating(x._data.dtype):
        raise TypeError(f"bitwise_not: expected integers or bools, got {x._data.dtype}")
    return logical_not(x) if x._data.dtype == bool_ else -1 - x


def isnan(x: Any) -> Tensor:
    x = as_tensor(x)
    return ne(x, x)


def isinf(x: Any) -> Tensor:
    return eq(as_tensor(x).detach().abs(), float("inf"))


def isfinite(x: Any) -> Tensor:
    return lt(as_tensor(x).detach().abs(), float("inf"))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |a - b| <= atol + rtol * |b|"""
    a, b = (x.detach() for x in pair(a, b))
    close = eq(a, b) | (isfinite(b) & le((a - b).abs(), b.abs() * rtol + atol))
    return close | (isnan(a) & isnan(b)) if equal_nan else close


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


def equal(a: Any, b: Any) -> bool:
    """Whether two tensors have the same shape and elements."""
    a, b = as_tensor(a), as_tensor(b)
    return a.shape == b.shape and bool(eq(a, b).all())


def attach(cls: Any) -> None:
    for function in (eq, ne, lt, le, gt, ge):
        setattr(cls, function.__name__, function)
        setattr(cls, f"__{function.__name__}__", _operator(function))
    for function in (logical_not, bitwise_not, isnan, isinf, isfinite, isclose, allclose, equal):
        setattr(cls, function.__name__, function)
    cls.__invert__ = bitwise_not


def _operator(function: Callable) -> Callable:
    def method(self: Tensor, other: Any) -> Any:
        return function(self, other) if is_operand(other) else NotImplemented

    return method
