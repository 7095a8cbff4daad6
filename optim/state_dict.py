"""An optimizer's state in PyTorch's form: taking it out, and putting another one in (all of it or none of it)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ..nn.doors import call
from ..nn.state_dict import as_tensor
from ..nn.tensor import Tensor


def by_parameter(optimizer) -> dict[Any, dict[str, Tensor]]:
    """State by parameter; parameters that were never updated have none."""
    out = {}
    for group in optimizer.param_groups:
        for block, i, p in _entries(group):
            kept = _state_of(optimizer, group, block, i)
            if kept:
                out[p] = kept
    return out


def collect(optimizer) -> dict[str, Any]:
    state, groups, position = {}, [], 0
    for group in optimizer.param_groups:
        places = {id(p): (block, i) for block, i, p in _entries(group)}
        numbers = []
        for p in group["params"]:
            kept = _state_of(optimizer, group, *places[id(p)]) if id(p) in places else {}
            if kept:
                state[position] = kept
            numbers.append(position)
            position += 1
        # a function among the options (a constraint) is no state: it may be one that no file holds
        options = {k: copy.deepcopy(v) for k, v in group.items() if k != "params" and not callable(v)}
        groups.append({**options, "params": numbers})
    return {"state": state, "param_groups": groups}


def load(optimizer, saved: Mapping[str, Any]) -> None:
    if not isinstance(saved, Mapping) or "state" not in saved or "param_groups" not in saved:
        got = sorted(saved) if isinstance(saved, Mapping) else type(saved).__name__
        raise ValueError(f"state_dict: expected a dict of 'state' and 'param_groups', got {got}")
    groups = saved["param_groups"]
    if len(groups) != len(optimizer.param_groups):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"expected {len(optimizer.param_groups)}, got {len(groups)}"
        )
    position: dict[Any, int] = {}
    for own, other in zip(optimizer.param_groups, groups, strict=True):
        if len(own["params"]) != len(other["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                f"expected {len(own['params'])} parameters, got {len(other['params'])}"
            )
        for number in other["params"]:
            position[number] = len(position)
    # the keys of the state are whatever numbers the saved groups used
    state = {position[key]: value for key, value in saved["state"].items() if key in position}
    options = [{k: copy.deepcopy(v) for k, v in other.items() if k != "params"} for other in groups]
    for own, other in zip(optimizer.param_groups, options, strict=True):
        # whether they are in range was decided when they were set: a schedule may have ended a rounding below 0
        own.check_numbers(other)
    optimizer._load_state(state, options)


def load_state(optimizer, state: Mapping[int, Mapping[str, Any]], options: list[dict] | None = None) -> None:
    """Put the state of each position in place of what there is; a position without one begins anew."""
    copies, position = [], 0
    for group, other in zip(optimizer.param_groups, options or [{}] * len(optimizer.param_groups), strict=True):
        places = {id(p): (block, i) for block, i, p in _entries(group)}
        names = [name for name in optimizer.states({**group, **other}) if name]
        for p in group["params"]:
            if id(p) in places:
                copies.append((*places[id(p)], _fitting(position, p, names, optimizer, state.get(position, {}))))
            elif state.get(position):
                raise ValueError(f"state of parameter {position}: expected none, the parameter is not initialized")
            position += 1
    set_options(optimizer, options)
    for block, i, arrays in copies:
        _put(optimizer, block, i, arrays)
        block.current = False


def set_options(optimizer, options: list[dict] | None) -> None:
    for group, other in zip(optimizer.param_groups, options or [], strict=False):
        for key, value in other.items():
            group[key] = tuple(value) if isinstance(group.get(key), tuple) else value


def _entries(group) -> Iterator[tuple]:
    for block in group.blocks:
        for i, p in enumerate(block.parameters):
            yield block, i, p


def _state_of(optimizer, group, block, i: int) -> dict[str, Tensor]:
    if optimizer.counters and block.counts()[i] == tuple(optimizer.counters.values()):
        return {}
    kept = {name: Tensor(block.counter_of(i, name)) for name in optimizer.counters if not name.startswith("_")}
    # a kind of state that the group no longer uses is still there
    for name in optimizer.states(group):
        if name:
            block.state(name)
    arrays = {name: block.state_of(i, name) for name in block.states}
    return kept | {name: Tensor(array) for name, array in arrays.items() if array is not None}


def _fitting(position: int, parameter, names: list[str], optimizer, kept: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of one parameter's state, checked; kinds of state that are None have not begun."""
    arrays = {}
    for name, value in kept.items():
        if value is None:
            continue
        array = as_tensor(f"state {position} {name}", value)
        expected = () if name in optimizer.counters else optimizer.state_shape(name, parameter.shape)
        if expected is None:
            raise ValueError(f"state of parameter {position}: expected no {name} for the shape {parameter.shape}")
        if tuple(array.shape) != tuple(expected) and not (expected == () and array.numel() == 1):
            raise ValueError(
                f"state of parameter {position}: {name}: expected shape {tuple(expected)}, got {tuple(array.shape)}"
            )
        arrays[name] = array
    names = [name for name in names if optimizer.state_shape(name, parameter.shape) is not None]
    if arrays and not set(names) <= set(arrays):
        raise ValueError(f"state of parameter {position}: expected {', '.join(names)}, got {', '.join(arrays)}")
    return arrays


def _put(optimizer, block, i: int, arrays: dict[str, Any]) -> None:
    for name, start in optimizer.counters.items():
        # a rule with a hidden counter has begun when it has state
        value = arrays[name].item() if name in arrays else float(bool(arrays)) if name.startswith("_") else start
        call("elementwise.fill_forward", block.counters[name][i : i + 1], float(value))
    for name in {*block.states, *arrays} - set(optimizer.counters):
        target = block.state_of(i, name)
        if target is None:
            continue
        if name in arrays:
            source = arrays[name].to(block.device)
            call("elementwise.copy_forward", target, source.data)
        else:
            call("elementwise.fill_forward", target, 0.0)
