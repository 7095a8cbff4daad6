"""train/callbacks.py: stopping early with the best weights, schedules, and what progress prints where."""

import builtins
import io
import math

import numpy as np
import pytest
from helpers import same
from hotloop import nn, optim, train
from hotloop.nn.tape import no_grad
from hotloop.train.callbacks import numbers, progress


class Scripted(train.Callback):
    """Writes the epoch's number into the weights and a value from a list into the logs."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = values, name

    def on_epoch_end(self, run):
        with no_grad():
            run.model.weight.data = np.full((1, 1), run.epoch, np.float32)
        run.logs[self.name] = self.values[run.epoch - 1]


def fit(callbacks, epochs=10, **options):
    model = nn.Linear(1, 1)
    x = np.ones((4, 1), np.float32)
    options = {"verbose": False, **options}
    history = train.fit(
        model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0), (x, x), epochs, callbacks=callbacks, **options
    )
    return model.weight.item(), history


CURVE = [5.0, 3, 4, 3.5, 2.95, 6, 6, 6, 6, 6]


@pytest.mark.parametrize(
    "options, best, stopped",
    [
        ({"patience": 3}, 5, 8),
        ({"patience": 2}, 2, 4),
        ({"patience": 3, "min_delta": 0.1}, 2, 5),
        ({"patience": 0}, 2, 3),
        ({"patience": 1}, 2, 3),
        ({"patience": 99}, 5, 0),
    ],
)
def test_early_stopping(options, best, stopped):
    callback = train.EarlyStopping(**options)
    weight, history = fit([Scripted(CURVE), callback])
    assert (callback.best_epoch, callback.best, callback.stopped_epoch) == (best, CURVE[best - 1], stopped)
    assert weight == best and history.epochs == (stopped or 10)


def test_keeps_the_last_weights_when_asked():
    callback = train.EarlyStopping(3, restore_best=False)
    assert fit([Scripted(CURVE), callback])[0] == 8


@pytest.mark.parametrize("options", [{"monitor": "val_accuracy"}, {"monitor": "score", "mode": "max"}])
def test_larger_may_be_better(options):
    callback = train.EarlyStopping(2, **options)
    weight, _ = fit([Scripted([1, 3, 2, 2, 9, 9, 9, 9, 9, 9], options["monitor"]), callback])
    assert weight == 2 and callback.stopped_epoch == 4


def test_nan_is_no_improvement():
    callback = train.EarlyStopping(2)
    nan = math.nan
    weight, _ = fit([Scripted([nan, 3, nan, nan, 1, 1, 1, 1, 1, 1]), callback])
    assert weight == 2 and callback.stopped_epoch == 4


def test_serves_a_second_fit():
    callback = train.EarlyStopping(1)
    fit([Scripted([1, 2]), callback], 2)
    weight, _ = fit([Scripted([9, 8, 9]), callback], 3)
    assert weight == 2 and callback.best == 8


def test_restores_buffers_and_leaves_the_optimizer_usable():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(np.ones((1, 1), np.float32))
            self.register_buffer("seen", nn.Tensor(np.zeros(1, np.float32)))

        def forward(self, x):
            if self.training:
                self.seen.data = np.asarray(self.seen) + 1
            return x * self.weight

    model = Counting()
    sgd = optim.SGD(model.parameters(), lr=0.1)
    x = np.ones((4, 1), np.float32)
    callbacks = [Scripted([1, 2, 3]), train.EarlyStopping(9)]
    train.fit(model, nn.MSELoss(), sgd, (x, 0 * x), 3, callbacks=callbacks, verbose=False)
    assert model.seen.item() == 1 and model.weight.item() == 1
    train.fit(model, nn.MSELoss(), sgd, (x, 0 * x), 1, verbose=False)
    assert model.weight.item() < 1


def test_refuses():
    with pytest.raises(ValueError, match="patience"):
        train.EarlyStopping(-1)
    with pytest.raises(ValueError, match="min_delta"):
        train.EarlyStopping(1, -1)
    with pytest.raises(ValueError, match="mode"):
        train.EarlyStopping(1, mode="best")
    with pytest.raises(ValueError, match="monitor: expected one of loss, got 'val_los'"):
        fit(train.EarlyStopping(1, monitor="val_los"))


class Rates(train.Callback):
    """The learning rate of every batch."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, run):
        self.seen.append(run.optimizer.param_groups[0]["lr"])


def rates(make, *options, epochs=4, scripted=(), **named):
    model, seen = nn.Linear(1, 1), Rates()
    x = np.ones((4, 1), np.float32)
    sgd = optim.SGD(model.parameters(), lr=1.0)
    callbacks = [seen, *scripted, train.Schedule(make(sgd), *options, **named)]
    train.fit(model, nn.MSELoss(), sgd, (x, x), epochs, batch_size=2, callbacks=callbacks, verbose=False)
    return seen.seen


def test_schedules(recwarn):
    def halve(sgd):
        return optim.lr_scheduler.ExponentialLR(sgd, 0.5)

    assert rates(halve) == rates(halve, "epoch") == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert rates(halve, "batch", epochs=2) == [1, 0.5, 0.25, 0.125]
    assert not recwarn


@pytest.mark.parametrize("monitor", [None, "score"])
def test_schedule_by_a_quantity(monitor):
    def plateau(sgd):
        return optim.lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=0)

    script = Scripted([3, 4, 2, 2, 1], monitor or "val_loss")
    assert rates(plateau, epochs=5, scripted=[script], monitor=monitor)[::2] == [1, 1, 0.5, 0.5, 0.25]
    with pytest.raises(ValueError, match="Schedule: monitor: expected one of loss, got 'score'"):
        rates(plateau, monitor="score")


def test_schedule_refuses():
    sgd = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    step, plateau = optim.lr_scheduler.StepLR(sgd, 1), optim.lr_scheduler.ReduceLROnPlateau(sgd)
    with pytest.raises(TypeError, match="scheduler: expected one of lr_scheduler, got SGD"):
        train.Schedule(sgd)
    with pytest.raises(ValueError, match="every: expected 'epoch' or 'batch', got 'step'"):
        train.Schedule(step, "step")
    with pytest.raises(ValueError, match="every: expected 'epoch' for ReduceLROnPlateau"):
        train.Schedule(plateau, "batch")
    with pytest.raises(ValueError, match="StepLR looks at no quantity"):
        train.Schedule(step, monitor="loss")
    with pytest.raises(ValueError, match="of the optimizer that fit is given"):
        fit(train.Schedule(step))


def test_terminates_on_nan():
    class Broken(train.Callback):
        def on_epoch_begin(self, run):
            if run.epoch == 3:
                with no_grad():
                    run.model.weight.data = np.full((1, 1), np.nan, np.float32)

    assert fit([Broken(), train.TerminateOnNaN()])[1].epochs == 3


def test_order_of_events():
    class Diary(train.Callback):
        def __init__(self):
            self.lines = []

    diary = Diary()
    for what in ("fit_begin", "epoch_begin", "batch_end", "epoch_end", "fit_end"):
        setattr(diary, f"on_{what}", lambda run, what=what: diary.lines.append((what, run.epoch)))
    fit(diary, 2, batch_size=3)
    middle = [[("epoch_begin", e), ("batch_end", e), ("batch_end", e), ("epoch_end", e)] for e in (1, 2)]
    assert diary.lines == [("fit_begin", 0), *middle[0], *middle[1], ("fit_end", 2)]


# ---- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_one_plain_line_an_epoch(capsys):
    fit([Scripted([0.5] * 12)], 10, verbose=True)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert len(lines) == 10 and "\r" not in out and "\x1b" not in out
    assert lines[0].startswith("epoch  1/10  loss ") and "val_loss 0.5000" in lines[0] and lines[0].endswith(" s")


def test_a_bar_on_a_terminal():
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    assert isinstance(progress(io.StringIO()), train.Lines)
    stream = Terminal()
    bar = progress(stream)
    assert isinstance(bar, train.Bar)
    fit([bar], 3, batch_size=2)
    assert "epoch 3/3" in stream.getvalue() and "6/6" in stream.getvalue() and "loss" in stream.getvalue()


def test_lines_on_a_terminal_without_tqdm(monkeypatch):
    real = builtins.__import__

    def without_tqdm(name, *args, **kwargs):
        if name == "tqdm":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    assert isinstance(progress(Terminal()), train.Lines)


def test_numbers():
    assert numbers({"loss": 0.12345678, "tiny": 1.5e-7, "zero": 0.0}) == "loss 0.1235  tiny 1.5e-07  zero 0"
    assert same(np.zeros(1), np.zeros(1))
