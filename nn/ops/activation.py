"""The layers' functions that torch.Tensor has as methods: relu, prelu, hardshrink, softmax, log_softmax."""

from __future__ import annotations

from typing import Any

from ..activation_functions import hardshrink, prelu, relu
from ..softmax import log_softmax as _log_softmax
from ..softmax import softmax as _softmax
from ..tensor import Tensor

__all__ = ["hardshrink", "log_softmax", "prelu", "relu", "softmax"]


def softmax(x: Any, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)), the sum along dim"""
    return _softmax(x, dim, dtype=dtype)


def log_softmax(x: Any, dim: int, dtype: Any = None) -> Tensor:
    """x - log(sum(exp(x))), the sum along dim"""
    return _log_softmax(x, dim, dtype=dtype)


def attach(cls: Any) -> None:
    # relu has an argument `inplace` as a function alone
    cls.relu = lambda self: relu(self)
    cls.hardshrink = lambda self, lambd=0.5: hardshrink(self, lambd)
    cls.prelu, cls.softmax, cls.log_softmax = prelu, softmax, log_softmax
