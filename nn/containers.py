"""Modules that hold modules: Sequential, ModuleList and ModuleDict, as in torch.nn."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from .fusion import run
from .members import MODULE
from .module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """Children under the names "0", "1", ... that can be indexed, sliced, inserted and removed like a list."""

    def _names(self) -> list[str]:
        return [name for name, _ in self._own(MODULE)]

    def _renumber(self, modules: list[Module]) -> None:
        for name in self._names():
            self._forget(name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def _index(self, idx: Any) -> int:
        i, n = operator.index(idx), len(self)
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of range for {n} modules")
        return i % n

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in self._own(MODULE)])

    def __getitem__(self, idx: int | slice) -> Any:
        if isinstance(idx, slice):
            return self._part(self._own(MODULE)[idx])
        return self._own(MODULE)[self._index(idx)][1]

    def _part(self, members: list[tuple[str, Any]]) -> Any:
        """A container of its kind with some of its members."""
        kind: Any = type(self)
        return kind([module for _, module in members])

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._names()[self._index(idx)], module)

    def __delitem__(self, idx: int | slice) -> None:
        modules = list(self)
        del modules[idx if isinstance(idx, slice) else self._index(idx)]
        self._renumber(modules)

    def pop(self, key: int | slice):
        """Remove and return the module (or, for a slice, the container of modules) at `key`."""
        module = self[key]
        del self[key]
        return module

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`."""
        if not isinstance(module, Module):
            raise TypeError(f"expected a Module, got {type(module).__name__}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"index {index} is out of range for inserting into {len(self)} modules")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end, in their order."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}.extend expects an iterable of modules, got {type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self


class Sequential(_Numbered):
    """Modules applied one after the other; takes modules, or one dict of named modules.

    >>> from hotloop import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    >>> net[1:]
    Sequential(
      (1): Linear(in_features=8, out_features=2, bias=True)
    )
    """

    def __init__(self, *args) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], dict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input):
        here = self.__dict__
        return run([here[name] for name, kind in self._members.items() if kind == MODULE], input)

    def _part(self, members: list[tuple[str, Any]]) -> Any:
        return type(self)(dict(members))

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"a Sequential can be added to a Sequential only, got {type(other).__name__}")
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Self:
        if not isinstance(other, Sequential):
            raise ValueError(f"a Sequential can be added to a Sequential only, got {type(other).__name__}")
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*_repeated(self, times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        return self.extend(_repeated(self, times)[len(self) :])


def _repeated(modules: Sequential, times: int) -> list[Module]:
    if not isinstance(times, int):
        raise TypeError(f"a Sequential can be multiplied by an int only, got {type(times).__name__}")
    if times <= 0:
        raise ValueError(f"a Sequential can be multiplied by a positive int only, got {times}")
    return list(modules) * times


class ModuleList(_Numbered):
    """A list of modules whose parameters are registered; it has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Equal neighbours are printed once with their count."""
        runs: list[list[Any]] = []
        for i, text in enumerate(repr(module) for module in self):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [
            f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in runs
        ]
        body = "".join("\n  " + line.replace("\n", "\n  ") for line in lines)
        return f"{self._get_name()}({body}\n)" if lines else f"{self._get_name()}()"


class ModuleDict(Module):
    """A dictionary of modules, in insertion order, whose parameters are registered; it has no forward."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self):
        return self._modules.keys()

    def values(self):
        return self._modules.values()

    def items(self):
        return self._modules.items()

    def clear(self) -> None:
        for key in self.keys():
            delattr(self, key)

    def pop(self, key: str) -> Module:
        module = self[key]
        del self[key]
        return module

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules from a mapping or from (key, module) pairs."""
        for key, module in pairs(modules, "ModuleDict"):
            self[key] = module


def pairs(items: Any, name: str) -> list[tuple[str, Any]]:
    """(key, value) pairs of a mapping, a container module, or an iterable of pairs."""
    if isinstance(items, Mapping) or (isinstance(items, Module) and hasattr(items, "items")):
        return list(items.items())
    if not isinstance(items, Iterable):
        raise TypeError(
            f"{name}.update expects a mapping or an iterable of key/value pairs, got {type(items).__name__}"
        )
    out = []
    for i, pair in enumerate(items):
        if not isinstance(pair, Iterable):
            raise TypeError(f"{name} update sequence element #{i} should be iterable, got {type(pair).__name__}")
        pair = tuple(pair)
        if len(pair) != 2:
            raise ValueError(f"{name} update sequence element #{i} has length {len(pair)}; 2 is required")
        out.append(pair)
    return out
