"""The base of every optimizer: groups, state, and a step that is one kernel call for each run of parameters.

An optimizer that is one pass over flat arrays is a subclass that says what its kernel takes:

    kernel       "sgd.sgd_update": called as kernel(param, *states, grad, *counters, hyper, *flags)
    rows_kernel  the same for a table with a SparseGradient, whose rows and values stand in place of grad
    hyper        the options that are numbers, in the order of the kernel's `hyper` array; ("lr", "betas", "eps")
    counters     numbers kept for each parameter and advanced by the kernel, with their first values: {"step": 0.0}
    states       (group) -> the kinds of state, in the kernel's order; None: the kernel gets a size-0 array
    flags        (group) -> the last arguments, bools that hold for a whole group
    alike        (counters of a parameter) -> what neighbours must have in common to be updated by one call
    check        (group) -> raises ValueError for options out of range

A counter whose name begins with "_" stays out of the state_dict. A rule for whole matrices, or one with state of other
shapes than the parameter's (`state_shape`), makes its kernel calls in `_plan`; others override `_update` or `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Unpack

from ..nn.doors import call
from ..nn.dtypes import is_floating
from ..nn.lazy import is_lazy
from ..nn.sparse import SparseGradient
from ..nn.tape import enable_grad
from ..nn.tensor import Tensor
from . import shaping, state_dict
from .block import Block
from .group import ParamGroup
from .rows import RowBlock
from .shaping import Shaping


class Optimizer:
    """Base class of optimizers; attributes, methods and messages as torch.optim.Optimizer.

    params    parameters; or (name, parameter) pairs; or dicts of "params" and options for these: one group each
    defaults  options of groups that do not set their own
    more      of clipping, penalties and constraints: see optim/shaping.py
    """

    kernel: ClassVar[str]
    rows_kernel: ClassVar[str] = ""
    hyper: ClassVar[tuple[str, ...]] = ("lr",)
    counters: ClassVar[dict[str, float]] = {"step": 0.0}
    # whether the kernel does what shaping.py says to the gradient
    shaped: ClassVar[bool] = False
    # whether there was a step since the first schedule was attached
    stepped = False
    _scheduled = False
    # whether some group limits the norm of gradients
    _normed = False

    def __init__(self, params: Iterable, defaults: dict[str, Any], **more: Unpack[Shaping]):
        if isinstance(params, (Tensor, dict)):
            got = type(params).__name__
            raise TypeError(f"params: expected an iterable of parameters or of dicts, got a {got}")
        self.defaults = {**defaults, **shaping.given(dict(more))}
        self.param_groups: list[ParamGroup] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list; expected at least one parameter")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    # ---- what a rule says about itself

    @staticmethod
    def states(group: dict) -> tuple[str | None, ...]:
        return ()

    @staticmethod
    def flags(group: dict) -> tuple[bool, ...]:
        return ()

    @staticmethod
    def alike(counts: tuple[float, ...]) -> Any:
        return counts

    @staticmethod
    def state_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape of one kind of state of a parameter; None: it has none of this kind."""
        return shape

    @staticmethod
    def check(group: dict) -> None:
        """Raise ValueError for options that are out of range."""

    # ---- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize more parameters, with options of their own; those that are not given come from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group: expected a dict, got {type(param_group).__name__}")
        parameters, names = _parameters_of(param_group)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if any(id(p) in known for p in parameters):
            raise ValueError("some parameters appear in more than one parameter group; expected each in one")
        options = {**self.defaults, **param_group, "params": parameters}
        if names:
            options["param_names"] = names
        if self.param_groups and ("param_names" in self.param_groups[0]) != bool(names):
            now, then = ("with", "without") if names else ("without", "with")
            raise ValueError(f"all groups are expected {then} names, as the first is; got a group {now} names")
        # the order of torch: params first, then options
        options = {"params": parameters, **options}
        group = ParamGroup(options, type(self))
        self.check(group)
        shaping.check(group, type(self))
        self.param_groups.append(group)
        self._lay(group)

    def _lay(self, group: ParamGroup) -> None:
        """Divide a group into blocks by dtype and device, and carry over what the old blocks kept."""
        together: dict[tuple, list] = {}
        tables = []
        group.pending = [p for p in group["params"] if is_lazy(p)]
        for p in group["params"]:
            # an integer parameter has no gradient
            if is_lazy(p) or not is_floating(p._data.dtype):
                continue
            if self._by_rows(p):
                tables.append(p)
            else:
                together.setdefault((p._data.dtype, p.device), []).append(p)
        kept = {id(p): (block, i) for block in group.blocks for i, p in enumerate(block.parameters)}
        group.blocks = [Block(parameters, self.counters, self.state_shape) for parameters in together.values()]
        group.blocks += [RowBlock([p], self.counters, self.state_shape) for p in tables]
        for block in group.blocks:
            for i, p in enumerate(block.parameters):
                if id(p) in kept:
                    block.take(i, *kept[id(p)])

    def _by_rows(self, parameter: Tensor) -> bool:
        """Whether a parameter's gradients are, or when there is none will be, SparseGradients that the rule can use."""
        if not self.rows_kernel:
            return False
        if parameter._has_grad:
            return type(parameter._grad_buffer) is SparseGradient
        return getattr(parameter, "_by_rows", False)

    def _refuse(self, sparse: bool) -> None:
        """Raise for a gradient of a kind that the rule cannot use."""
        if sparse and not self.rows_kernel:
            name = type(self).__name__
            raise RuntimeError(f"{name} does not support sparse gradients, please consider SparseAdam or SGD instead")

    def _refresh(self, group: ParamGroup) -> None:
        """Bring blocks and runs up to date with where the parameters are and which of them have gradients."""
        for p in group["params"]:
            if p._has_grad:
                self._refuse(type(p._grad_buffer) is SparseGradient)
        if not all(map(is_lazy, group.pending)) or any(block.moved() for block in group.blocks):
            self._lay(group)
        self._normed = any(map(shaping.normed, self.param_groups))
        states, flags = group.layout()
        for block in group.blocks:
            if block.stale():
                self._plan(group, block, states, flags)

    def _plan(self, group: ParamGroup, block: Block, states: tuple, flags: tuple) -> None:
        """Make the kernel calls of a block's step."""
        if type(block) is RowBlock and shaping.numbers(group):
            names = ", ".join(name for name in shaping.NUMBERS if group.get(name))
            raise ValueError(f"sparse gradients do not support {names}; clip them with nn.utils before the step")
        block.plan(states, group.hyper_on(block.device), flags, self.alike)

    # ---- the step

    def step(self, closure: Callable[[], Any] | None = None, *, zero_grad: bool = False) -> Any:
        """Update every parameter that has a gradient; gives what `closure` (which computes the loss anew) returned.

        zero_grad  then drop the gradients, as `zero_grad()` does; without it `.grad` can be read after the step
        """
        self.stepped = True
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            stale = bool(group.pending)
            for block in group.blocks:
                stale = stale or block.stale()
            if stale:
                self._refresh(group)
        if self._normed:
            shaping.clip_norm(self.param_groups)
        for group in self.param_groups:
            for block in group.blocks:
                self._update(group, block)
                for version in block.versions:
                    version[0] += 1
            if group.get("constraint") is not None:
                shaping.constrain(group)
        if zero_grad:
            self.zero_grad()
        return loss

    def expect_steps(self) -> None:
        """Called by schedules: the first one wants to know whether there is a step before its own."""
        if not self._scheduled:
            self._scheduled, self.stepped = True, False

    def _update(self, group: ParamGroup, block: Block) -> None:
        kernel = self.kernel if type(block) is Block else self.rows_kernel
        for run in block.runs:
            call(kernel, *run)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients; with `set_to_none=False` fill those that exist with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                else:
                    p._zero_gradient()

    # ---- state

    @property
    def state(self) -> dict:
        """What is kept for each parameter that has been updated, by parameter and name: views, as Tensors."""
        return state_dict.by_parameter(self)

    def state_dict(self) -> dict[str, Any]:
        """The state by position of the parameter, and the options of the groups: the form of torch.optim.

        The Tensors share memory with the optimizer; copy what has to outlive the next step.
        """
        return state_dict.collect(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy a state that `state_dict`, here or in torch.optim, gave; all of it or, when it does not fit, nothing."""
        state_dict.load(self, state)

    def _load_state(self, state: Mapping[int, Mapping[str, Any]], options: list[dict] | None = None) -> None:
        """Take a state by position and, where given, the options of each group; raises before anything is changed."""
        state_dict.load_state(self, state, options)

    def __getstate__(self) -> dict[str, Any]:
        attributes = {k: v for k, v in self.__dict__.items() if k != "param_groups"}
        return {**attributes, "param_groups": [dict(g) for g in self.param_groups], "state": self.state_dict()["state"]}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        groups, state = saved.pop("param_groups"), saved.pop("state")
        self.__dict__.update(saved)
        self.param_groups = [ParamGroup(group, type(self)) for group in groups]
        for group in self.param_groups:
            self._lay(group)
        self._load_state(state)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines.extend(f"    {key}: {group[key]}" for key in sorted(group) if key != "params")
        return "\n".join(lines) + "\n)"


def _parameters_of(group: dict[str, Any]) -> tuple[list, list[str]]:
    """The parameters of a group, checked, and their names if they came with names."""
    if "params" not in group:
        raise ValueError(f"param_group: expected a 'params' entry, got {sorted(group)}")
    given = group["params"]
    if isinstance(given, Tensor):
        given = [given]
    if isinstance(given, (set, frozenset)):
        raise TypeError("params: expected an ordered collection, got a set: its order changes between runs")
    given = list(given)
    names = [entry[0] for entry in given if isinstance(entry, tuple)]
    if names and len(names) != len(given):
        raise ValueError(f"params: expected names for all parameters or none, got {len(names)} for {len(given)}")
    parameters = [entry[1] if isinstance(entry, tuple) else entry for entry in given]
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"optimizer can only optimize Parameters; one of the params is a {type(p).__name__}")
        if not p.is_leaf:
            raise ValueError("can't optimize a non-leaf Tensor; expected a Parameter or another leaf")
    if len({id(p) for p in parameters}) != len(parameters):
        raise ValueError("a parameter appears twice in a parameter group; expected each once")
    return parameters, names
