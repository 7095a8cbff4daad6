"""Constraints on parameters, for the `constraint` option of optimizers; names, arguments and formulas as in Keras.

>>> from hotloop import nn, optim
>>> model = nn.Linear(3, 2)
>>> optimizer = optim.SGD(model.parameters(), lr=0.1, constraint=optim.constraints.MaxNorm(2.0))

Where Keras says `axis`, these do as well, but layouts are PyTorch's: the weights of one unit are w[i], all dimensions
but the first, and that is the default; Keras' default for its own layout, axis=0, means the same. A vector is one unit.
"""

from __future__ import annotations

import math
from typing import Any

from ..nn.doors import call

__all__ = ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"]


class _Norm:
    """w = w * ((1 - rate) * norm + rate * min(max(norm, low), high)) / (norm + 1e-7), of the elements along `axis`."""

    def __init__(self, low: float, high: float, rate: float, axis: int | tuple[int, ...] | None):
        if not 0 <= low <= high:
            raise ValueError(f"expected 0 <= least norm <= largest norm, got {low} and {high}")
        if not 0 <= rate <= 1:
            raise ValueError(f"Invalid rate value: {rate}; expected 0 <= rate <= 1")
        self._numbers, self.axis = (float(low), float(high), float(rate)), axis

    def __call__(self, parameter: Any) -> None:
        data = parameter._data
        begin, end = _range(self.axis, data.ndim)
        outer, inner = math.prod(data.shape[:begin]), math.prod(data.shape[end:])
        form = (outer, math.prod(data.shape[begin:end]), inner)
        call("constraint.norm_update", data.reshape(form), *self._numbers)
        parameter._version[0] += 1


def _range(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, int]:
    """The neighbouring dimensions along which elements are one vector: from, to."""
    if axis is None:
        return (1, ndim) if ndim > 1 else (0, ndim)
    axes = sorted(a % ndim if -ndim <= a < ndim else ndim for a in ((axis,) if isinstance(axis, int) else axis))
    if not axes or axes != list(range(axes[0], axes[0] + len(axes))) or axes[-1] >= ndim:
        raise ValueError(f"axis: expected one of the {ndim} dimensions of a parameter, or neighbours, got {axis}")
    return axes[0], axes[-1] + 1


class MaxNorm(_Norm):
    """No unit's weights have a norm above max_value: w = w * min(norm, max_value) / (norm + 1e-7)."""

    def __init__(self, max_value: float = 2, axis: int | tuple[int, ...] | None = None):
        super().__init__(0, max_value, 1, axis)


class UnitNorm(_Norm):
    """Each unit's weights have norm 1: w = w / (norm + 1e-7)."""

    def __init__(self, axis: int | tuple[int, ...] | None = None):
        super().__init__(1, 1, 1, axis)


class MinMaxNorm(_Norm):
    """Norms are drawn into [min_value, max_value], by `rate` of the way a step:

    w = w * ((1 - rate) * norm + rate * min(max(norm, min_value), max_value)) / (norm + 1e-7)
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | tuple[int, ...] | None = None,
    ):
        super().__init__(min_value, max_value, rate, axis)


class NonNeg:
    """No weight is below zero: w = max(w, 0)."""

    def __call__(self, parameter: Any) -> None:
        call("select.clamp_forward", parameter._data, parameter._data, 0.0, math.inf)
        parameter._version[0] += 1
