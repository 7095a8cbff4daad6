"""Padding layers, by torch.nn's names, arguments and defaults.

Input: (N, C, L), (N, C, H, W) or (N, C, D, H, W), or without N. `padding`: a number for all sides, or (front, back) of
the last dimension, then of the one before it ... Negative numbers cut elements off.
"""

from __future__ import annotations

from typing import Any

from .module import Module
from .padding import pad
from .pooling_windows import sizes
from .tensor import as_tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class ConstantPad1d(Module):
    """A number around the last dimension.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.ConstantPad1d((2, 0), 5.0)(np.ones((1, 2), np.float32)).numpy()
    array([[5., 5., 1., 1.]], dtype=float32)
    """

    _axes = 1

    def __init__(self, padding, value: float) -> None:
        super().__init__()
        self.padding, self.value = sizes(padding, 2 * self._axes, f"{type(self).__name__}: padding"), value

    def forward(self, input) -> Any:
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """A number around the last two dimensions."""

    _axes = 2


class ConstantPad3d(ConstantPad1d):
    """A number around the last three dimensions."""

    _axes = 3


class ZeroPad1d(ConstantPad1d):
    """Zeros around the last dimension."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ZeroPad1d):
    """Zeros around the last two dimensions."""

    _axes = 2


class ZeroPad3d(ZeroPad1d):
    """Zeros around the last three dimensions."""

    _axes = 3


class _OwnNumbers(Module):
    """Padding with the input's own numbers."""

    _axes, _mode = 1, "reflect"

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = sizes(padding, 2 * self._axes, f"{type(self).__name__}: padding")

    def forward(self, input) -> Any:
        x, axes = as_tensor(input), self._axes
        if len(x.shape) not in (axes + 1, axes + 2):
            name = type(self).__name__
            raise ValueError(f"{name}: expected a {axes + 1}-D or {axes + 2}-D input, got {x.shape}")
        return pad(x, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_OwnNumbers):
    """The input mirrored at its first and last element, which are not repeated.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.ReflectionPad1d(2)(np.arange(4, dtype=np.float32).reshape(1, 4)).numpy()
    array([[2., 1., 0., 1., 2., 3., 2., 1.]], dtype=float32)
    """


class ReflectionPad2d(_OwnNumbers):
    """The input mirrored at its first and last rows and columns, which are not repeated."""

    _axes = 2


class ReflectionPad3d(_OwnNumbers):
    """The input mirrored at its edges, which are not repeated."""

    _axes = 3


class ReplicationPad1d(_OwnNumbers):
    """The first and the last element repeated."""

    _mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The edges repeated."""

    _axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """The edges repeated."""

    _axes = 3


class CircularPad1d(_OwnNumbers):
    """The end of the input before its beginning, and the other way round."""

    _mode = "circular"


class CircularPad2d(CircularPad1d):
    """The input as a tile of many."""

    _axes = 2


class CircularPad3d(CircularPad1d):
    """The input as a tile of many."""

    _axes = 3
