"""The parameters of a group that share a dtype and a device: where they lie, their state, and a step's kernel calls.

State lies as the parameters do: one flat array for each kind of state, slices on 64-byte boundaries in the order of the
group, each in the shape that the rule wants. Counters (the step count) are float64 arrays with one entry a parameter. A
run is a stretch of neighbours that have gradients and counters that are alike: one kernel call. Runs are kept until a
gradient appears or disappears.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..nn.doors import call, empty, from_host, to_host
from ..nn.sparse import SparseGradient
from .flat import Place, lay, padded, zeros

FLOAT64 = np.dtype(np.float64)


class Block:
    __slots__ = (
        "_gradients",
        "begins",
        "counters",
        "current",
        "device",
        "dtype",
        "offsets",
        "parameters",
        "places",
        "runs",
        "shape_of",
        "size",
        "states",
        "versions",
        "watch",
    )

    def __init__(self, parameters: list, counters: dict[str, float], shape_of: Callable):
        first = parameters[0]
        self.parameters, self.dtype, self.device = parameters, first._data.dtype, first.device
        self.begins: list[int] = []
        self.size = 0
        for p in parameters:
            self.begins.append(self.size)
            self.size += padded(p._data.size, self.dtype.itemsize)
        self.places: list[Place] = self._lie()
        # (kind of state, shape of a parameter) -> shape of its state, or None
        self.shape_of = shape_of
        # kinds of state by name, and where each parameter's begins; made when the rule first asks for them
        self.states: dict[str, Any] = {}
        self.offsets: dict[str, list[int]] = {}
        self.counters = {name: empty((len(parameters),), FLOAT64, self.device) for name in counters}
        for name, value in counters.items():
            call("elementwise.fill_forward", self.counters[name], value)
        # (parameter, its data, its gradient, whether it has one), as they were when the runs were made
        self.watch: Sequence[tuple] = ()
        # the version counters of the parameters that a step changes
        self.versions: Sequence[list[int]] = ()
        # arguments of the kernel calls of a step, and whether they are still those that the options ask for
        self.runs: list[tuple] = []
        self.current = False
        # the gradients as 1-D arrays, neighbours together, when somebody asked
        self._gradients: list | None = None

    def _lie(self) -> list[Place]:
        """Where the parameters lie."""
        return lay(self.parameters)

    def stale(self) -> bool:
        """Whether a parameter has moved, or a gradient has come or gone, since the runs were made."""
        if not self.current:
            return True
        for p, data, grad, has in self.watch:
            if p._has_grad is not has or p._data is not data or p._grad_buffer is not grad:
                return True
        return False

    def moved(self) -> bool:
        """Whether a parameter has another dtype, device or size than the state that is kept for it here, or a gradient
        of another kind."""
        return any(
            p._data.dtype != self.dtype
            or p.device != self.device
            or p._data.size != place.data.size
            or (p._has_grad and type(p._grad_buffer) is SparseGradient)
            for p, place in zip(self.parameters, self.places, strict=True)
        )

    # ---- state

    def state(self, name: str) -> Any:
        """The flat array of one kind of state, zero when it is first asked for."""
        if name not in self.states:
            offsets, size = [], 0
            for place in self.places:
                offsets.append(size)
                shape = self.shape_of(name, place.data.shape)
                if shape is not None:
                    size += padded(math.prod(shape), self.dtype.itemsize)
            self.states[name], self.offsets[name] = zeros(size, self.dtype, self.device), offsets
        return self.states[name]

    def state_of(self, i: int, name: str) -> Any:
        """The state of parameter i, in its shape, a view; None where the rule keeps no such state for it."""
        shape = self.shape_of(name, self.places[i].data.shape)
        if shape is None:
            return None
        flat, begin = self.state(name), self.offsets[name][i]
        return flat[begin : begin + math.prod(shape)].reshape(shape)

    def counter_of(self, i: int, name: str) -> Any:
        """The counter of parameter i; a view without dimensions."""
        return self.counters[name][i : i + 1].reshape(())

    def counts(self) -> list[tuple[float, ...]]:
        """The counters of each parameter, on the host."""
        columns = [to_host(array).tolist() for array in self.counters.values()]
        return list(zip(*columns, strict=True)) if columns else [()] * len(self.parameters)

    def take(self, i: int, old: Block, j: int) -> None:
        """Carry what `old` kept for its parameter j over to parameter i, in this block's dtype."""
        for name in old.states:
            source, target = old.state_of(j, name), self.state_of(i, name)
            if source is None or target is None or source.size != target.size:
                continue
            if old.device != self.device:
                source = from_host(to_host(source), self.device)
            call("elementwise.copy_forward", target.reshape(-1), source.reshape(-1))
        for name in old.counters:
            value = to_host(old.counters[name])[j]
            call("elementwise.fill_forward", self.counters[name][i : i + 1], float(value))

    # ---- runs

    def look(self) -> list[int]:
        """Take note of where the parameters are and of those that have gradients; which ones have."""
        self.places = self._lie()
        self.watch = [
            (p, place.data, place.grad, p._has_grad) for p, place in zip(self.parameters, self.places, strict=True)
        ]
        self.versions = [p._version for p in self.parameters if p._has_grad]
        self.current, self._gradients = True, None
        return [i for i, p in enumerate(self.parameters) if p._has_grad]

    def plan(self, states: tuple, hyper, flags: tuple, alike: Callable) -> None:
        """Make the runs; states names the kinds of state the kernel takes, None for one that is absent.

        alike  (counters of a parameter) -> what neighbours must have equal to be updated by one call
        """
        with_gradient = self.look()
        arrays = [self.state(name) if name else None for name in states]
        keys = [alike(counts) for counts in self.counts()]
        stretches = self._stretches(with_gradient, keys)
        self.runs = [self._arguments(first, last, arrays, hyper, flags) for first, last in stretches]

    def gradients(self) -> list:
        """The gradients as few 1-D arrays, padding (zero) and all."""
        if self._gradients is None:
            with_gradient = [i for i, p in enumerate(self.parameters) if p._has_grad]
            self._gradients = []
            for first, last in self._stretches(with_gradient, [None] * len(self.parameters)):
                begin, end = self.places[first], self.places[last]
                self._gradients.append(begin.flat.grad[begin.begin : end.begin + end.data.size])
        return self._gradients

    def _stretches(self, indices: list[int], keys: list) -> list[tuple[int, int]]:
        out: list[tuple[int, int]] = []
        for i in indices:
            if out and out[-1][1] == i - 1 and keys[i] == keys[i - 1] and self._adjacent(i - 1, i):
                out[-1] = (out[-1][0], i)
            else:
                out.append((i, i))
        return out

    def _adjacent(self, i: int, j: int) -> bool:
        a, b = self.places[i], self.places[j]
        return a.flat is b.flat and a.begin + padded(a.data.size, self.dtype.itemsize) == b.begin

    def _arguments(self, first: int, last: int, arrays: list, hyper, flags: tuple) -> tuple:
        flat, begin = self.places[first].flat, self.places[first].begin
        end = self.places[last].begin + self.places[last].data.size
        offset = self.begins[first] - begin
        nothing = flat.data[:0]
        states = [nothing if a is None else a[begin + offset : end + offset] for a in arrays]
        counters = [array[first : last + 1] for array in self.counters.values()]
        return flat.data[begin:end], *states, flat.grad[begin:end], *counters, hyper, *flags
