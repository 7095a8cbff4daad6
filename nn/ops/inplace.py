"""Operations that write into their tensor: add_ mul_ clamp_ ... and += and its like.

They work under no_grad and on tensors that no gradient flows through; elsewhere they raise (Tensor._writable). Only +=
and its like go on where a gradient flows: `loss += term` is `loss = loss + term` there, a new tensor, as Python has it
for numbers; who else holds the old one does not see the change. For a leaf that requires grad that would be a trap
(the optimizer holds the old one), so it raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..doors import call, copy_into
from ..dtypes import is_floating
from ..mode import mode
from ..tensor import Tensor, as_tensor
from . import arithmetic, scatter, select, unary

# op: the kernel for an operand of the same shape, and the one for a number
DIRECT = {"add": "add", "sub": "add", "mul": "mul", "div": "div"}


def _arithmetic(op: str) -> Callable:
    function, direct = getattr(arithmetic, op), op in DIRECT
    same, constant = f"elementwise.{op}_forward", f"constant.{DIRECT.get(op)}_forward"

    def method(self: Tensor, other: Any, **options: Any) -> Tensor:
        y = self._writable(other)
        if direct and not options and is_floating(y.dtype) and y.flags.c_contiguous:
            # the common cases, without a temporary: a number, or an array that fits
            if type(other) is float or type(other) is int:
                call(constant, y, y, float(-other if op == "sub" else other))
                return self
            x = other._data if isinstance(other, Tensor) else other
            if type(x) is type(y) and x.shape == y.shape and x.dtype is y.dtype and x.flags.c_contiguous:
                call(same, y, y, x)
                return self
        return _store(self, y, function, (other,), options)

    return method


def _augmented(op: str, in_place: Callable) -> Callable:
    """What `x op= other` gives x."""
    function = getattr(arithmetic, op)

    def method(self: Tensor, other: Any) -> Tensor:
        if mode.enabled:
            recorded = self._requires_grad or (isinstance(other, Tensor) and other._requires_grad)
            leaf = self._requires_grad and self._node is None
            if recorded and not leaf:
                return function(self, other)
        return in_place(self, other)

    return method


def _store(self: Tensor, y: Any, function: Callable, args: tuple, options: dict) -> Tensor:
    """The result of the operation, off the tape, copied into y."""
    before, mode.enabled = mode.enabled, False
    try:
        result = as_tensor(function(self, *args, **options))._data
    finally:
        mode.enabled = before
    if not np.can_cast(result.dtype, y.dtype, "same_kind"):
        raise TypeError(f"in-place result of dtype {result.dtype} does not fit into a tensor of dtype {y.dtype}")
    if result.shape != y.shape:
        raise ValueError(f"in-place result of shape {result.shape} does not fit into a tensor of shape {y.shape}")
    copy_into(y, result)
    return self


def _general(function: Callable) -> Callable:
    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        y = self._writable(*args, *options.values())
        return _store(self, y, function, args, options)

    return method


def masked_fill_(self: Tensor, mask: Any, value: Any) -> Tensor:
    """Write `value` where the mask, which broadcasts, is true"""
    return _store(self, self._writable(value), select.masked_fill, (mask, value), {})


def addcmul_(self: Tensor, a: Any, b: Any, value: float = 1) -> Tensor:
    """self += value * a * b"""
    return self.add_(arithmetic.mul(a, b), alpha=value)


def addcdiv_(self: Tensor, a: Any, b: Any, value: float = 1) -> Tensor:
    """self += value * a / b"""
    return self.add_(arithmetic.div(a, b), alpha=value)


def attach(cls: Any) -> None:
    symbols = {"add": "add", "sub": "sub", "mul": "mul", "div": "truediv", "pow": "pow", "remainder": "mod"}
    symbols |= {"floor_divide": "floordiv", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
    for op, symbol in symbols.items():
        method = _arithmetic(op)
        setattr(cls, f"{op}_", method)
        setattr(cls, f"__i{symbol}__", _augmented(op, method))
    names = ("abs", "neg", "exp", "log", "sqrt", "rsqrt", "square", "reciprocal", "sigmoid", "tanh", "sin", "cos")
    for name in (*names, "floor", "ceil", "round", "trunc", "sign"):
        setattr(cls, f"{name}_", _general(getattr(unary, name)))
    selecting = (select.clamp, select.lerp, select.tril, select.triu)
    scattering = (scatter.scatter, scatter.scatter_add, scatter.index_add, scatter.index_copy)
    for function in (*selecting, *scattering):
        setattr(cls, f"{function.__name__}_", _general(function))
    cls.masked_fill_, cls.addcmul_, cls.addcdiv_ = masked_fill_, addcmul_, addcdiv_
    cls.clip_ = cls.clamp_
