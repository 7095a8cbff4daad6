"""Parameters that are computed from others wherever they are looked at: names and rules as torch.nn.utils.parametrize.

A module with such a parameter gets a class of its own, made from its class, with a property by the parameter's name.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..containers import ModuleDict, ModuleList
from ..lazy import is_lazy
from ..members import BUFFERS, PARAMETER
from ..parameter import Parameter
from ..tape import no_grad
from ..tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]

# (module, tensor) by the module's id: it lives as long as the entry does, and its id is no other's
_cached: dict[tuple[int, str], tuple[Any, Tensor]] = {}
_depth = 0


@contextmanager
def cached() -> Iterator[None]:
    """Inside, a parametrized tensor is computed once, at the first look."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cached.clear()


def _register(module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and what they begin with: `original`, or `original0`, `original1` ..."""

    def __init__(self, modules: list, original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new = self._inverse(original)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            self._check_dtype(original, new, "right_inverse(original)")
            # the same object: an optimizer may know it
            if new is not original:
                original.data = new.data
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                # a copy: it shall not share memory with its siblings
                tensor = type(original)(part.detach().clone().data, original.requires_grad)
                _register(self, f"original{i}", tensor)
        if not unsafe:
            self._check(original, self())

    def _inverse(self, value):
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        value = module.right_inverse(value)
                    except NotImplementedError:
                        # as without one: the identity
                        continue
        parts = [value] if isinstance(value, Tensor) else value
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, Tensor) for part in parts):
            raise ValueError(
                f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got {value!r}"
            )
        return value

    def _check_dtype(self, old: Tensor, new: Tensor, what: str) -> None:
        if old.dtype != new.dtype:
            raise ValueError(f"expected {what} of dtype {old.dtype}, got {new.dtype}")

    def _check(self, original: Tensor, result: Any) -> None:
        if not isinstance(result, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
        self._check_dtype(original, result, "the parametrized tensor, unless `unsafe`,")
        if original.shape != result.shape:
            raise ValueError(
                f"expected the parametrized tensor, unless `unsafe`, of shape {original.shape}, got {result.shape}"
            )

    def originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def right_inverse(self, value: Tensor) -> None:
        """Change the originals such that the tensor becomes `value`."""
        new = self._inverse(value)
        parts = [new] if isinstance(new, Tensor) else list(new)
        if len(parts) != self.ntensors:
            raise ValueError(f"'right_inverse' must return {self.ntensors} tensors as it did before, got {len(parts)}")
        with no_grad():
            for target, part in zip(self.originals(), parts, strict=True):
                self._check_dtype(target, part, "right_inverse(value)")
                target.data = part.data

    def forward(self, *args) -> Any:
        first, *others = self
        x = first(*self.originals())
        for module in others:
            x = module(x)
        return x


class _Parametrized:
    """What a parametrized class has beside its properties."""

    _base: type
    _names: tuple[str, ...]

    def __reduce_ex__(self, protocol) -> tuple:
        this: Any = self
        return _blank, (self._base, self._names), this.__getstate__()


def _blank(base: type, names: tuple[str, ...]) -> Any:
    return object.__new__(_class_of(base, names))


@functools.cache
def _class_of(base: type, names: tuple[str, ...]) -> type:
    """The class of modules of class `base` whose `names` are parametrized."""
    attributes: dict[str, Any] = {name: _property(name) for name in names}
    attributes |= {"_base": base, "_names": names, "__module__": base.__module__, "__doc__": base.__doc__}
    return type(f"Parametrized{base.__name__}", (_Parametrized, base), attributes)


def _property(name: str) -> property:
    def look(self):
        parametrization = self.parametrizations[name]
        if not _depth:
            return parametrization()
        key = id(self), name
        if key not in _cached:
            _cached[key] = self, parametrization()
        return _cached[key][1]

    def change(self, value):
        self.parametrizations[name].right_inverse(value)
        _cached.pop((id(self), name), None)

    return property(look, change)


def type_before_parametrizations(module) -> type:
    """The class of the module, or the one that it had before."""
    return module._base if isinstance(module, _Parametrized) else type(module)


def is_parametrized(module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or the one of this name, is parametrized."""
    if not isinstance(module, _Parametrized):
        return False
    return tensor_name is None or tensor_name in module._names


def register_parametrization(module, tensor_name: str, parametrization, *, unsafe: bool = False):
    """Let `module.<tensor_name>` be what `parametrization`, a module, makes of the parameter or buffer it is now.

    That one goes on as `module.parametrizations.<tensor_name>.original`. Assigning to the tensor, and this call, hand
    the value to `parametrization.right_inverse` where there is one; that may return several tensors, `original0`,
    `original1` and so on, which forward then takes. A second call adds a parametrization of the result. Unless
    `unsafe`, shape and dtype must stay. Returns the module.

    >>> from hotloop import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).t()
    >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.t()).all())
    True
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        _append(module, tensor_name, parametrization, unsafe)
        return module
    original = getattr(module, tensor_name, None)
    if original is None or module._members.get(tensor_name) not in (PARAMETER, *BUFFERS):
        raise ValueError(f"expected a parameter or a buffer of the module, got {tensor_name!r}; the module is {module}")
    if is_lazy(original):
        raise ValueError(
            f"{tensor_name}: expected a tensor with numbers, got an uninitialized one; run the module first"
        )
    listed = ParametrizationList([parametrization], original, unsafe=unsafe)
    delattr(module, tensor_name)
    names = module._names if isinstance(module, _Parametrized) else ()
    if not names:
        module.parametrizations = ModuleDict()
    module.__class__ = _class_of(type_before_parametrizations(module), (*names, tensor_name))
    module.parametrizations[tensor_name] = listed
    return module


def _append(module, tensor_name: str, parametrization, unsafe: bool) -> None:
    listed = module.parametrizations[tensor_name]
    with no_grad():
        value = getattr(module, tensor_name)
        if not unsafe:
            listed._check(value, parametrization(value))
            inverse = parametrization.right_inverse(value) if hasattr(parametrization, "right_inverse") else value
            listed._check(value, inverse)
    listed.append(parametrization)
    listed.unsafe = listed.unsafe or unsafe
    if hasattr(parametrization, "right_inverse"):
        listed.right_inverse(value)


def remove_parametrizations(module, tensor_name: str, leave_parametrized: bool = True):
    """The tensor as a parameter or buffer again: of the value that it has, or else of its `original`.

    Returns the module.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"expected a parametrized tensor of the module, got {tensor_name!r}; the module is {module}")
    listed = module.parametrizations[tensor_name]
    original = listed.originals()[0]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name)
        if listed.is_tensor:
            original.data = value.data
        else:
            original = type(original)(value.data, original.requires_grad)
    elif not listed.is_tensor:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    base, names = module._base, tuple(name for name in module._names if name != tensor_name)
    del module.parametrizations[tensor_name]
    if not names:
        del module.parametrizations
    module.__class__ = _class_of(base, names) if names else base
    _register(module, tensor_name, original)
    return module
