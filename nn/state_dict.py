"""A module's state by name: taking it out, and putting another one in (all of it or none of it)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .dtypes import is_floating
from .lazy import is_lazy
from .members import BUFFER, MODULE, PARAMETER
from .tape import no_grad
from .tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What load_state_dict returns: names the state lacked, and names the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StateDictError(RuntimeError, ValueError):
    """A state that does not fit; a RuntimeError as in torch, and a ValueError because the input is wrong."""


def collect(module, destination: dict[str, Any] | None, prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Parameters and persistent buffers, then those of the children, by dotted name; they share the module's memory."""
    out: dict[str, Any] = OrderedDict() if destination is None else destination
    for name, value in _own_state(module):
        out[prefix + name] = value if keep_vars or is_lazy(value) else value.detach()
    for name, child in module._own(MODULE):
        if child is not None:
            child.state_dict(destination=out, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    return out


def load(module, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy `state` into the module's own storage; when anything does not fit, nothing is changed."""
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state).__name__}.")
    slots = dict(_slots(module, ""))
    missing = [name for name in slots if name not in state]
    unexpected = [name for name in state if name not in slots]
    problems = []
    if strict and unexpected:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}.")
    if strict and missing:
        problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}.")
    copies = []
    for name, target in slots.items():
        if name in state:
            try:
                copies.append((target, _fitting(name, target, state[name])))
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise StateDictError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(problems))
    # a state may hold this module's own memory under other names: what a copy overwrites must not be read after it
    own = {id(target.data) for target, _ in copies if not is_lazy(target)}
    copies = [
        (target, source.clone() if id(source.data) in own and source.data is not target.data else source)
        for target, source in ((target, source.detach()) for target, source in copies)
    ]
    with no_grad():
        for target, source in copies:
            if is_lazy(target):
                target.materialize(source.shape)
            target.copy_(source)
    return IncompatibleKeys(missing, unexpected)


def _own_state(module) -> Iterator[tuple[str, Any]]:
    for kind in (PARAMETER, BUFFER):
        for name, value in module._own(kind):
            if value is not None:
                yield name, value


def _slots(module, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in _own_state(module):
        yield prefix + name, value
    for name, child in module._own(MODULE):
        if child is not None:
            yield from _slots(child, f"{prefix}{name}.")


def _fitting(name: str, target, value) -> Any:
    """`value` as a Tensor that can be copied into `target`; ValueError says what does not fit."""
    source = as_tensor(name, value)
    if is_lazy(target):
        return source
    if target.shape == () and source.shape == (1,):
        # torch before 0.4 wrote scalars with one dimension
        source = source.reshape(())
    if source.shape != target.shape:
        raise ValueError(f'size mismatch for "{name}": expected shape {target.shape}, got {source.shape}.')
    if not np.can_cast(source.dtype, target.dtype, "same_kind"):
        raise ValueError(f'dtype mismatch for "{name}": expected {target.dtype}, got {source.dtype}.')
    if isinstance(target.data, np.ndarray) and not target.data.flags.writeable:
        raise ValueError(f'"{name}": the module\'s own array is read-only; nothing can be loaded into it.')
    return source


def as_tensor(name: str, value) -> Tensor:
    """A Tensor over `value`: a Tensor, a NumPy, CUDA or torch array, or numbers; errors speak of `name`."""
    if is_lazy(value):
        raise ValueError(f'"{name}": an uninitialized parameter holds nothing; run the module on an input first.')
    if isinstance(value, Tensor):
        return value
    if all(hasattr(value, method) for method in ("detach", "cpu", "numpy")):
        value = value.detach().cpu()
        if getattr(value, "is_sparse", False):
            # torch's SGD keeps the momentum of a table so
            value = value.to_dense()
        try:
            value = value.numpy()
        except TypeError:
            # bfloat16 has no NumPy dtype; float32 holds it exactly
            value = value.float().numpy()
    elif not hasattr(value, "__cuda_array_interface__"):
        value = np.asarray(value)
        if value.dtype.kind not in "biuf" and not is_floating(value.dtype):
            raise ValueError(f'"{name}": expected a Tensor or an array of numbers, got {value.dtype} values.')
    return Tensor(value)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
