"""train/fit.py: the loop is the one written by hand; losses and metrics are those of the whole set; modes come back."""

import builtins
import math

import numpy as np
import pytest
from helpers import close, same
from hotloop import nn, optim, train
from hotloop.nn.tape import is_grad_enabled


def data(rng, n=50, classes=3):
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return x, (x[:, :classes].argmax(1)).astype(np.int64)


def net():
    import hotloop

    hotloop.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def weights(model):
    return [np.array(p.numpy()) for p in model.parameters()]


def test_is_the_loop_by_hand(rng):
    x, y = data(rng)
    by_hand, model = net(), net()
    loss = nn.CrossEntropyLoss()
    sgd = optim.SGD(by_hand.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        for i in range(0, 50, 16):
            sgd.zero_grad()
            loss(by_hand(x[i : i + 16]), y[i : i + 16]).backward()
            sgd.step()
    train.fit(
        model,
        loss,
        optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        (x, y),
        3,
        batch_size=16,
        shuffle=False,
        verbose=False,
    )
    assert all(same(a, b) for a, b in zip(weights(by_hand), weights(model), strict=True))


def test_learns_and_tells(rng):
    x, y = data(rng, 300)
    model = net()
    history = train.fit(
        model,
        nn.CrossEntropyLoss(),
        optim.Adam(model.parameters(), lr=0.01),
        train.DataLoader((x[:200], y[:200]), 16, True, seed=0),
        15,
        validation=(x[200:], y[200:]),
        metrics=["accuracy", "top2"],
        verbose=False,
    )
    assert list(history) == ["loss", "accuracy", "top2", "val_loss", "val_accuracy", "val_top2"]
    assert history.epochs == 15 and all(len(values) == 15 for values in history.values())
    assert history["val_accuracy"][-1] > 0.85 and history["loss"][-1] < history["loss"][0] / 2
    assert history["val_top2"][-1] >= history["val_accuracy"][-1]
    assert history.best("val_accuracy")[1] == max(history["val_accuracy"])


def test_same_seed_same_bits(rng):
    x, y = data(rng)

    def run():
        model = net()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        history = train.fit(model, nn.CrossEntropyLoss(), optimizer, (x, y), 4, seed=3, verbose=False)
        return weights(model), history["loss"]

    first, second = run(), run()
    assert first[1] == second[1] and all(same(a, b) for a, b in zip(first[0], second[0], strict=True))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_are_means_over_samples(rng, reduction):
    x, y = data(rng)
    model = net()
    loss = nn.CrossEntropyLoss(reduction=reduction)
    whole = nn.CrossEntropyLoss()(model(x), y).item()
    # 50 samples in batches of 16: the last has two
    got = train.evaluate(model, (x, y), loss, "accuracy", batch_size=16)
    close(np.float64(got["loss"]), np.float64(whole), 1e-6)
    assert got["accuracy"] == np.mean(train.predict(model, x).argmax(1) == y)
    history = train.fit(
        model, loss, optim.SGD(model.parameters(), lr=0.0), (x, y), batch_size=16, seed=0, verbose=False
    )
    close(np.float64(history["loss"][0]), np.float64(whole), 1e-6)


def test_predict(rng):
    x, _ = data(rng)
    model = net()
    whole = np.asarray(model(x))
    close(train.predict(model, x, batch_size=7), whole)
    assert train.predict(model, x[:0]).shape == (0, 3)
    close(train.predict(model, nn.Tensor(x)), whole)
    assert same(train.predict(nn.Flatten(), x, batch_size=7), x)


@pytest.mark.parametrize("l1, l2", [(0.01, 0.0), (0.0, 0.02), (0.01, 0.02)])
def test_penalties(rng, l1, l2):
    x, y = data(rng)
    by_hand, model = net(), net()
    loss = nn.CrossEntropyLoss()
    sgd = optim.SGD(by_hand.parameters(), lr=0.1)
    total = 0.0
    for i in range(0, 50, 25):
        sgd.zero_grad()
        layers = [by_hand[0].weight, by_hand[2].weight]
        extra = sum(l1 * w.abs().sum() + l2 * (w * w).sum() for w in layers)
        total += extra.item() / 2
        (loss(by_hand(x[i : i + 25]), y[i : i + 25]) + extra).backward()
        sgd.step()
    history = train.fit(
        model,
        loss,
        optim.SGD(model.parameters(), lr=0.1),
        (x, y),
        batch_size=25,
        shuffle=False,
        l1=l1,
        l2=l2,
        verbose=False,
    )
    for a, b in zip(weights(by_hand), weights(model), strict=True):
        close(b, a, 1e-5)
    close(np.float64(history["penalty"][0]), np.float64(total), 1e-5)


def test_modes(rng):
    x, y = data(rng)

    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.seen = net(), []

        def forward(self, x):
            self.seen.append((self.training, self.inner[1].training, is_grad_enabled()))
            return self.inner(x)

    model = Watching()
    model.inner.eval()
    loss, sgd = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)
    train.fit(model, loss, sgd, (x, y), 1, batch_size=50, validation=(x, y), verbose=False)
    assert model.seen == [(True, True, True), (False, False, False)]
    assert model.training and not model.inner.training
    train.evaluate(model, (x, y), loss)
    train.predict(model, x)
    assert model.seen[2:] == [(False, False, False)] * 2 and model.training and not model.inner.training


def test_sources(rng):
    x, y = data(rng)
    loss = nn.CrossEntropyLoss()

    def run(source):
        model = net()
        return train.fit(
            model,
            loss,
            optim.SGD(model.parameters(), lr=0.1),
            source,
            2,
            batch_size=25,
            shuffle=False,
            verbose=False,
        )["loss"]

    wanted = run((x, y))
    for source in (
        [x, y],
        train.TensorDataset(x, y),
        train.DataLoader((x, y), 25),
        [(x[:25], y[:25]), (nn.Tensor(x[25:]), nn.Tensor(y[25:]))],
    ):
        assert run(source) == wanted


def test_several_inputs(rng):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 1), nn.Linear(3, 1)

        def forward(self, a, b):
            return self.a(a) + self.b(b)

    a, b = rng.standard_normal((40, 2)).astype(np.float32), rng.standard_normal((40, 3)).astype(np.float32)
    model, target = Two(), a[:, :1] - b[:, :1]
    history = train.fit(
        model,
        nn.MSELoss(),
        optim.Adam(model.parameters(), lr=0.05),
        (a, b, target),
        60,
        metrics=["r2", "mae", "rmse"],
        seed=0,
        verbose=False,
    )
    assert history["r2"][-1] > 0.95
    close(np.float64(history["rmse"][-1]), np.float64(math.sqrt(history["loss"][-1])), 1e-5)
    assert train.predict(model, (a, b)).shape == (40, 1)


def test_refuses(rng):
    x, y = data(rng)
    model, loss = net(), nn.CrossEntropyLoss()
    sgd = optim.SGD(model.parameters(), lr=0.1)
    for bad in (-1, 1.5, True):
        with pytest.raises(ValueError, match="epochs"):
            train.fit(model, loss, sgd, (x, y), bad, verbose=False)
    with pytest.raises(ValueError, match="l1"):
        train.fit(model, loss, sgd, (x, y), l1=-1, verbose=False)
    with pytest.raises(ValueError, match="expected at least one batch"):
        train.fit(model, loss, sgd, (x[:0], y[:0]), verbose=False)
    with pytest.raises(TypeError, match="begin again"):
        train.fit(model, loss, sgd, iter([(x, y)]), verbose=False)
    with pytest.raises(ValueError, match="one number a batch"):
        train.fit(model, nn.CrossEntropyLoss(reduction="none"), sgd, (x, y), verbose=False)
    with pytest.raises(ValueError, match="neither"):
        train.evaluate(model, (x, y))


def test_plot(rng, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    history = train.History()
    with pytest.raises(ValueError, match="at least one epoch"):
        history.plot(tmp_path / "none.png")
    for i in range(4):
        history.append({"loss": 1 / (i + 1), "val_loss": 2 / (i + 1), "accuracy": 0.5, **({"late": 1} if i else {})})
    assert math.isnan(history["late"][0])
    history.plot(tmp_path / "curves.png", title="curves")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(KeyError, match="there is loss, val_loss"):
        history["acc"]

    real = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        history.plot(tmp_path / "curves.png")
