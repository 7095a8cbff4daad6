"""The loop: fit, evaluate, predict. They do what one would write by hand; batches live in buffers used over again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..nn.tape import no_grad
from ..nn.tensor import Tensor
from ..nn.utils.rnn import PackedSequence
from .callbacks import Callback, progress
from .data import DataLoader, as_dataset
from .history import History
from .metrics import Metric, as_metrics
from .penalty import penalty, weights_of


class Run:
    """What callbacks see of a fit. Epochs count from 1; `batches` an epoch is 0 where the data does not tell."""

    def __init__(self, model, optimizer, epochs: int, batches: int):
        self.model, self.optimizer, self.epochs, self.batches = model, optimizer, epochs, batches
        self.epoch, self.stop = 0, False
        self.logs: dict[str, float] = {}
        self.history = History()


def fit(
    model,
    loss: Callable[[Any, Any], Tensor],
    optimizer,
    data: Any,
    epochs: int = 1,
    *,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    drop_last: bool = False,
    validation: Any = None,
    metrics: Any = (),
    callbacks: Callback | Iterable[Callback] = (),
    l1: float = 0.0,
    l2: float = 0.0,
    verbose: bool = True,
) -> History:
    """Train `model`; gives the History: "loss", "val_loss", and each metric, with "val_" for the validation set.

    model       called with all arrays of a batch but the last
    loss        called with the model's output and the last array of a batch; gives one number
    optimizer   steps once a batch
    data        (inputs, targets), a TensorDataset, a DataLoader, or an iterable of batches
    batch_size, shuffle, seed, drop_last   as in DataLoader, for data that is not one already
    validation  likewise; evaluated after every epoch in evaluation mode, without gradients
    metrics     names ("accuracy", "top5", "mae", "rmse", "r2"), Metrics, or functions (output, target) -> number
    l1, l2      factors of sum |w| and sum w**2 over the weights (parameters of two dimensions or more), added to the
                loss that is minimised; "penalty" in the history, not part of "loss"
    verbose     progress: a tqdm bar on a terminal where it is installed, else one line an epoch

    Losses are means over samples: a batch counts by its size. Training numbers are taken while the weights change, in
    training mode. Modules are left in the mode they were in.

    >>> import numpy as np
    >>> from hotloop import nn, optim, train
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    >>> model = nn.Linear(1, 1)
    >>> sgd = optim.SGD(model.parameters(), lr=0.5)
    >>> history = train.fit(model, nn.MSELoss(), sgd, (x, 3 * x), epochs=20, seed=0, verbose=False)
    >>> abs(model.weight.item() - 3) < 1e-2
    True
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs: expected an integer of at least 0, got {epochs!r}")
    for name, object, method in (("model", model, "parameters"), ("optimizer", optimizer, "step")):
        if not hasattr(object, method):
            raise TypeError(f"{name}: expected one with {method}(), got {type(object).__name__}")
    for name, factor in (("l1", l1), ("l2", l2)):
        if not factor >= 0:
            raise ValueError(f"{name}: expected at least 0, got {factor}")
    source = _source(data, batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last)
    held_out = None if validation is None else _source(validation, batch_size)
    metrics = as_metrics(metrics)
    run = Run(model, optimizer, epochs, len(source) if hasattr(source, "__len__") else 0)
    hooks = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    for hook in hooks:
        if not isinstance(hook, Callback):
            raise TypeError(f"callbacks: expected Callbacks, got {type(hook).__name__}")
    if verbose:
        hooks.append(progress())
    with _mode(model, True):
        _tell(hooks, "on_fit_begin", run)
        try:
            while run.epoch < epochs and not run.stop:
                run.epoch += 1
                _epoch(run, loss, source, held_out, metrics, l1, l2, hooks)
        finally:
            _tell(hooks, "on_fit_end", run)
    return run.history


def _epoch(run: Run, loss, source, held_out, metrics: list[Metric], l1: float, l2: float, hooks: list) -> None:
    began = time.perf_counter()
    run.logs = {}
    run.model.train()
    _tell(hooks, "on_epoch_begin", run)
    sums = _Sums(metrics, loss)
    weights = weights_of(run.model) if l1 or l2 else []
    cost = 0.0
    for *inputs, target in _batches(source, _device(run.model)):
        run.optimizer.zero_grad()
        output = run.model(*inputs)
        value = total = _one_number(loss(output, target))
        if weights:
            extra = penalty(weights, l1, l2)
            total = value + extra
            cost += extra.item() * _samples(target)
        total.backward()
        run.optimizer.step()
        sums.add(output, target, value)
        _tell(hooks, "on_batch_end", run)
    if not sums.count:
        raise ValueError("data: expected at least one batch, got none")
    run.logs = sums.results()
    if weights:
        run.logs["penalty"] = cost / sums.count
    if held_out is not None:
        results = _evaluate(run.model, held_out, loss, metrics)
        run.logs.update({f"val_{name}": number for name, number in results.items()})
    run.history.append(run.logs, time.perf_counter() - began)
    _tell(hooks, "on_epoch_end", run)


def evaluate(
    model, data: Any, loss: Callable | None = None, metrics: Any = (), *, batch_size: int | None = 256
) -> dict[str, float]:
    """Loss (the mean over samples) and metrics of a whole set, in evaluation mode and without gradients."""
    if loss is None and not metrics:
        raise ValueError("evaluate: expected a loss or metrics, got neither")
    return _evaluate(model, _source(data, batch_size), loss, as_metrics(metrics))


def _evaluate(model, source, loss, metrics: list[Metric]) -> dict[str, float]:
    sums = _Sums(metrics, loss)
    with _mode(model, False), no_grad():
        for *inputs, target in _batches(source, _device(model)):
            output = model(*inputs)
            sums.add(output, target, None if loss is None else _one_number(loss(output, target)))
    return sums.results()


def predict(model, inputs: Any, *, batch_size: int | None = 256) -> np.ndarray:
    """The model's outputs for an array of inputs, or a tuple of arrays, as one NumPy array; in evaluation mode."""
    dataset = as_dataset(inputs)
    with _mode(model, False), no_grad():
        # an empty set is one empty batch: the model knows the shape
        batches = _batches(DataLoader(dataset, batch_size) if len(dataset) else [dataset.tensors], _device(model))
        # copies: an output may be a view of the batch, whose memory the next one uses
        outputs = [np.array(_host(model(*batch))) for batch in batches]
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


class _Sums:
    """The loss over samples, and the metrics, of what was added."""

    def __init__(self, metrics: list[Metric], loss):
        self.metrics, self.total, self.count = metrics, 0.0, 0
        self.with_loss = loss is not None
        self.summed = getattr(loss, "reduction", "mean") == "sum"
        for metric in metrics:
            metric.reset()

    def add(self, output, target, value) -> None:
        n = _samples(target)
        if value is not None:
            self.total += value.item() * (1 if self.summed else n)
        self.count += n
        if self.metrics:
            arrays = _host(output), _host(target)
            for metric in self.metrics:
                metric.update(*arrays)

    def results(self) -> dict[str, float]:
        logs = {"loss": self.total / self.count if self.count else float("nan")} if self.with_loss else {}
        return logs | {metric.name: metric.compute() for metric in self.metrics}


def _source(data: Any, batch_size: int | None, **options) -> Any:
    """Something to take batches from, again every epoch."""
    if isinstance(data, list) and data and all(isinstance(a, (np.ndarray, Tensor)) for a in data):
        data = tuple(data)
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, (tuple, np.ndarray, Tensor)) or (hasattr(data, "__getitem__") and not isinstance(data, list)):
        return DataLoader(data, batch_size, **options)
    if isinstance(data, Iterable) and not isinstance(data, (Iterator, str)):
        return data
    raise TypeError(
        f"data: expected arrays, a dataset, a DataLoader or an iterable of batches that can begin again, "
        f"got {type(data).__name__}"
    )


def _batches(source: Any, device: str) -> Iterator[Sequence[Any]]:
    # nothing here outlives its batch, so that one set of buffers serves all
    for batch in source.batches(reuse=True) if isinstance(source, DataLoader) else source:
        if not isinstance(batch, (tuple, list)):
            raise TypeError(f"data: expected batches that are tuples of arrays, got a {type(batch).__name__}")
        tensors = [a if isinstance(a, (Tensor, PackedSequence)) else Tensor(np.asarray(a)) for a in batch]
        yield [t.to(device) for t in tensors]


def _device(model) -> str:
    return next((p.device for p in model.parameters()), "cpu")


def _host(value) -> np.ndarray:
    return value.detach().to("cpu").numpy() if isinstance(value, Tensor) else np.asarray(value)


def _samples(target) -> int:
    return target.shape[0] if target.shape else 1


def _one_number(value: Any) -> Any:
    if not isinstance(value, Tensor):
        raise TypeError(f"loss: expected a Tensor, got {type(value).__name__}")
    if value.numel() != 1:
        raise ValueError(f"loss: expected one number a batch, got shape {value.shape}; use reduction 'mean'")
    return value


def _tell(hooks: list[Callback], what: str, run: Run) -> None:
    for hook in hooks:
        getattr(hook, what)(run)


@contextmanager
def _mode(model, training: bool):
    """Training or evaluation mode for a while; every module gets its own mode back."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode
