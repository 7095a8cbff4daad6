"""The base of schedules: counting, writing rates, state, and a warning when the order of steps is wrong."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any

from ...nn.doors import refuse_while_recording
from ..optimizer import Optimizer

EPOCH = (
    "scheduler.step(epoch) is deprecated, as in torch: call scheduler.step(). It jumps to that epoch, by the closed "
    "form of the schedule where there is one."
)
ORDER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`: expected the opposite order. The first value "
    "of the schedule is skipped this way."
)


class LRScheduler:
    """Base class of schedules; attributes, methods and state as torch.optim.lr_scheduler.LRScheduler.

    optimizer   whose `lr` is written; the rate of each group at the beginning is kept as its "initial_lr"
    last_epoch  number of the last step that was made, where a run is resumed without a state_dict; -1: begin

    A schedule of your own overrides `get_lr`: the rates of all groups at `self.last_epoch`.
    """

    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = checked(optimizer)
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        for i, group in enumerate(optimizer.param_groups):
            if "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    f"last_epoch {last_epoch}; expected the optimizer's state to be loaded first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        optimizer.expect_steps()
        self._initial_step()

    def _initial_step(self) -> None:
        """Write the rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rates of all groups at `last_epoch`, for `step` to write; what was written says `get_last_lr`."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr")

    def get_last_lr(self) -> list[float]:
        """The rates that the last step wrote, one a group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Write the rates of the next epoch."""
        if self._step_count == 1 and not self.optimizer.stepped:
            warnings.warn(ORDER, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            rates = getattr(self, "_get_closed_form_lr", self.get_lr)()
        self._write(rates)

    def _write(self, rates: list[float]) -> None:
        # a replay would not count: the rate would stay
        refuse_while_recording("a step of a schedule")
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer: the form of torch. Functions are left out, objects give their __dict__."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict`, here or in torch, was taken."""
        self.__dict__.update(state_dict)


def checked(optimizer) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def for_groups(name: str, optimizer: Optimizer, value: Any) -> list:
    """One value a group, from a list of as many or from one for all."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups: expected {count} values, got {len(value)}"
        )
    return list(value)


def function_state(function: Callable | None) -> dict | None:
    """What is kept of a function: nothing, unless it is an object with attributes."""
    return None if function is None or isinstance(function, types.FunctionType) else dict(function.__dict__)
