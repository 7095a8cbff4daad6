"""Neighbours that are computed together, or in another order.

A stretch of Linear layers, each with the activation after it, is one node, and so is a convolution with the activation
after it. Dropout after the ReLU in such a stretch is one pass with it, and what it dropped is seen in the result. ReLU
and the max pooling after it are one node that pools first: the largest of rectified numbers is the largest of the
numbers, rectified, and there are fewer of them to rectify.

This is a matter of speed alone. The modules stay modules of their own in every list, state and repr; they go together
only where nobody can look between them (no hooks, no `forward` of the user's, not even in the place of the class's
own), and the results agree to the rounding of one addition (the bias comes first or last).
"""

from __future__ import annotations

from typing import Any

from ..kernels.scalar import RELU, SIGMOID, SILU, TANH
from .activations import ReLU, Sigmoid, SiLU, Tanh
from .batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .conv import Conv1d, Conv2d, Conv3d, ConvFunction
from .conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .dropout import Dropout
from .linear import Linear, LinearFunction
from .norm import LayerNorm
from .parameter import Parameter
from .pooling import MaxPool1d, MaxPool2d, MaxPool3d
from .pooling_functions import max_pool

# exact classes: a subclass may do anything
_CODES: dict[Any, int] = {ReLU: RELU, Sigmoid: SIGMOID, SiLU: SILU, Tanh: TANH}
_CONVOLUTIONS: set[Any] = {Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d}
_POOLS: dict[Any, int] = {MaxPool1d: 1, MaxPool2d: 2, MaxPool3d: 3}
# their results are new arrays
_MAKERS: set[Any] = _CONVOLUTIONS | {BatchNorm1d, BatchNorm2d, BatchNorm3d}
_STRETCHES: set[Any] = {Linear, Dropout, *_CODES}
_FORWARDS = {kind: kind.forward for kind in (Linear, Dropout, LayerNorm, *_CODES, *_POOLS, *_MAKERS)}


def run(modules: list, input: Any) -> Any:
    """The modules applied one after the other."""
    place, count = 0, len(modules)
    while place < count:
        module, kind = modules[place], type(modules[place])
        if kind is Linear:
            plan, parameters, end = _stretch(modules, place)
            if end - place > 1:
                input, place = LinearFunction.apply(input, plan, *parameters), end
                continue
        elif kind is ReLU and _pooled_before(modules, place):
            pool = modules[place + 1]
            geometry = pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode
            input, place = max_pool(_POOLS[type(pool)], input, *geometry, rectified=True), place + 2
            continue
        elif kind in _CONVOLUTIONS and (code := _code_after(modules, place)):
            options = module._geometry, code, kind.__name__
            input, place = ConvFunction.apply(input, module.weight, module.bias, *options), place + 2
            continue
        input, place = module(input), place + 1
    return input


def _pooled_before(modules: list, place: int) -> bool:
    """Whether there is a pooling after the ReLU at `place` that may go before it."""
    relu, pool = modules[place], _at(modules, place + 1, _POOLS)
    if pool is None or pool.return_indices or _changed(relu):
        return False
    # a window that holds nothing but padding, and so -inf, is none of these
    if pool.padding != 0 and pool.dilation != 1:
        return False
    # in place is right where nobody else has the memory
    return not relu.inplace or (place > 0 and _at(modules, place - 1, _MAKERS) is not None)


def _code_after(modules: list, place: int) -> int:
    """The code of the activation to compute with the convolution at `place`; 0: none."""
    module, after = modules[place], _at(modules, place + 1, _CODES)
    if after is None or module._activation or module.padding_mode != "zeros" or _changed(module):
        return 0
    if type(after) is ReLU and _pooled_before(modules, place + 1):
        return 0
    return _CODES[type(after)]


def _at(modules: list, place: int, kinds: Any) -> Any:
    """The module at `place` if it is one of these kinds, and does what its class does."""
    module = modules[place] if place < len(modules) else None
    return module if type(module) in kinds and not _changed(module) else None


def _stretch(modules: list, begin: int) -> tuple[tuple, list, int]:
    """The layers from `begin` on that go together: LinearFunction's plan, their parameters, and where they end."""
    codes: list[int] = []
    rates: list[float] = []
    parameters: list[Any] = []
    end = begin
    for module in modules[begin:]:
        kind = type(module)
        if kind not in _STRETCHES or _changed(module):
            break
        if kind is Linear:
            weight = module.weight
            # a frozen layer would make the others keep what nobody needs
            if type(weight) is not Parameter or not weight._requires_grad:
                break
            codes.append(module._activation)
            rates.append(0.0)
            parameters += (weight, module.bias)
        elif kind in _CODES and codes and not codes[-1] and not rates[-1]:
            codes[-1] = _CODES[kind]
        elif kind is Dropout and not (module.training and module.p):
            pass
        elif kind is Dropout and codes and codes[-1] == RELU:
            # the two are one kernel
            codes[-1], rates[-1] = 0, float(module.p)
        else:
            break
        end += 1
    return (tuple(codes), tuple(rates), "Linear"), parameters, end


def unchanged(module: Any, kind: Any) -> bool:
    """Whether a call of the module is just the forward of the class `kind`."""
    return type(module) is kind and not _changed(module)


def _changed(module: Any) -> bool:
    """Whether a call of the module may do more than the forward of its class."""
    kind = type(module)
    return module._hooks is not None or "forward" in module.__dict__ or kind.forward is not _FORWARDS[kind]
