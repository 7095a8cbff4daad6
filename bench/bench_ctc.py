"""The CTC loss with log-softmax in front, as users have it: the mean loss and its gradient with respect to logits.

Optax and TensorFlow take logits and do both themselves; keras.ops.ctc_loss is TensorFlow's function here.
"""

import functools

import numpy as np
import pytest
from conftest import peer
from hotloop import nn
from hotloop.kernels.ref.ctc import ctc_forward

# (steps, samples, classes, labels of a sample): speech by letters, words of handwriting, pieces of words, a few digits
SHAPES = [(100, 16, 30, 20), (32, 64, 80, 8), (200, 8, 500, 40), (20, 4, 12, 5)]
TARGET = 2


def operands(steps, samples, classes, labels):
    """Logits, and labels and lengths that differ by sample; every target fits its steps."""
    rng = np.random.default_rng(0)
    x = 2 * rng.standard_normal((steps, samples, classes), np.float32)
    targets = rng.integers(1, classes, (samples, labels))
    target_lengths = labels - np.arange(samples) % (labels // 2)
    return x, targets, steps - np.arange(samples) % (steps // 4), target_lengths


@functools.cache
def wanted(*shape):
    """The loss and its gradient in float64."""
    x, targets, *lengths = operands(*shape)
    y = x - np.logaddexp.reduce(x.astype(np.float64), 2, keepdims=True)
    loss, dy = np.empty(1), np.empty_like(y)
    ctc_forward(loss, dy, y, targets.reshape(-1), *lengths, targets.shape[1], 0, False, 1)
    return loss, dy - np.exp(y) * dy.sum(2, keepdims=True)


def with_hotloop(x, targets, *lengths):
    logits = nn.Tensor(x, requires_grad=True)
    targets, *lengths = (nn.Tensor(a) for a in (targets, *lengths))

    def run():
        logits.grad = None
        loss = nn.functional.ctc_loss(nn.functional.log_softmax(logits, dim=2), targets, *lengths)
        loss.backward()
        return loss.data.reshape(1), logits.grad

    return run


def with_torch(x, *given):
    torch = peer("torch")
    logits, given = torch.from_numpy(x).requires_grad_(), [torch.from_numpy(a) for a in given]

    def run():
        loss = torch.nn.functional.ctc_loss(torch.nn.functional.log_softmax(logits, dim=2), *given)
        return loss.detach().reshape(1), torch.autograd.grad(loss, logits)[0]

    return run


def with_optax(x, targets, input_lengths, target_lengths):
    jax, optax = peer("jax"), peer("optax")
    # by sample; what is padding is said by ones
    logits, labels = jax.numpy.asarray(x.swapaxes(0, 1).copy()), jax.numpy.asarray(targets.astype(np.int32))
    beyond, padding = (
        jax.numpy.asarray((np.arange(n) >= lengths[:, None]).astype(np.float32))
        for n, lengths in ((len(x), input_lengths), (targets.shape[1], target_lengths))
    )
    sizes = jax.numpy.asarray(target_lengths.astype(np.float32))

    def mean(logits):
        return (optax.ctc_loss(logits, beyond, labels, padding) / sizes).mean()

    both = jax.jit(jax.value_and_grad(mean))

    def run():
        loss, dx = jax.block_until_ready(both(logits))
        return np.reshape(loss, 1), np.asarray(dx).swapaxes(0, 1)

    return run


def with_tensorflow(x, targets, input_lengths, target_lengths):
    tensorflow = peer("tensorflow")
    logits, labels = tensorflow.constant(x), tensorflow.constant(targets.astype(np.int32))
    steps, counts = (tensorflow.constant(a.astype(np.int32)) for a in (input_lengths, target_lengths))
    sizes = tensorflow.constant(target_lengths.astype(np.float32))

    @tensorflow.function
    def both(logits):
        with tensorflow.GradientTape() as tape:
            tape.watch(logits)
            losses = tensorflow.nn.ctc_loss(labels, logits, counts, steps, blank_index=0)
            loss = tensorflow.reduce_mean(losses / sizes)
        return loss, tape.gradient(loss, logits)

    def run():
        loss, dx = both(logits)
        return np.reshape(loss, 1), dx

    return run


CONTESTANTS = {"hotloop": with_hotloop, "torch": with_torch, "optax": with_optax, "tensorflow": with_tensorflow}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_ctc(clock, benchmark, who, shape):
    group = "log-softmax, CTC, gradient: " + " ".join(f"{k}{n}" for k, n in zip("TNCS", shape, strict=True))
    if who == "hotloop" and shape == SHAPES[0]:
        benchmark.extra_info["target"] = TARGET
    # logarithms of float32 near -300 are off by 3e-5, and peers' gradients are made of them
    clock(CONTESTANTS[who](*operands(*shape)), group, wanted(*shape), tol=1e-5 if who == "hotloop" else 2e-3)
