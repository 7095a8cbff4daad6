"""A weight that is computed before every call of its module: what weight_norm and spectral_norm share."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from ..lazy import is_lazy
from ..parameter import Parameter
from ..tape import no_grad
from ..tensor import Tensor

__all__ = ["Computed", "attach", "detach", "parameter_for"]


class Result(Tensor):
    """What a hook has computed. In copies and pickles of the module it stands without its tape, until they compute it
    themselves: so a module can be copied after a forward, too."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict) -> Any:
        memo[id(self)] = out = copy.deepcopy(self.detach(), memo)
        return out

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return self.detach().__reduce_ex__(protocol)


class Computed:
    """A forward pre-hook; the attribute `name` of the module becomes what `compute` makes of other parameters."""

    word: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Any, training: bool) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Any, args: tuple) -> None:
        result = self.compute(module, module.training)
        result.__class__ = Result
        setattr(module, self.name, result)


def _hooks(module: Any, kind: type[Computed], name: str) -> list:
    """The keys and hooks of this kind for this name."""
    table = {} if module._hooks is None else module._hooks.before
    return [(key, hook) for key, (hook, _) in table.items() if isinstance(hook, kind) and hook.name == name]


def attach(module: Any, hook: Computed, parameters: dict[str, Parameter], buffers: dict[str, Tensor]) -> None:
    """The parameter that the hook computes gives way to these."""
    delattr(module, hook.name)
    for suffix, parameter in parameters.items():
        module.register_parameter(hook.name + suffix, parameter)
    for suffix, buffer in buffers.items():
        module.register_buffer(hook.name + suffix, buffer)
    with no_grad():
        setattr(module, hook.name, hook.compute(module, False))
    module.register_forward_pre_hook(hook)


def parameter_for(module: Any, kind: type[Computed], name: str) -> Parameter:
    """The parameter that a hook of this kind may take the place of."""
    if _hooks(module, kind, name):
        raise RuntimeError(f"Cannot register two {kind.word} hooks on the same parameter {name}")
    parameter = module.get_parameter(name)
    if parameter is None:
        raise ValueError(f"{kind.word}: expected a parameter; {name} of {module} is None")
    if is_lazy(parameter):
        raise ValueError(f"{kind.word}: expected parameters with numbers; {name} of {module} is uninitialized")
    return parameter


def detach(module: Any, kind: type[Computed], name: str, suffixes: tuple[str, ...]) -> None:
    """The parameter `name`, of the value that it has now, comes back for those of these suffixes."""
    found = _hooks(module, kind, name)
    if not found:
        raise ValueError(f"{kind.word} of '{name}' not found in {module}")
    ((key, hook),) = found
    with no_grad():
        value = hook.compute(module, False)
    del module._hooks.before[key]
    for attribute in (name, *(name + suffix for suffix in suffixes)):
        delattr(module, attribute)
    setattr(module, name, Parameter(value.data))
