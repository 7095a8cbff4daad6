"""Lookahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..nn.doors import call, lasting
from ..nn.dtypes import is_floating
from ..nn.lazy import is_lazy
from ..nn.state_dict import as_tensor
from ..nn.tensor import Tensor
from .group import ParamGroup
from .optimizer import Optimizer


class Lookahead(Optimizer):
    """Another optimizer's steps, and every k of them a step of its own towards where these led; torch.optim has none.

    p[t,0] = s[t];   p[t,i+1] = the optimizer's step from p[t,i];   s[t+1] = s[t] + alpha * (p[t,k] - s[t])

    The parameters are p; the slow weights s are kept from the beginning of a cycle to its end, where p becomes s.
    Groups, their options and the state of parameters are the wrapped optimizer's, and schedules may be given either;
    there is no eps. The state_dict is {"optimizer": its state_dict, "count": steps made in this cycle, "slow": s by
    position}.

    Source: Zhang et al. 2019, "Lookahead Optimizer: k steps forward, 1 step back".

    >>> from hotloop import nn, optim
    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.Lookahead(optim.Adam(model.parameters(), lr=0.01), k=5, alpha=0.5)
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"Lookahead: expected an Optimizer to wrap, got a {type(optimizer).__name__}")
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"Invalid k value: {k!r}; expected a whole number >= 1")
        if not 0 <= alpha <= 1:
            raise ValueError(f"Invalid alpha value: {alpha}; expected 0 <= alpha <= 1")
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        # steps made in this cycle, and the slow weights of each parameter that had memory when it began
        self.count = 0
        self._slow: dict[int, Any] = {}

    @property
    def param_groups(self) -> list[ParamGroup]:  # type: ignore[override]  # the wrapped optimizer's
        return self.optimizer.param_groups

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        return self.optimizer.defaults

    @property
    def state(self) -> dict:
        return self.optimizer.state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize more parameters; they join at the beginning of the next cycle."""
        self.optimizer.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None, *, zero_grad: bool = False) -> Any:
        """A step of the optimizer, and of the slow weights when a cycle ends; gives what `closure` returned."""
        self.stepped = True
        if self.count == 0:
            self._begin()
        loss = self.optimizer.step(closure, zero_grad=zero_grad)
        self.count += 1
        if self.count == self.k:
            self._end()
        return loss

    def _parameters(self) -> list:
        return [p for group in self.param_groups for p in group["params"]]

    def _begin(self) -> None:
        for i, p in enumerate(self._parameters()):
            if not is_lazy(p) and is_floating(p._data.dtype):
                self._keep(i, p, p._data)

    def _keep(self, i: int, p: Any, values: Any) -> None:
        slow = self._slow.get(i)
        if slow is None or (slow.shape, slow.dtype) != (p._data.shape, p._data.dtype):
            slow = self._slow[i] = lasting(p._data.shape, p._data.dtype, p.device)
        call("elementwise.copy_forward", slow, values)

    def _end(self) -> None:
        self.count = 0
        for i, p in enumerate(self._parameters()):
            if i in self._slow:
                if self._slow[i].dtype != p._data.dtype:
                    self._keep(i, p, self._slow[i])
                call("select.lerp_forward", p._data, self._slow[i], p._data, self.alpha)
                p._version[0] += 1

    def state_dict(self) -> dict[str, Any]:
        slow = {i: Tensor(array) for i, array in self._slow.items()} if self.count else {}
        return {"optimizer": self.optimizer.state_dict(), "count": self.count, "slow": slow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; k and alpha stay those of the constructor."""
        if not isinstance(state, Mapping) or not {"optimizer", "count", "slow"} <= set(state):
            got = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"state_dict: expected a dict of 'optimizer', 'count' and 'slow', got {got}")
        parameters = self._parameters()
        slow = {i: as_tensor(f"slow {i}", value) for i, value in state["slow"].items()}
        for i, value in slow.items():
            if i >= len(parameters) or tuple(value.shape) != tuple(parameters[i].shape):
                expected = tuple(parameters[i].shape) if i < len(parameters) else f"{len(parameters)} parameters"
                raise ValueError(f"slow weights {i}: expected {expected}, got {tuple(value.shape)}")
        self.optimizer.load_state_dict(state["optimizer"])
        self._slow = {}
        for i, value in slow.items():
            self._keep(i, parameters[i], value.to(parameters[i].device).data)
        self.count = int(state["count"])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)

    def __repr__(self) -> str:
        return f"Lookahead (k: {self.k}, alpha: {self.alpha})\n{self.optimizer!r}"
