"""Whole training steps of recurrent networks: forward, loss, backward, Adam.

Sequences lie by time for hotloop, PyTorch and JAX, by sample for Keras, as their users have them.
"""

from typing import NamedTuple

import numpy as np
import pytest
import sequences
import steps
from conftest import peer
from hotloop import nn
from hotloop.kernels.ref import lstm as ref


class Model(NamedTuple):
    """LSTM layers and a dense one: of numbers, after the last step, or of characters that are embedded, at each."""

    shape: tuple  # steps, samples, features of the input, of the state
    classes: int
    layers: int = 1
    characters: bool = False


MODELS = {
    "LSTM T100 N32 D64 H128, last step to 10 classes": Model((100, 32, 64, 128), 10),
    "LSTM T50 N64 D128 H256, last step to 10 classes": Model((50, 64, 128, 256), 10),
    "LSTM T20 N1 D16 H64, last step to 10 classes": Model((20, 1, 16, 64), 10),
    "characters: embedding, 2 x LSTM 256, T64 N32 V65": Model((64, 32, 256, 256), 65, 2, True),
}
# times the best peer's speed, on one thread and on all
TARGET = 1.6


def weights(model):
    """The embedding if there is one, the LSTM layers, weight and bias of the dense layer."""
    rng = np.random.default_rng(0)
    _, _, d, h = model.shape
    found = [rng.standard_normal((model.classes, d), np.float32)] if model.characters else []
    for layer in range(model.layers):
        found += sequences.weights(rng, "LSTM", h if layer else d, h)
    dense = rng.standard_normal((model.classes, h), np.float32) / np.float32(np.sqrt(h))
    return [*found, dense, np.zeros(model.classes, np.float32)]


def parts(model, parameters):
    """The embedding or None, the four parameters of each LSTM layer, and the dense layer's two."""
    first, last = int(model.characters), len(parameters) - 2
    layers = [parameters[k : k + 4] for k in range(first, last, 4)]
    return parameters[0] if model.characters else None, layers, parameters[last:]


def batch(model):
    rng = np.random.default_rng(1)
    t, n, d, _ = model.shape
    if model.characters:
        return rng.integers(0, model.classes, (2, t, n))
    return rng.standard_normal((t, n, d), np.float32), rng.integers(0, model.classes, n)


def first_loss(model, x, target):
    """The loss before the first step, in float64."""
    embedding, layers, (w, b) = parts(model, [a.astype(np.float64) for a in weights(model)])
    y = embedding[x] if model.characters else x.astype(np.float64)
    for layer in layers:
        y = states(y, *layer)
    scores = (y if model.characters else y[-1]) @ w.T + b
    return steps.cross_entropy(scores.reshape(-1, model.classes), target.ravel())


def states(x, *layer):
    """Those of an LSTM, by its definition."""
    (t, n, _), h = x.shape, layer[1].shape[1]
    y, last, cell, none = np.empty((t, n, h)), np.empty((n, h)), np.empty((n, h)), np.empty(0)
    ref.lstm_forward(y, last, cell, none, none, x, none, none, *layer, none, np.empty(0, np.int64), False)
    return y


def network(nn, model):
    _, _, d, h = model.shape

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            if model.characters:
                self.embedding = nn.Embedding(model.classes, d)
            self.lstm = nn.LSTM(d, h, num_layers=model.layers)
            self.dense = nn.Linear(h, model.classes)

        def forward(self, x):
            if not model.characters:
                y, _ = self.lstm(x)
                return self.dense(y[-1])
            y, _ = self.lstm(self.embedding(x))
            return self.dense(y).flatten(0, 1)

    return Network()


def with_hotloop(model, x, target):
    return steps.with_hotloop(network(nn, model), weights(model), x, target.ravel())


def with_torch(model, x, target):
    return steps.with_torch(network(peer("torch").nn, model), weights(model), x, target.ravel())


def with_jax(model, x, target):
    def forward(parameters, x):
        embedding, layers, (w, b) = parts(model, parameters)
        y = embedding[x] if model.characters else x
        for layer in layers:
            y = sequences.jax_lstm(y, *layer)
        return (y if model.characters else y[-1]) @ w.T + b

    return steps.with_jax(forward, weights(model), x, target)


def with_keras(model, x, target):
    layers, h = peer("keras").layers, model.shape[3]
    embedding, lstm, (w, b) = parts(model, weights(model))
    first = [layers.Embedding(*embedding.shape)] if model.characters else []
    middle = [layers.LSTM(h, return_sequences=model.characters) for _ in lstm]
    given = [embedding] if model.characters else []
    given += [a for layer in lstm for a in sequences.keras_weights("LSTM", *layer)]
    network = [*first, *middle, layers.Dense(model.classes)]
    return steps.with_keras(network, [*given, w.T, b], x.swapaxes(0, 1), target.T)


CONTESTANTS = {"hotloop": with_hotloop, "torch": with_torch, "jax": with_jax, "keras": with_keras}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_step_rnn(clock, benchmark, who, name):
    model = MODELS[name]
    x, target = batch(model)
    run = CONTESTANTS[who](model, x, target)
    t, n, d, h = model.shape
    depths = [d, *[h] * (model.layers - 1)]
    # forward, and both products of backward, but the gradient of an input that nobody asks for
    flops = t * n * 4 * h * (6 * (sum(depths) + model.layers * h) - (0 if model.characters else 2 * d))
    flops += (t if model.characters else 1) * n * h * model.classes * 6
    benchmark.extra_info["target"] = TARGET
    clock(run, name, first_loss(model, x, target), flops=flops)
