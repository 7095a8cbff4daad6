"""A table whose gradients are of few rows: a block of its own, beside the flat buffers, that is updated row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn.doors import absent
from ..nn.sparse import SparseGradient
from .block import Block
from .flat import Place

NOWHERE: Any = None


class RowBlock(Block):
    """One parameter (V, D). Each gradient is another object, so a step with one makes its kernel call anew."""

    __slots__ = ()

    def _lie(self) -> list[Place]:
        # in no buffer, and without room for a gradient of all rows
        return [Place(NOWHERE, 0, self.parameters[0]._data, None)]

    def stale(self) -> bool:
        return self.parameters[0]._has_grad or super().stale()

    def moved(self) -> bool:
        (p,), (place,) = self.parameters, self.places
        dense = p._has_grad and type(p._grad_buffer) is not SparseGradient
        return dense or p._data.dtype != self.dtype or p.device != self.device or p._data.shape != place.data.shape

    def look(self) -> list[int]:
        (p,), self.places = self.parameters, self._lie()
        self.watch = [(p, p._data, p._grad_buffer, p._has_grad)]
        self.versions = [p._version] if p._has_grad else []
        self.current = True
        return [0] if p._has_grad else []

    def plan(self, states: tuple, hyper, flags: tuple, alike: Callable) -> None:
        """The call kernel(param, *states, rows, values, *counters, hyper, *flags), when there is a gradient."""
        self.runs = []
        if self.look():
            (p,) = self.parameters
            gradient = p._grad_buffer.coalesce()
            arrays = [self.state_of(0, name) if name else absent(self.dtype, self.device, 2) for name in states]
            counters = self.counters.values()
            self.runs = [(p._data, *arrays, gradient.rows, gradient.values, *counters, hyper, *flags)]
