"""Whole training steps of multi-layer perceptrons: forward, loss, backward, Adam."""

from itertools import pairwise

import hotloop
import numpy as np
import pytest
from conftest import peer
from hotloop import nn, optim

# (name, layer widths, activation, batch)
MODELS = [
    ("MLP 4-32-32-1 tanh, batch 32, MSE", (4, 32, 32, 1), "tanh", 32),
    ("MLP 784-128-64-10, batch 1", (784, 128, 64, 10), "relu", 1),
    ("MLP 784-128-64-10, batch 32", (784, 128, 64, 10), "relu", 32),
    ("MLP 784-128-64-10, batch 128", (784, 128, 64, 10), "relu", 128),
    ("MLP 1024-1024-1024-10, batch 256", (1024, 1024, 1024, 10), "relu", 256),
]


def weights(widths):
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((h, d), np.float32) / np.float32(np.sqrt(d)), np.zeros(h, np.float32))
        for d, h in pairwise(widths)
    ]


def batch(widths, n):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, widths[0]), np.float32)
    target = rng.standard_normal((n, 1), np.float32) if widths[-1] == 1 else rng.integers(0, widths[-1], n)
    return x, target


def first_loss(layers, activation, x, target):
    """The loss before the first step, in float64."""
    x = x.astype(np.float64)
    for number, (w, b) in enumerate(layers, 1):
        x = x @ w.astype(np.float64).T + b
        if number < len(layers):
            x = np.tanh(x) if activation == "tanh" else np.maximum(x, 0)
    if target.ndim == 2:
        return ((x - target) ** 2).mean()
    shifted = x - x.max(1, keepdims=True)
    return (np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(x)), target]).mean()


def network(nn, widths, activation):
    layers = []
    for d, h in pairwise(widths):
        layers += [nn.Linear(d, h), nn.Tanh() if activation == "tanh" else nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def with_hotloop(widths, activation, x, target):
    model = network(nn, widths, activation)
    for parameter, value in zip(model.parameters(), (a for layer in weights(widths) for a in layer), strict=True):
        parameter.data = value
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    loss_function = nn.MSELoss() if target.ndim == 2 else nn.CrossEntropyLoss()
    x, target = hotloop.tensor(x), hotloop.tensor(target)

    def run():
        optimizer.zero_grad()
        loss = loss_function(model(x), target)
        loss.backward()
        optimizer.step()
        return loss.numpy()

    return run


def with_torch(widths, activation, x, target):
    torch = peer("torch")
    model = network(torch.nn, widths, activation)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (a for layer in weights(widths) for a in layer), strict=True):
            parameter.copy_(torch.from_numpy(value))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_function = torch.nn.MSELoss() if target.ndim == 2 else torch.nn.CrossEntropyLoss()
    x, target = torch.from_numpy(x), torch.from_numpy(target)

    def run():
        optimizer.zero_grad()
        loss = loss_function(model(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run


def with_jax(widths, activation, x, target):
    jax, optax = peer("jax"), peer("optax")
    function = jax.numpy.tanh if activation == "tanh" else jax.nn.relu

    def loss_of(layers, x, target):
        for w, b in layers[:-1]:
            x = function(x @ w.T + b)
        w, b = layers[-1]
        x = x @ w.T + b
        if target.ndim == 2:
            return ((x - target) ** 2).mean()
        return optax.softmax_cross_entropy_with_integer_labels(x, target).mean()

    adam = optax.adam(1e-3)

    @jax.jit
    def step(layers, state, x, target):
        loss, gradients = jax.value_and_grad(loss_of)(layers, x, target)
        updates, state = adam.update(gradients, state, layers)
        return loss, optax.apply_updates(layers, updates), state

    layers = jax.tree.map(jax.numpy.asarray, weights(widths))
    held = [layers, adam.init(layers)]
    x, target = jax.numpy.asarray(x), jax.numpy.asarray(target)

    def run():
        loss, *held[:] = step(*held, x, target)
        return jax.block_until_ready(loss)

    return run


CONTESTANTS = {"hotloop": with_hotloop, "torch": with_torch, "jax": with_jax}


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
