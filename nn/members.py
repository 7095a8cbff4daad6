"""What a module holds: registered parameters, buffers and child modules, and the ways to walk them.

Registered values live in the instance's own `__dict__`, where Python finds them at plain attribute speed, and one
ordered table, `_members`, says which names are registered and as what. Everything that walks a model reads that table.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from .parameter import Parameter
from .tensor import Tensor

PARAMETER, BUFFER, TRANSIENT, MODULE = "parameter", "buffer", "transient buffer", "module"
BUFFERS = (BUFFER, TRANSIENT)


class Members:
    """The registering and walking half of Module, which is its only subclass; rules and messages as torch.nn.Module."""

    _members: dict[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        members = self.__dict__.get("_members")
        kind = PARAMETER if isinstance(value, Parameter) else MODULE if isinstance(value, Members) else None
        if kind is not None:
            if members is None:
                raise AttributeError(f"cannot assign {kind}s before Module.__init__() call")
            if members.get(name) != kind:
                # the name changes its meaning: it moves to the end of its new kind, as in torch
                self._forget(name)
            (self.register_parameter if kind == PARAMETER else self.add_module)(name, value)
            return
        known = members.get(name) if members is not None else None
        if known is None:
            object.__setattr__(self, name, value)
        elif value is None or (known in BUFFERS and isinstance(value, Tensor)):
            self.__dict__[name] = value
        else:
            accepted = {PARAMETER: "Parameter", MODULE: "Module"}.get(known, "Tensor")
            what = {PARAMETER: "parameter", MODULE: "child module"}.get(known, "buffer")
            got = f"{type(value).__module__}.{type(value).__qualname__}"
            raise TypeError(f"cannot assign '{got}' as {what} '{name}' (hotloop.nn.{accepted} or None expected)")

    def __delattr__(self, name: str) -> None:
        self._members.pop(name, None)
        object.__delattr__(self, name)

    def __dir__(self):
        return sorted(key for key in object.__dir__(self) if not key[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        # a shallow copy shares the parameters but not the table that says which there are
        return self.__dict__ | {"_members": dict(self._members)}

    def _forget(self, name: str) -> None:
        self._members.pop(name, None)
        self.__dict__.pop(name, None)

    def _register(self, kind: str, name: str, value: Any) -> None:
        """Enter `name` into the table, or say what is wrong with it."""
        noun = "buffer" if kind in BUFFERS else kind
        members = self.__dict__.get("_members")
        if members is None:
            raise AttributeError(f"cannot assign {noun} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{noun} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{noun} name can\'t contain ".", got: {name!r}')
        if name == "":
            raise KeyError(f'{noun} name can\'t be empty string ""')
        known = members.get(name)
        if known != kind and not (known in BUFFERS and kind in BUFFERS) and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        members[name] = kind
        self.__dict__[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None keeps the name (it shows as None) without a parameter."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{type(param).__name__}' object to parameter '{name}' (Parameter or None)")
        self._register(PARAMETER, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a Tensor that is part of the state but not trained; `persistent=False` keeps it out of `state_dict`."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None)")
        self._register(BUFFER if persistent else TRANSIENT, name, tensor)

    def add_module(self, name: str, module: Members | None) -> None:
        """Add a child module under `name`."""
        if module is not None and not isinstance(module, Members):
            raise TypeError(f"{type(module).__name__} is not a Module subclass (child '{name}')")
        self._register(MODULE, name, module)

    register_module = add_module

    # ---- looking inside

    def _own(self, *kinds: str) -> list[tuple[str, Any]]:
        """The (name, value) pairs registered as one of `kinds`, in order, None values included."""
        here = self.__dict__
        return [(name, here[name]) for name, kind in self._members.items() if kind in kinds]

    @property
    def _parameters(self) -> MappingProxyType:
        return MappingProxyType(dict(self._own(PARAMETER)))

    @property
    def _buffers(self) -> MappingProxyType:
        return MappingProxyType(dict(self._own(*BUFFERS)))

    @property
    def _modules(self) -> MappingProxyType:
        return MappingProxyType(dict(self._own(MODULE)))

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """This module and all below it, parents first, with their dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._own(MODULE):
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Any]]:
        seen: set[Members] = set()
        for name, child in self._own(MODULE):
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Any]:
        return (child for _, child in self.named_children())

    def _named(self, kinds, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for owner_name, owner in owners:
            for name, value in owner._own(*kinds):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{owner_name}.{name}" if owner_name else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter) of this module and, with `recurse`, of all below it; a shared parameter once."""
        return self._named((PARAMETER,), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named(BUFFERS, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (value for _, value in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Any:
        """The module under a dotted name; "" is this module."""
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Members):
                raise AttributeError(f"`{name}` is not a Module")
        return module

    def _get_member(self, target: str, kinds: tuple[str, ...], noun: str):
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
        if owner._members.get(name) not in kinds:
            raise AttributeError(f"`{name}` is not a {noun}")
        return getattr(owner, name)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter under a dotted name."""
        return self._get_member(target, (PARAMETER,), "Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer under a dotted name."""
        return self._get_member(target, BUFFERS, "buffer")
