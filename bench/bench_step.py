"""Whole training steps of multi-layer perceptrons: forward, loss, backward, Adam."""

from itertools import pairwise

import numpy as np
import pytest
import steps
from conftest import peer
from hotloop import nn

# (name, layer widths, activation, batch)
MODELS = [
    ("MLP 4-32-32-1 tanh, batch 32, MSE", (4, 32, 32, 1), "tanh", 32),
    ("MLP 784-128-64-10, batch 1", (784, 128, 64, 10), "relu", 1),
    ("MLP 784-128-64-10, batch 32", (784, 128, 64, 10), "relu", 32),
    ("MLP 784-128-64-10, batch 128", (784, 128, 64, 10), "relu", 128),
    ("MLP 1024-1024-1024-10, batch 256", (1024, 1024, 1024, 10), "relu", 256),
]


def weights(widths):
    """Weight and bias of every layer."""
    rng = np.random.default_rng(0)
    layers = []
    for d, h in pairwise(widths):
        layers += [rng.standard_normal((h, d), np.float32) / np.float32(np.sqrt(d)), np.zeros(h, np.float32)]
    return layers


def batch(widths, n):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, widths[0]), np.float32)
    target = rng.standard_normal((n, 1), np.float32) if widths[-1] == 1 else rng.integers(0, widths[-1], n)
    return x, target


def first_loss(parameters, activation, x, target):
    """The loss before the first step, in float64."""
    x, *parameters = (a.astype(np.float64) for a in (x, *parameters))
    last = len(parameters) - 2
    for place in range(0, len(parameters), 2):
        x = x @ parameters[place].T + parameters[place + 1]
        if place < last:
            x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0)
    return ((x - target) ** 2).mean() if target.ndim == 2 else steps.cross_entropy(x, target)


def network(nn, widths, activation):
    layers = []
    for d, h in pairwise(widths):
        layers += [nn.Linear(d, h), nn.Tanh() if activation == "tanh" else nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def with_hotloop(widths, activation, *batch):
    return steps.with_hotloop(network(nn, widths, activation), weights(widths), *batch)


def with_torch(widths, activation, *batch):
    return steps.with_torch(network(peer("torch").nn, widths, activation), weights(widths), *batch)


def with_jax(widths, activation, *batch):
    jax = peer("jax")
    function = jax.numpy.tanh if activation == "tanh" else jax.nn.relu

    def forward(parameters, x):
        *layers, (w, b) = zip(parameters[::2], parameters[1::2], strict=True)
        for wi, bi in layers:
            x = function(x @ wi.T + bi)
        return x @ w.T + b

    return steps.with_jax(forward, weights(widths), *batch)


def with_keras(widths, activation, *batch):
    dense = peer("keras").layers.Dense
    layers = [*(dense(h, activation) for h in widths[1:-1]), dense(widths[-1])]
    return steps.with_keras(layers, [a.T for a in weights(widths)], *batch)


CONTESTANTS = {"hotloop": with_hotloop, "torch": with_torch, "jax": with_jax, "keras": with_keras}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model[0])
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_step(clock, who, model):
    name, widths, activation, n = model
    x, target = batch(widths, n)
    run = CONTESTANTS[who](widths, activation, x, target)
    multiply_adds = sum(d * h for d, h in pairwise(widths)) * n
    # forward, and both products of backward, but the gradient of the input that nobody asks for
    flops = 6 * multiply_adds - 2 * n * widths[0] * widths[1]
    clock(run, name, first_loss(weights(widths), activation, x, target), flops=flops)
