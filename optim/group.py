"""A parameter group: a dict of options whose numbers also stand in an array, where the kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn.doors import call, empty
from . import shaping
from .block import Block


class ParamGroup(dict):
    """As in torch: `group["params"]` and the options of these parameters, read and written as in any dict.

    What the rule (the optimizer's class) names in `hyper`, a number or a tuple of numbers, is also kept in a float64
    array on each device of the group: a step that was recorded sees what is written here later. Behind those stand the
    numbers of shaping.py, when there is such an option.
    """

    __slots__ = ("blocks", "hyper", "pending", "rule")

    def __init__(self, options: dict[str, Any], rule):
        self.rule = rule
        self.blocks: list[Block] = []
        self.hyper: dict[str, Any] = {}
        # parameters that have no memory yet (lazy layers)
        self.pending: list = []
        super().__init__({key: self._admitted(key, value) for key, value in options.items()})

    def __setitem__(self, key: str, value: Any) -> None:
        value = self._admitted(key, value)
        if key in self.rule.hyper:
            _same_count(key, self[key], value)
            before, layout = self.numbers(), self.layout()
            super().__setitem__(key, value)
            for array in self.hyper.values():
                _write(array, self.numbers(), before)
            changed = self.layout() != layout
        else:
            if key in shaping.NUMBERS:
                shaping.check({**self, key: value}, self.rule)
                # as many numbers as before, or more, or fewer
                self.hyper.clear()
            super().__setitem__(key, value)
            changed = True
        if changed:
            for block in self.blocks:
                block.current = False

    def _admitted(self, key: str, value: Any) -> Any:
        if key not in self.rule.hyper:
            return value
        return tuple(_number(key, v) for v in value) if isinstance(value, (tuple, list)) else _number(key, value)

    def check_numbers(self, options: dict[str, Any]) -> None:
        """Raise for options that cannot replace what is here: no numbers, or not as many."""
        for key in self.rule.hyper:
            if key in options:
                _same_count(key, self[key], self._admitted(key, options[key]))

    def update(self, *args, **kwargs) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any):  # type: ignore[misc]  # dict makes no promise that `|` and `|=` agree in type
        self.update(other)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def __reduce__(self):
        # copies and pickles are plain dicts: the arrays belong to this group alone
        return dict, (dict(self),)

    def numbers(self) -> list[float]:
        """The options that the rule names in `hyper`, in its order, tuples spread out."""
        out: list[float] = []
        for key in self.rule.hyper:
            value = self[key]
            out.extend(value if isinstance(value, tuple) else (value,))
        return out + shaping.numbers(self)

    def layout(self) -> tuple:
        """What decides which arrays and flags the kernel gets: see `Optimizer.states` and `Optimizer.flags`."""
        return self.rule.states(self), self.rule.flags(self)

    def hyper_on(self, device: str) -> Any:
        """The array of `numbers()` on a device."""
        array = self.hyper.get(device)
        if array is None:
            numbers = self.numbers()
            array = self.hyper[device] = empty((len(numbers),), np.dtype(np.float64), device)
            _write(array, numbers, [None] * len(numbers))
        return array


def _write(array, numbers: list, before: list) -> None:
    """Bring the array from `before` to `numbers`."""
    for k, (new, old) in enumerate(zip(numbers, before, strict=True)):
        if new != old:
            call("elementwise.fill_forward", array[k : k + 1], float(new))


def _number(key: str, value: Any) -> float:
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{key}: expected a number, got {type(value).__name__}") from None


def _same_count(key: str, old: Any, new: Any) -> None:
    if isinstance(old, tuple) != isinstance(new, tuple) or (isinstance(old, tuple) and len(old) != len(new)):
        raise ValueError(f"{key}: expected {old!r} to be replaced by as many numbers, got {new!r}")
