"""Neighbours that are computed together: a stretch of Linear layers, each with the activation after it, is one node.

Together or apart is a matter of speed alone. The modules stay modules of their own in every list, state and repr; they
go together only where nobody can look between them (no hooks, no `forward` of the user's, not even in the place of the
class's own), and the results agree to the rounding of one addition (the bias comes first or last).
"""

from __future__ import annotations

from typing import Any

from ..kernels.scalar import RELU, SIGMOID, SILU, TANH
from .activations import ReLU, Sigmoid, SiLU, Tanh
from .linear import Linear, LinearFunction
from .parameter import Parameter

# exact classes: a subclass may do anything
_CODES: dict[Any, int] = {ReLU: RELU, Sigmoid: SIGMOID, SiLU: SILU, Tanh: TANH}
_FORWARDS = {kind: kind.forward for kind in (Linear, *_CODES)}


def run(modules: list, input: Any) -> Any:
    """The modules applied one after the other."""
    place, count = 0, len(modules)
    while place < count:
        codes, parameters, end = _stretch(modules, place)
        if end - place > 1:
            input, place = LinearFunction.apply(input, (codes, "Linear"), *parameters), end
        else:
            input, place = modules[place](input), place + 1
    return input


def _stretch(modules: list, begin: int) -> tuple[tuple, list, int]:
    """The layers from `begin` on that go together: the activation of each, their parameters, and where they end."""
    codes: list[int] = []
    parameters: list[Any] = []
    end = begin
    for module in modules[begin:]:
        kind = type(module)
        if kind is Linear:
            weight = module.weight
            # a frozen layer would make the others keep what nobody needs
            if type(weight) is not Parameter or not weight._requires_grad or _changed(module):
                break
            codes.append(module._activation)
            parameters += (weight, module.bias)
        elif kind in _CODES and codes and not codes[-1] and not _changed(module):
            codes[-1] = _CODES[kind]
        else:
            break
        end += 1
    return tuple(codes), parameters, end


def _changed(module: Any) -> bool:
    """Whether a call of the module may do more than the forward of its class."""
    kind = type(module)
    return module._hooks is not None or "forward" in module.__dict__ or kind.forward is not _FORWARDS[kind]
