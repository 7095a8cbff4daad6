"""Losses with their gradients: what a training step pays between the last layer and the start of backward.

Every contestant computes the mean loss and its gradient with respect to the logits or predictions.
"""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu.cross_entropy import cross_entropy_forward
from hotloop.kernels.cpu.loss_binary import bce_with_logits_forward
from hotloop.kernels.cpu.loss_regression import huber_forward, mse_forward

ABSENT = np.empty(0, np.float32)

# (N, C, M): digits, MNIST, a large table, ImageNet, a language model's vocabulary, segmentation
CLASSES = [(32, 10, 1), (128, 10, 1), (10000, 10, 1), (64, 1000, 1), (64, 32000, 1), (4, 21, 4096)]
ELEMENTS = [100, 10_000, 1_000_000]


def cross_entropy_hotloop(x, target):
    loss, dx = np.empty(1, np.float32), np.empty_like(x)

    def run():
        cross_entropy_forward(loss, dx, x, target, ABSENT, -100, 0.0, 1)
        return loss, dx

    return run


def cross_entropy_numpy(x, target):
    n, c, m = x.shape
    hot = np.eye(c, dtype=np.float32)[target].transpose(0, 2, 1)

    def run():
        z = x - x.max(1, keepdims=True)
        e = np.exp(z)
        total = e.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - np.take_along_axis(z, target[:, None], 1)[:, 0]).mean()
        return np.reshape(loss, 1), (e / total - hot) / np.float32(n * m)

    return run


def cross_entropy_torch(x, target):
    torch = peer("torch")
    logits, labels = torch.from_numpy(x).requires_grad_(), torch.from_numpy(target)

    def run():
        loss = torch.nn.functional.cross_entropy(logits, labels)
        return loss.detach().reshape(1), torch.autograd.grad(loss, logits)[0]

    return run


def cross_entropy_jax(x, target):
    jax = peer("jax")
    logits, labels = jax.numpy.asarray(x), jax.numpy.asarray(target.astype(np.int32))

    def mean(logits):
        logp = jax.nn.log_softmax(logits, axis=1)
        return -jax.numpy.take_along_axis(logp, labels[:, None], 1).mean()

    both = jax.jit(jax.value_and_grad(mean))

    def run():
        loss, dx = jax.block_until_ready(both(logits))
        return np.reshape(loss, 1), dx

    return run


CROSS_ENTROPY = {
    "hotloop": cross_entropy_hotloop,
    "numpy": cross_entropy_numpy,
    "torch": cross_entropy_torch,
    "jax": cross_entropy_jax,
}


@pytest.mark.parametrize("shape", CLASSES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("who", CROSS_ENTROPY)
def bench_cross_entropy(clock, who, shape):
    rng = np.random.default_rng(0)
    n, c, m = shape
    x, target = rng.standard_normal(shape).astype(np.float32), rng.integers(0, c, (n, m))
    wide = x.astype(np.float64)
    e = np.exp(wide)
    total = e.sum(1, keepdims=True)
    hot = np.eye(c)[target].transpose(0, 2, 1)
    want = np.array([-(hot * (wide - np.log(total))).sum(1).mean()]), (e / total - hot) / (n * m)
    clock(CROSS_ENTROPY[who](x, target), f"cross-entropy and gradient, {n} x {c} x {m}", want, moved=2 * x.nbytes)


KERNELS = {
    "mse": lambda loss, dx, x, t: mse_forward(loss, dx, ABSENT, x, t, 1),
    "huber": lambda loss, dx, x, t: huber_forward(loss, dx, ABSENT, x, t, 1.0, 1),
    "bce_with_logits": lambda loss, dx, x, t: bce_with_logits_forward(loss, dx, ABSENT, x, t, ABSENT, ABSENT, 1),
}
WANT = {
    "mse": lambda x, t: (((x - t) ** 2).mean(), 2 * (x - t) / x.size),
    "huber": lambda x, t: (
        np.where(abs(x - t) <= 1, (x - t) ** 2 / 2, abs(x - t) - 0.5).mean(),
        np.clip(x - t, -1, 1) / x.size,
    ),
    "bce_with_logits": lambda x, t: ((np.logaddexp(0, x) - t * x).mean(), (1 / (1 + np.exp(-x)) - t) / x.size),
}


def elementwise_hotloop(name, x, t):
    loss, dx = np.empty(1, np.float32), np.empty_like(x)

    def run():
        KERNELS[name](loss, dx, x, t)
        return loss, dx

    return run


def elementwise_numpy(name, x, t):
    def run():
        loss, dx = WANT[name](x, t)
        return np.reshape(loss, 1).astype(np.float32), dx

    return run


def elementwise_torch(name, x, t):
    torch = peer("torch")
    functions = {"bce_with_logits": "binary_cross_entropy_with_logits"}
    function = getattr(torch.nn.functional, functions.get(name, f"{name}_loss"))
    x, t = torch.from_numpy(x).requires_grad_(), torch.from_numpy(t)

    def run():
        loss = function(x, t)
        return loss.detach().reshape(1), torch.autograd.grad(loss, x)[0]

    return run


def elementwise_jax(name, x, t):
    jax = peer("jax")
    np_ = jax.numpy
    losses = {
        "mse": lambda x, t: ((x - t) ** 2).mean(),
        "huber": lambda x, t: np_.where(abs(x - t) <= 1, (x - t) ** 2 / 2, abs(x - t) - 0.5).mean(),
        "bce_with_logits": lambda x, t: (np_.logaddexp(0.0, x) - t * x).mean(),
    }
    both = jax.jit(jax.value_and_grad(losses[name]))
    x, t = np_.asarray(x), np_.asarray(t)

    def run():
        loss, dx = jax.block_until_ready(both(x, t))
        return np.reshape(loss, 1), dx

    return run


ELEMENTWISE = {
    "hotloop": elementwise_hotloop,
    "numpy": elementwise_numpy,
    "torch": elementwise_torch,
    "jax": elementwise_jax,
}


@pytest.mark.parametrize("n", ELEMENTS)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("who", ELEMENTWISE)
def bench_elementwise(clock, who, name, n):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal(n).astype(np.float32), rng.uniform(0, 1, n).astype(np.float32)
    value, gradient = WANT[name](x.astype(np.float64), t.astype(np.float64))
    want = np.reshape(value, 1), gradient
    clock(ELEMENTWISE[who](name, x, t), f"{name} and gradient, {n} elements", want, moved=3 * x.nbytes)
