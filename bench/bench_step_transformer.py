"""Whole training steps of a transformer's encoder: forward, loss, backward, Adam.

Two layers read sequences by sample, (N, T, D); the mean over the steps goes to a dense layer with classes. One row with
the dropout that PyTorch's layers have by default, one without.
"""

import functools
from typing import NamedTuple

import numpy as np
import pytest
import steps
from conftest import peer
from hotloop import nn
from hotloop.kernels.ref import attention, norm


class Model(NamedTuple):
    """Layers, and their dropout."""

    dropout: float
    layers: int = 2
    samples: int = 32
    steps: int = 64
    width: int = 128
    heads: int = 4
    inner: int = 512
    classes: int = 10


MODELS = {
    "encoder of 2 layers, D128 H4 F512, T64 N32, dropout 0.1": Model(0.1),
    "encoder of 2 layers, D128 H4 F512, T64 N32, no dropout": Model(0.0),
}
# times the best peer's speed, on one thread and on all
TARGET = 1.5
EPS = 1e-5
PARAMETERS = 12  # of a layer


def weights(model):
    """Of each layer, in torch's order: what is projected in and out, the two dense layers, the two norms; the head."""
    rng, d = np.random.default_rng(0), model.width

    def dense(h, d):
        return [(rng.uniform(-1, 1, shape) / np.sqrt(d)).astype(np.float32) for shape in ((h, d), (h,))]

    found = []
    for _ in range(model.layers):
        found += dense(3 * d, d) + dense(d, d) + dense(model.inner, d) + dense(d, model.inner)
        found += [np.ones(d, np.float32), np.zeros(d, np.float32)] * 2
    return found + dense(model.classes, d)


def batch(model):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((model.samples, model.steps, model.width), np.float32)
    return x, rng.integers(0, model.classes, model.samples)


def by_heads(model, a):
    """(N, T, D) as (N, H, T, D / H)"""
    return a.reshape(*a.shape[:2], model.heads, -1).swapaxes(1, 2)


def first_loss(model, x, target):
    """The loss before the first step, in float64 and without dropout."""
    *layers, w, b = (a.astype(np.float64) for a in weights(model))
    x, none = x.astype(np.float64), np.empty(0)
    rows = x.shape[0] * x.shape[1]

    def normalised(x, w, b):
        y = np.empty((rows, model.width))
        norm.layer_norm_forward(y, np.empty(rows), np.empty(rows), x.reshape(y.shape), w, b, EPS)
        return y.reshape(x.shape)

    for k in range(0, len(layers), PARAMETERS):
        w_in, b_in, w_out, b_out, w1, b1, w2, b2, *norms = layers[k : k + PARAMETERS]
        q, k, v = (by_heads(model, a) for a in np.split(x @ w_in.T + b_in, 3, 2))
        y, lse = np.empty_like(q), np.empty(q.shape[:3])
        options = none.astype(np.uint64), q.shape[3] ** -0.5, False, 0.0
        attention.attention_forward(y, lse, none, q, k, v, none, none.astype(bool), *options)
        x = normalised(x + y.swapaxes(1, 2).reshape(x.shape) @ w_out.T + b_out, *norms[:2])
        x = normalised(x + np.maximum(x @ w1.T + b1, 0) @ w2.T + b2, *norms[2:])
    return steps.cross_entropy(x.mean(1) @ w.T + b, target)


def network(nn, model):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(model.width, model.heads, model.inner, model.dropout, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, model.layers, enable_nested_tensor=False)
            self.head = nn.Linear(model.width, model.classes)

        def forward(self, x):
            return self.head(self.encoder(x).mean(1))

    return Network()


def with_hotloop(model, x, target):
    return steps.with_hotloop(network(nn, model), weights(model), x, target)


def with_torch(model, x, target):
    return steps.with_torch(network(peer("torch").nn, model), weights(model), x, target)


def with_jax(model, x, target):
    jax = peer("jax")

    def dropped(x, key):
        if not model.dropout:
            return x
        kept = jax.random.bernoulli(key, 1 - model.dropout, x.shape)
        return jax.numpy.where(kept, x / (1 - model.dropout), 0)

    def normalised(x, w, b):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + EPS) * w + b

    def attend(q, k, v, key):
        # its own function knows no dropout
        if not model.dropout:
            q, k, v = (a.reshape(*a.shape[:2], model.heads, -1) for a in (q, k, v))
            return jax.nn.dot_product_attention(q, k, v)
        q, k, v = (by_heads(model, a) for a in (q, k, v))
        scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
        return (dropped(jax.nn.softmax(scores), key) @ v).swapaxes(1, 2)

    def layer(x, keys, w_in, b_in, w_out, b_out, w1, b1, w2, b2, *norms):
        y = attend(*jax.numpy.split(x @ w_in.T + b_in, 3, 2), keys[0]).reshape(x.shape)
        x = normalised(x + dropped(y @ w_out.T + b_out, keys[1]), *norms[:2])
        y = dropped(jax.nn.relu(x @ w1.T + b1), keys[2]) @ w2.T + b2
        return normalised(x + dropped(y, keys[3]), *norms[2:])

    def forward(parameters, x, key):
        *layers, w, b = parameters
        for k, keys in enumerate(jax.random.split(key, (model.layers, 4))):
            x = layer(x, keys, *layers[PARAMETERS * k : PARAMETERS * (k + 1)])
        return x.mean(1) @ w.T + b

    return steps.with_jax(forward, weights(model), x, target, drawing=True)


def with_keras(model, x, target):
    keras = peer("keras")
    layers, dropout, width = keras.layers, model.dropout, model.width

    class Layer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.attention = layers.MultiHeadAttention(model.heads, width // model.heads, dropout=dropout)
            self.inner, self.outer = layers.Dense(model.inner, "relu"), layers.Dense(width)
            self.norms = [layers.LayerNormalization(epsilon=EPS) for _ in range(2)]
            self.drops = [layers.Dropout(dropout) for _ in range(3)]

        def call(self, x, training=False):
            drop = [functools.partial(layer, training=training) for layer in self.drops]
            x = self.norms[0](x + drop[0](self.attention(x, x, training=training)))
            return self.norms[1](x + drop[2](self.outer(drop[1](self.inner(x)))))

    *given, w, b = weights(model)
    found = []
    for k in range(0, len(given), PARAMETERS):
        w_in, b_in, w_out, b_out, w1, b1, w2, b2, *norms = given[k : k + PARAMETERS]
        for matrix, vector in zip(np.split(w_in, 3), np.split(b_in, 3), strict=True):
            found += [matrix.T.reshape(width, model.heads, -1), vector.reshape(model.heads, -1)]
        found += [w_out.T.reshape(model.heads, -1, width), b_out, w1.T, b1, w2.T, b2, *norms]
    network = [*(Layer() for _ in range(model.layers)), layers.GlobalAveragePooling1D(), layers.Dense(model.classes)]
    return steps.with_keras(network, [*found, w.T, b], x, target)


CONTESTANTS = {"hotloop": with_hotloop, "torch": with_torch, "jax": with_jax, "keras": with_keras}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_step_transformer(clock, benchmark, who, name):
    model = MODELS[name]
    x, target = batch(model)
    run = CONTESTANTS[who](model, x, target)
    rows, d = model.samples * model.steps, model.width
    # forward, and both products of backward, but the gradient of the input that nobody asks for
    flops = 6 * model.layers * rows * d * (4 * d + 2 * model.inner + 2 * model.steps) - 2 * rows * d * 3 * d
    benchmark.extra_info["target"] = TARGET
    # what is dropped moves the mean of 32 losses
    tol = 0.1 if model.dropout else None
    clock(run, name, first_loss(model, x, target), flops=flops, tol=tol)
