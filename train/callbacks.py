"""What may happen between batches and epochs: the base class, early stopping, learning rates, progress."""

from __future__ import annotations

import math
import sys
import time
from typing import IO, Any

from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from .history import larger_is_better


class Callback:
    """Base: every method gets the run (`fit.Run`): model, optimizer, epoch, epochs, batches, logs, history, stop.

    `run.logs` holds the epoch's numbers once they are known; `run.stop = True` ends the fit after this epoch.
    """

    def on_fit_begin(self, run: Any) -> None: ...

    def on_epoch_begin(self, run: Any) -> None: ...

    def on_batch_end(self, run: Any) -> None: ...

    def on_epoch_end(self, run: Any) -> None: ...

    def on_fit_end(self, run: Any) -> None: ...


class EarlyStopping(Callback):
    """Stop when a quantity has not become better for `patience` epochs, and keep the best weights.

    patience      epochs without improvement that are waited for; 0 stops at the first
    min_delta     what counts as better: by more than this
    monitor       the quantity; "val_loss" when there is a validation set, else "loss"
    restore_best  put the weights of the best epoch back at the end, stopped early or not. The optimizer keeps its state
    mode          "min", "max", or by the name of the quantity

    Afterwards `best` and `best_epoch` (from 1) tell which it was, `stopped_epoch` where it ended (0: not early).
    """

    def __init__(
        self,
        patience: int = 10,
        min_delta: float = 0.0,
        *,
        monitor: str | None = None,
        restore_best: bool = True,
        mode: str = "auto",
    ):
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
            raise ValueError(f"patience: expected an integer of at least 0, got {patience!r}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta: expected at least 0, got {min_delta}")
        larger_is_better("", mode)
        self.patience, self.min_delta, self.monitor, self.mode = patience, min_delta, monitor, mode
        self.restore_best = restore_best
        self._forget()

    def _forget(self) -> None:
        self.best, self.best_epoch, self.stopped_epoch, self.waited = math.nan, 0, 0, 0
        self._weights: dict[str, Any] = {}

    def on_fit_begin(self, run):
        self._forget()

    def on_epoch_end(self, run):
        name, value = _monitored(self, run)
        if self._better(name, value):
            self.best, self.best_epoch, self.waited = value, run.epoch, 0
            if self.restore_best:
                self._keep(run.model)
            return
        self.waited += 1
        if self.waited >= max(1, self.patience):
            self.stopped_epoch, run.stop = run.epoch, True

    def _better(self, name: str, value: float) -> bool:
        if math.isnan(value):
            return False
        gain = value - self.best if larger_is_better(name, self.mode) else self.best - value
        return self.best_epoch == 0 or gain > self.min_delta

    def _keep(self, model) -> None:
        state = model.state_dict()
        if not self._weights:
            self._weights = {name: value.clone() for name, value in state.items()}
        else:
            for name, value in state.items():
                self._weights[name].copy_(value)

    def on_fit_end(self, run):
        if self._weights:
            run.model.load_state_dict(self._weights)
            self._weights = {}


def _monitored(callback: Any, run: Any) -> tuple[str, float]:
    """The quantity that a callback looks at after an epoch."""
    name = callback.monitor or ("val_loss" if "val_loss" in run.logs else "loss")
    if name not in run.logs:
        what = type(callback).__name__
        raise ValueError(f"{what}: monitor: expected one of {', '.join(run.logs)}, got {name!r}")
    return name, run.logs[name]


class Schedule(Callback):
    """A schedule of the learning rate (`optim.lr_scheduler`) takes a step after every epoch, or every batch.

    scheduler  the schedule, of the optimizer that fit is given. It goes on where it is: a second fit wants its own
    every      "epoch" or "batch"
    monitor    for `ReduceLROnPlateau`, the quantity: "val_loss" when there is a validation set, else "loss"

    >>> import numpy as np
    >>> from hotloop import nn, optim, train
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    >>> model = nn.Linear(1, 1)
    >>> sgd = optim.SGD(model.parameters(), lr=0.5)
    >>> halve = train.Schedule(optim.lr_scheduler.StepLR(sgd, step_size=2, gamma=0.5))
    >>> history = train.fit(model, nn.MSELoss(), sgd, (x, 3 * x), epochs=5, callbacks=halve, verbose=False)
    >>> sgd.param_groups[0]["lr"]
    0.125
    """

    def __init__(self, scheduler: LRScheduler, every: str = "epoch", *, monitor: str | None = None):
        if not hasattr(scheduler, "step") or not hasattr(scheduler, "optimizer"):
            raise TypeError(f"Schedule: scheduler: expected one of lr_scheduler, got {type(scheduler).__name__}")
        if every not in ("epoch", "batch"):
            raise ValueError(f"Schedule: every: expected 'epoch' or 'batch', got {every!r}")
        self.scheduler, self.every, self.monitor = scheduler, every, monitor
        self._by_value = isinstance(scheduler, ReduceLROnPlateau)
        if self._by_value and every == "batch":
            raise ValueError("Schedule: every: expected 'epoch' for ReduceLROnPlateau, got 'batch'")
        if monitor is not None and not self._by_value:
            raise ValueError(f"Schedule: monitor: expected None, since {type(scheduler).__name__} looks at no quantity")

    def on_fit_begin(self, run):
        if self.scheduler.optimizer is not run.optimizer:
            raise ValueError("Schedule: expected a schedule of the optimizer that fit is given, got another's")

    def on_batch_end(self, run):
        if self.every == "batch":
            self.scheduler.step()

    def on_epoch_end(self, run):
        if self._by_value:
            self.scheduler.step(_monitored(self, run)[1])
        elif self.every == "epoch":
            self.scheduler.step()


class TerminateOnNaN(Callback):
    """Stop when the training loss of an epoch is not a finite number."""

    def on_epoch_end(self, run):
        if not math.isfinite(run.logs["loss"]):
            run.stop = True


class Lines(Callback):
    """One plain line an epoch: for log files, and where tqdm is not installed."""

    def __init__(self, stream: IO[str] | None = None):
        self.stream = stream

    def on_epoch_begin(self, run):
        self.began = time.perf_counter()

    def on_epoch_end(self, run):
        width = len(str(run.epochs))
        seconds = time.perf_counter() - self.began
        print(
            f"epoch {run.epoch:{width}d}/{run.epochs}  {numbers(run.logs)}  {seconds:.2f} s",
            file=self.stream or sys.stdout,
            flush=True,
        )


class Bar(Callback):
    """One tqdm bar over all batches of all epochs, with the last epoch's numbers."""

    def __init__(self, stream: IO[str] | None = None):
        self.stream = stream

    def on_fit_begin(self, run):
        from tqdm import tqdm

        self.bar = tqdm(total=run.epochs * run.batches or None, file=self.stream or sys.stderr, unit="batch")

    def on_epoch_begin(self, run):
        self.bar.set_description(f"epoch {run.epoch}/{run.epochs}", refresh=False)

    def on_batch_end(self, run):
        self.bar.update()

    def on_epoch_end(self, run):
        self.bar.set_postfix_str(numbers(run.logs), refresh=False)

    def on_fit_end(self, run):
        self.bar.close()


def progress(stream: IO[str] | None = None) -> Callback:
    """A bar where tqdm is installed and the stream is a terminal, one plain line an epoch otherwise."""
    target = stream or sys.stderr
    if getattr(target, "isatty", lambda: False)():
        try:
            import tqdm  # noqa: F401
        except ImportError:
            return Lines(stream)
        return Bar(stream)
    return Lines(stream)


def numbers(logs: dict[str, float]) -> str:
    """The numbers of an epoch in one line."""
    return "  ".join(
        f"{name} {value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{name} {value:.3g}" for name, value in logs.items()
    )
