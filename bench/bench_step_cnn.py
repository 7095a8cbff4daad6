"""Whole training steps of a small convolutional network: forward, loss, backward, Adam.

Images lie as each library's users have them: channels first for hotloop and PyTorch, last for JAX (Flax) and Keras.
"""

import numpy as np
import pytest
import steps
from conftest import peer
from hotloop import nn
from hotloop.kernels.ref import conv as ref

# (name, channels, side, batch)
MODELS = [
    ("CNN 1x28x28, conv32-pool-conv64-pool-128-10, batch 64", 1, 28, 64),
    ("CNN 3x32x32, conv32-pool-conv64-pool-128-10, batch 32", 3, 32, 32),
]
WIDTHS, HIDDEN, CLASSES = (32, 64), 128, 10
# times the best peer's speed, on one thread and on all
TARGET = 1.3


def weights(channels, side):
    """Weight and bias of every layer, as hotloop and PyTorch keep them."""
    rng = np.random.default_rng(0)
    shapes = [
        *((k, c, 3, 3) for c, k in zip((channels, *WIDTHS), WIDTHS, strict=False)),
        (HIDDEN, WIDTHS[-1] * (side // 4) ** 2),
        (CLASSES, HIDDEN),
    ]
    layers = []
    for shape in shapes:
        w = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        layers += [w, np.zeros(shape[0], np.float32)]
    return layers


def channels_last(parameters, side):
    """The same weights for layers whose channels come last, dense layers as (in, out)."""
    first, b1, second, b2, hidden, b3, last, b4 = parameters
    hidden = hidden.reshape(HIDDEN, -1, side // 4, side // 4).transpose(2, 3, 1, 0).reshape(-1, HIDDEN)
    return [*(first.transpose(2, 3, 1, 0), b1, second.transpose(2, 3, 1, 0), b2), hidden, b3, last.T, b4]


def batch(channels, side, n):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, channels, side, side), np.float32), rng.integers(0, CLASSES, n)


def first_loss(parameters, x, target):
    """The loss before the first step, in float64."""
    x, *parameters = (a.astype(np.float64) for a in (x, *parameters))
    for w, b in (parameters[:2], parameters[2:4]):
        y, absent = np.empty((len(x), len(w), 1, *x.shape[2:])), np.empty(0)
        ref.conv_forward(y, absent, x[:, :, None], w[:, :, None], b, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1)
        n, k, _, side, _ = y.shape
        x = np.maximum(y, 0).reshape(n, k, side // 2, 2, side // 2, 2).max((3, 5))
    x = np.maximum(x.reshape(len(x), -1) @ parameters[4].T + parameters[5], 0)
    return steps.cross_entropy(x @ parameters[6].T + parameters[7], target)


def network(nn, channels, side):
    layers = []
    for c, k in zip((channels, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    features = WIDTHS[-1] * (side // 4) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


def with_hotloop(channels, side, *batch):
    return steps.with_hotloop(network(nn, channels, side), weights(channels, side), *batch)


def with_torch(channels, side, *batch):
    return steps.with_torch(network(peer("torch").nn, channels, side), weights(channels, side), *batch)


def with_jax(channels, side, x, target):
    jax = peer("jax")
    relu, lax = jax.nn.relu, jax.lax

    def forward(parameters, x):
        for w, b in (parameters[:2], parameters[2:4]):
            x = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = lax.reduce_window(relu(x + b), -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        w, b, last, b_last = parameters[4:]
        return relu(x.reshape(len(x), -1) @ w + b) @ last + b_last

    return steps.with_jax(forward, channels_last(weights(channels, side), side), x.transpose(0, 2, 3, 1), target)


def with_keras(channels, side, x, target):
    layers = peer("keras").layers
    convolutions = []
    for k in WIDTHS:
        convolutions += [layers.Conv2D(k, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    model = [*convolutions, layers.Flatten(), layers.Dense(HIDDEN, "relu"), layers.Dense(CLASSES)]
    return steps.with_keras(model, channels_last(weights(channels, side), side), x.transpose(0, 2, 3, 1), target)


CONTESTANTS = {"hotloop": with_hotloop, "torch": with_torch, "jax": with_jax, "keras": with_keras}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model[0])
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_step_cnn(clock, benchmark, who, model):
    name, channels, side, n = model
    x, target = batch(channels, side, n)
    run = CONTESTANTS[who](channels, side, x, target)
    parameters = weights(channels, side)
    first, second = (w.size * places for w, places in zip(parameters[:4:2], (side**2, side**2 // 4), strict=True))
    dense = sum(w.size for w in parameters[4::2])
    # forward, and both products of backward, but the gradient of the images that nobody asks for
    flops = n * (6 * (first + second + dense) - 2 * first)
    benchmark.extra_info["target"] = TARGET
    clock(run, name, first_loss(parameters, x, target), flops=flops)
