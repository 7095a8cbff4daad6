"""What a fit has seen: one list of numbers for each quantity."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping


class History(Mapping):
    """Quantities by name ("loss", "val_loss", "accuracy" ...), each a list with one number an epoch.

    >>> from hotloop.train import History
    >>> history = History()
    >>> history.append({"loss": 0.5})
    >>> history.append({"loss": 0.25})
    >>> history["loss"], history.best("loss")
    ([0.5, 0.25], (2, 0.25))
    """

    def __init__(self):
        self.history: dict[str, list[float]] = {}
        self.epochs = 0
        self.seconds: list[float] = []

    def append(self, row: Mapping[str, float], seconds: float = math.nan) -> None:
        """One more epoch; a quantity that an epoch lacks is NaN there."""
        for name in row:
            self.history.setdefault(name, [math.nan] * self.epochs)
        for name, values in self.history.items():
            values.append(float(row.get(name, math.nan)))
        self.seconds.append(seconds)
        self.epochs += 1

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.history:
            raise KeyError(f"{name}; there is {', '.join(self.history) or 'nothing yet'}")
        return self.history[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def __len__(self) -> int:
        return len(self.history)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"History({self.epochs} epochs{': ' + last if last else ''})"

    def best(self, name: str, mode: str = "auto") -> tuple[int, float]:
        """(epoch, value) of the best value, epochs counted from 1; mode "min", "max", or by the name."""
        values = [(v, i) for i, v in enumerate(self[name], 1) if not math.isnan(v)]
        if not values:
            raise ValueError(f"{name}: expected a number in {self.epochs} epochs, got none")
        value, epoch = max(values, key=lambda pair: pair[0]) if larger_is_better(name, mode) else min(values)
        return epoch, value

    def plot(self, path: str | os.PathLike, title: str | None = None) -> None:
        """Draw every quantity against the epoch, training and validation in one panel, into an image file."""
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install matplotlib") from error
        names = [n for n in self.history if not n.startswith("val_") or n[4:] not in self.history]
        if not names:
            raise ValueError("History.plot: expected at least one epoch, got none")
        figure = Figure(figsize=(5 * len(names), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        epochs = range(1, self.epochs + 1)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self.history:
                    axes.plot(epochs, self.history[key], label=label, marker="." if self.epochs < 30 else None)
            axes.set(xlabel="epoch", ylabel=name)
            axes.grid(alpha=0.3)
            if f"val_{name}" in self.history:
                axes.legend()
        if title:
            figure.suptitle(title)
        figure.savefig(path, dpi=120)


def larger_is_better(name: str, mode: str = "auto") -> bool:
    """The direction of a quantity: as `mode` says ("min" or "max"), or by its name."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
    if mode != "auto":
        return mode == "max"
    return any(part in name for part in ("accuracy", "top", "r2"))
