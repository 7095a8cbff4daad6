"""Batch norm and layer norm in training, forward and backward with all gradients, at the sizes of real models.

A forward is to bring x and y through memory once, a backward dy, x and dx: 20 bytes an element of float32 in all. "Of
the ceiling" compares with a copy that moves as many bytes. PyTorch writes into outputs that exist, as our kernels do;
JAX and TensorFlow have no such way. TensorFlow's channels come last.
"""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu import norm, norm_batch
from hotloop.kernels.ref import norm as ref_norm
from hotloop.kernels.ref import norm_batch as ref_batch

EPS = 1e-5
# a small ResNet at a batch of 16, its last layer, and a layer without positions
CHANNELS = [(16, 64, 56, 56), (16, 128, 28, 28), (16, 256, 14, 14), (16, 512, 7, 7), (256, 1024)]
# times the best peer's speed, or how near to the ceiling
TARGETS = {"target": 1.5, "target, % of bandwidth": 85}
ROWS = [(128, 256), (512, 768), (4096, 768), (2048, 4096)]


def inputs(shape, features):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape)).astype(np.float32)
    return x, dy, *rng.uniform(0.5, 1.5, (2, features)).astype(np.float32)


def batch_hotloop(x, dy, w, b):
    shape, split = x.shape, (*x.shape[:2], -1)
    x, dy = x.reshape(split), dy.reshape(split)
    y, dx, dw, db, none = np.empty_like(x), np.empty_like(x), np.empty_like(w), np.empty_like(w), w[:0]
    results = y.reshape(shape), dx.reshape(shape), dw, db
    mean, rstd = np.empty(w.size), np.empty(w.size)

    def run():
        norm_batch.batch_norm_forward(y, mean, rstd, x, w, b, none, none, EPS)
        norm_batch.batch_norm_backward(dx, dw, db, dy, x, w, mean, rstd, False, False)
        return results

    return run


def batch_torch(x, dy, w, b):
    torch = peer("torch")
    x, dy, w, b = map(torch.from_numpy, (x, dy, w, b))
    y, mean, rstd = (torch.empty_like(v) for v in (x, w, w))
    gradients = {f"out{i}": torch.empty_like(v) for i, v in enumerate((x, w, w))}
    aten = torch.ops.aten

    def run():
        forward = dict(out=y, save_mean=mean, save_invstd=rstd)
        aten.native_batch_norm.out(x, w, b, None, None, True, 0.1, EPS, **forward)
        wanted = [True] * 3
        aten.native_batch_norm_backward.out(dy, x, w, None, None, mean, rstd, True, EPS, wanted, **gradients)
        return y, *gradients.values()

    return torch.no_grad()(run)


def layer_hotloop(x, dy, w, b):
    y, dx, dw, db = np.empty_like(x), np.empty_like(x), np.empty_like(w), np.empty_like(w)
    mean, rstd = np.empty(len(x)), np.empty(len(x))

    def run():
        norm.layer_norm_forward(y, mean, rstd, x, w, b, EPS)
        norm.layer_norm_backward(dx, dw, db, dy, x, w, mean, rstd, False)
        return y, dx, dw, db

    return run


def layer_torch(x, dy, w, b):
    torch = peer("torch")
    x, dy, w, b = map(torch.from_numpy, (x, dy, w, b))
    aten, shape = torch.ops.aten, [w.numel()]
    results = aten.native_layer_norm(x, shape, w, b, EPS)
    forward = {f"out{i}": torch.empty_like(v) for i, v in enumerate(results)}
    gradients = {f"out{i}": torch.empty_like(v) for i, v in enumerate((x, w, w))}

    def run():
        y, mean, rstd = aten.native_layer_norm.out(x, shape, w, b, EPS, **forward)
        aten.native_layer_norm_backward.out(dy, x, shape, mean, rstd, w, b, [True] * 3, **gradients)
        return y, *gradients.values()

    return torch.no_grad()(run)


def with_jax(axes, x, dy, w, b):
    jax = peer("jax")
    along = [1] * x.ndim
    # weights lie along what the statistics are not taken over, or, in layer norm, along the rows
    along[1 if axes != (1,) else -1] = -1

    def normalise(x, w, b):
        mean = x.mean(axes, keepdims=True)
        var = ((x - mean) ** 2).mean(axes, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + EPS) * w.reshape(along) + b.reshape(along)

    def both(x, dy, w, b):
        y, pull = jax.vjp(normalise, x, w, b)
        return y, *pull(dy)

    function, given = jax.jit(both), [jax.numpy.asarray(v) for v in (x, dy, w, b)]
    return lambda: jax.block_until_ready(function(*given))


def batch_jax(x, dy, w, b):
    return with_jax((0, *range(2, x.ndim)), x, dy, w, b)


def layer_jax(x, dy, w, b):
    return with_jax((1,), x, dy, w, b)


def channels_last(a):
    return a.reshape(*a.shape, *(1,) * (4 - a.ndim)).transpose(0, 2, 3, 1)


def batch_tensorflow(x, dy, w, b):
    tensorflow = peer("tensorflow")
    x, dy, w, b = map(tensorflow.constant, (channels_last(x), channels_last(dy), w, b))

    @tensorflow.function
    def both(x, dy, w, b):
        with tensorflow.GradientTape() as tape:
            tape.watch((x, w, b))
            y, *_ = tensorflow.compat.v1.nn.fused_batch_norm(x, w, b, epsilon=EPS)
        return y, *tape.gradient(y, (x, w, b), dy)

    return lambda: both(x, dy, w, b)


BATCH = {"hotloop": batch_hotloop, "torch": batch_torch, "jax": batch_jax, "tensorflow": batch_tensorflow}
LAYER = {"hotloop": layer_hotloop, "torch": layer_torch, "jax": layer_jax}


def wanted(forward, backward, x, dy, w, b, count):
    """(y, dx, dw, db) of the definition in float64."""
    x, dy, w, b = (v.astype(np.float64) for v in (x, dy, w, b))
    y, dx, dw, db = (np.empty_like(v) for v in (x, x, w, w))
    mean, rstd = np.empty(count), np.empty(count)
    forward(y, mean, rstd, x, w, b)
    backward(dx, dw, db, dy, x, w, mean, rstd)
    return y, dx, dw, db


@pytest.mark.parametrize("shape", CHANNELS, ids=str)
@pytest.mark.parametrize("who", BATCH)
def bench_batch_norm(clock, benchmark, who, shape):
    x, dy, w, b = inputs(shape, shape[1])
    none, split = np.empty(0), (*shape[:2], -1)
    want = wanted(
        lambda *args: ref_batch.batch_norm_forward(*args, none, none, EPS),
        lambda *args: ref_batch.batch_norm_backward(*args, False, False),
        *(x.reshape(split), dy.reshape(split), w, b, shape[1]),
    )
    want = tuple(v.reshape(shape) if v.ndim > 1 else v for v in want)
    call = BATCH[who](x, dy, w, b)
    if who == "tensorflow":
        want = tuple(channels_last(v) if v.ndim > 1 else v for v in want)
    benchmark.extra_info.update(TARGETS)
    clock(call, f"batch norm {shape}, forward + backward", want, moved=20 * x.size)


@pytest.mark.parametrize("shape", ROWS, ids=str)
@pytest.mark.parametrize("who", LAYER)
def bench_layer_norm(clock, benchmark, who, shape):
    x, dy, w, b = inputs(shape, shape[1])
    want = wanted(
        lambda *args: ref_norm.layer_norm_forward(*args, EPS),
        lambda *args: ref_norm.layer_norm_backward(*args, False),
        *(x, dy, w, b, shape[0]),
    )
    benchmark.extra_info.update(TARGETS)
    clock(LAYER[who](x, dy, w, b), f"layer norm {shape}, forward + backward", want, moved=20 * x.size)
