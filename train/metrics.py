"""Metrics that are exact over a whole set, whatever its batches: sums and counts are kept, not means of means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .data import as_array


class Metric:
    """Base: `reset()`, `update(output, target)` for every batch, `compute()` at the end."""

    name = "metric"

    def reset(self) -> None:
        """Begin anew."""

    def update(self, output: np.ndarray, target: np.ndarray) -> None:
        raise NotImplementedError(f"{type(self).__name__} is missing update(output, target)")

    def compute(self) -> float:
        raise NotImplementedError(f"{type(self).__name__} is missing compute()")

    def __call__(self, output: Any, target: Any) -> float:
        """The metric of one set."""
        self.reset()
        self.update(as_array("output", output), as_array("target", target))
        return self.compute()


class _Ratio(Metric):
    """A sum over a count, kept in Python integers and float64."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self.total: float = 0
        self.count = 0

    def compute(self) -> float:
        return self.total / self.count if self.count else float("nan")


class TopK(_Ratio):
    """Part of the samples whose class is among the k largest of `output` (N, C, ...); target (N, ...) class indices.

    Of equal scores the lower class counts as the larger. Targets equal to `ignore_index` do not count.
    """

    def __init__(self, k: int = 5, *, ignore_index: int = -100):
        super().__init__()
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"TopK: expected a positive integer k, got {k!r}")
        self.k, self.ignore_index, self.name = k, ignore_index, f"top{k}"

    def update(self, output, target):
        if output.ndim < 2 or target.shape != output.shape[:1] + output.shape[2:]:
            raise ValueError(
                f"{self.name}: expected output (N, C, ...) and target (N, ...), got {output.shape} and {target.shape}"
            )
        if target.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: expected integer class indices, got {target.dtype}")
        scores = np.moveaxis(output, 1, -1).reshape(-1, output.shape[1])
        target = target.reshape(-1)
        counted = target != self.ignore_index
        scores, target = scores[counted], target[counted].astype(np.int64)
        classes = scores.shape[1]
        if target.size and not (0 <= target.min() and target.max() < classes):
            raise ValueError(f"{self.name}: expected classes 0 .. {classes - 1}, got {target.min()} .. {target.max()}")
        own = np.take_along_axis(scores, target[:, None], axis=1)
        # a score that is NaN is never among the largest, and NaN elsewhere is ahead of it
        ahead = ~(scores <= own) | ((scores == own) & (np.arange(classes) < target[:, None]))
        self.total += int(np.count_nonzero(ahead.sum(axis=1) < self.k))
        self.count += target.size


class Accuracy(TopK):
    """Part of the samples that are classified right.

    output (N, C, ...) scores, target (N, ...) class indices or of the shape of output (probabilities, one-hot); or,
    with a threshold, output and target of one shape: 1 where output > threshold (0 for logits, 0.5 for probabilities).
    """

    def __init__(self, threshold: float | None = None, *, ignore_index: int = -100):
        super().__init__(1, ignore_index=ignore_index)
        self.threshold, self.name = threshold, "accuracy"

    def update(self, output, target):
        if self.threshold is not None:
            if target.size != output.size:
                raise ValueError(f"accuracy: expected target of shape {output.shape}, got {target.shape}")
            right = (output.reshape(-1) > self.threshold) == (target.reshape(-1) > 0.5)
            self.total += int(np.count_nonzero(right))
            self.count += right.size
            return
        if output.ndim < 2 or (output.ndim == 2 and output.shape[1] == 1):
            raise ValueError(
                f"accuracy: expected output (N, C, ...) with scores of C classes, got {output.shape}; "
                "for two classes give a threshold: Accuracy(threshold=0) for logits, 0.5 for probabilities"
            )
        super().update(output, target.argmax(axis=1) if target.shape == output.shape else target)


class MAE(_Ratio):
    """Mean absolute error over all elements."""

    name = "mae"

    def update(self, output, target):
        self.total += float(np.abs(_difference(self.name, output, target)).sum())
        self.count += output.size


class MSE(_Ratio):
    """Mean squared error over all elements."""

    name = "mse"

    def update(self, output, target):
        self.total += float(np.square(_difference(self.name, output, target)).sum())
        self.count += output.size


class RMSE(MSE):
    """Root of the mean squared error over all elements."""

    name = "rmse"

    def compute(self) -> float:
        return float(np.sqrt(super().compute()))


class R2(Metric):
    """1 - (squared error) / (squared deviation of the target from its mean), a mean over the columns of (N, ...).

    A column whose target is constant counts 1 when it is met exactly and 0 otherwise, as in scikit-learn.
    """

    name = "r2"

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self.error: Any = 0.0
        self.mean: Any = 0.0
        self.deviation: Any = 0.0

    def update(self, output, target):
        difference = _difference(self.name, output, target)
        n = len(difference)
        if not n:
            return
        target = target.astype(np.float64).reshape(n, -1)
        mean = target.mean(axis=0)
        # means and deviations of two sets merge exactly (Chan et al. 1979); sums of squares would cancel
        shift = mean - self.mean
        total = self.count + n
        self.deviation = self.deviation + np.square(target - mean).sum(axis=0) + shift**2 * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.error = self.error + np.square(difference.reshape(n, -1)).sum(axis=0)
        self.count = total

    def compute(self) -> float:
        if self.count < 2:
            return float("nan")
        constant = self.deviation == 0
        ratio = np.where(constant, self.error != 0, self.error / np.where(constant, 1, self.deviation))
        return float(np.mean(1 - ratio))


class Function(Metric):
    """A function of the outputs and targets of the whole set."""

    def __init__(self, function: Callable[[np.ndarray, np.ndarray], float]):
        self.function, self.name = function, getattr(function, "__name__", "metric")
        self.reset()

    def reset(self) -> None:
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def update(self, output, target):
        self.seen.append((output.copy(), target.copy()))

    def compute(self) -> float:
        if not self.seen:
            return float("nan")
        outputs, targets = zip(*self.seen, strict=True)
        return float(self.function(np.concatenate(outputs), np.concatenate(targets)))


NAMED: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "top5": TopK,
    "mae": MAE,
    "mse": MSE,
    "rmse": RMSE,
    "r2": R2,
}


def as_metrics(metrics: Any) -> list[Metric]:
    """Metrics from names, classes, instances and functions, one or several."""
    if isinstance(metrics, (str, Metric)) or callable(metrics):
        metrics = [metrics]
    out = []
    for metric in metrics:
        if isinstance(metric, str):
            if metric not in NAMED and not (metric.startswith("top") and metric[3:].isdigit()):
                raise ValueError(f"metrics: expected one of {', '.join(NAMED)} or a Metric, got {metric!r}")
            out.append(NAMED[metric]() if metric in NAMED else TopK(int(metric[3:])))
        elif isinstance(metric, type) and issubclass(metric, Metric):
            out.append(metric())
        elif isinstance(metric, Metric):
            out.append(metric)
        elif callable(metric):
            out.append(Function(metric))
        else:
            raise TypeError(f"metrics: expected a name, a Metric or a function, got {type(metric).__name__}")
    return out


def _difference(name: str, output: np.ndarray, target: np.ndarray) -> np.ndarray:
    if output.shape != target.shape:
        raise ValueError(f"{name}: expected output and target of one shape, got {output.shape} and {target.shape}")
    return output.astype(np.float64) - target
