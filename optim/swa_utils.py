"""Averages of weights over training, by torch.optim.swa_utils' names: EMA and SWA, and the schedule that goes with it.

average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
for batch in batches:
    optimizer.step()
    average.update_parameters(model)
update_bn(loader, average)
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from ..nn.batch_norm import _BatchNorm
from ..nn.creation import zeros
from ..nn.doors import call, refuse_while_recording
from ..nn.dtypes import int64, is_floating
from ..nn.module import Module
from ..nn.tape import no_grad
from ..nn.tensor import Tensor
from .lr_scheduler.base import LRScheduler, for_groups
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, int], Tensor]
MultiAverage = Callable[[list[Tensor], list[Tensor], int], None]


def _decay(decay: float) -> float:
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
    return decay


def _uncounted(average: Any) -> Any:
    """Marked as one that does not ask how many were averaged before: a recorded step may have it."""
    average.uncounted = True
    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """average = average + (1 - decay) * (current - average), in place, for lists of tensors."""
    weight = 1 - _decay(decay)
    return _uncounted(lambda averaged, current, num_averaged: _towards(averaged, current, weight))


def get_swa_multi_avg_fn() -> MultiAverage:
    """average = average + (current - average) / (num_averaged + 1), in place, for lists of tensors."""
    return lambda averaged, current, num_averaged: _towards(averaged, current, 1 / (num_averaged + 1))


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay * average + (1 - decay) * current"""
    _decay(decay)
    return _uncounted(lambda averaged, current, num_averaged: decay * averaged + (1 - decay) * current)


def get_swa_avg_fn() -> Average:
    """average + (current - average) / (num_averaged + 1)"""
    return lambda averaged, current, num_averaged: averaged + (current - averaged) / (num_averaged + 1)


def _towards(averaged: list[Tensor], current: list[Tensor], weight: float) -> None:
    """One pass over each: 12 bytes a float32 element."""
    for a, b in zip(averaged, current, strict=True):
        call("select.lerp_forward", a.data, a.data, b.data, weight)
        a._version[0] += 1


class AveragedModel(Module):
    """A copy of a model whose parameters are an average of the model's; as torch.optim.swa_utils.AveragedModel.

    avg_fn        (average, current, count) -> the new average of one tensor
    multi_avg_fn  (averages, currents, count) that changes a list of averages; without either: the mean of all (SWA)
    use_buffers   average the buffers, too, rather than copying the model's; those that are no floats are copied

    Calls go to the copy, `module`. Buffer: n_averaged, how often `update_parameters` was called.

    >>> from hotloop import nn, optim
    >>> model = nn.Linear(2, 1)
    >>> average = optim.swa_utils.AveragedModel(model)
    >>> average.update_parameters(model)
    >>> average.n_averaged.item()
    1
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("Only one of avg_fn and multi_avg_fn should be provided, got both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", zeros((), dtype=int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the average; the first time they become it."""
        count = int(self.n_averaged.item())
        if not (count and getattr(self.avg_fn or self.multi_avg_fn, "uncounted", False)):
            refuse_while_recording("the first update of an average, and any of one that counts its updates (SWA),")
        averaged, current, copied = [], [], []
        for a, b, average in self._pairs(model):
            b = b.detach().to(a.device)
            if average and count and is_floating(a.dtype):
                averaged.append(a.detach())
                current.append(b)
            else:
                copied.append((a.detach(), b))
        with no_grad():
            for a, b in copied:
                a.copy_(b)
            if self.avg_fn is not None:
                for a, b in zip(averaged, current, strict=True):
                    a.copy_(self.avg_fn(a, b, count))
            elif averaged:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(averaged, current, count)
            self.n_averaged.fill_(count + 1)

    def _pairs(self, model: Module) -> Iterable[tuple[Tensor, Tensor, bool]]:
        """(ours, the model's, whether it is averaged)"""
        parameters = zip(self.module.parameters(), model.parameters(), itertools.repeat(True), strict=False)
        buffers = zip(self.module.buffers(), model.buffers(), itertools.repeat(self.use_buffers), strict=False)
        return itertools.chain(parameters, buffers)


def update_bn(loader: Iterable, model: Module, device: Any = None) -> None:
    """Measure the statistics of batch norms anew: one pass over `loader`; as torch.optim.swa_utils.update_bn.

    The input is a batch, or the first of a tuple or list.
    """
    norms = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not norms:
        return
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        # the mean of all batches
        norm.momentum = None
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for norm, momentum in norms.items():
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """lr goes from what it is to swa_lr in anneal_epochs steps, and stays there; as torch.optim.swa_utils.SWALR.

    lr[t] = alpha[t] * swa_lr + (1 - alpha[t]) * lr[0];   alpha[t] = x or (1 - cos(pi * x)) / 2,  x = t / anneal_epochs
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        rates = for_groups("swa_lr", optimizer, swa_lr)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = lr
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _alpha(self, step: int) -> float:
        x = max(0, min(1, step / max(1, self.anneal_epochs)))
        return x if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * x)) / 2

    def get_lr(self):
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._alpha(step - 1), self._alpha(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            begin = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            rates.append(end * now + begin * (1 - now))
        return rates
