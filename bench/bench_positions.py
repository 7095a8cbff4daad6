"""Rotary positions and additive attention, forward and backward, against the compositions that others make of them.

Rotations are bound by memory: "of the ceiling" compares with copies that move as many bytes, x to y and dy to dx. No
peer has a kernel for them; PyTorch's rows are torchtune's layer for neighbours as pairs and rotate_half of Hugging
Face's Llama for halves, JAX's is the same in one compiled function.

Additive attention is bound by its tanh units, one a query, key and hidden unit: Keras has a layer for it, PyTorch and
JAX compose it. One query a sample is a step of a recurrent decoder. Our kernels write into arrays that exist.
"""

import hotloop
import numpy as np
import pytest
from conftest import peer
from hotloop import nn
from hotloop.kernels.cpu import rotary
from hotloop.kernels.ref import additive as ref_additive
from hotloop.kernels.ref import rotary as ref_rotary
from hotloop.nn import functional as F
from hotloop.nn.engine import grad

# (samples, steps, heads, numbers of a head)
ROTATED = [(8, 512, 8, 64), (1, 2048, 32, 128), (32, 64, 4, 32)]
# (samples, queries, keys, hidden units, numbers of a value)
ATTENDED = [(32, 1, 50, 256, 256), (16, 20, 50, 128, 128), (8, 64, 64, 512, 256)]
# times the best peer's speed, or how near to the ceiling
TARGETS = {"target": 1.5, "target, % of bandwidth": 85}


# ---- rotary positions


def rotated(shape):
    """x, dy, cos and sin."""
    x, dy = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    tables = nn.RotaryEmbedding(shape[3], shape[1]).table(shape[1])
    return x, dy, *tables


def rotary_hotloop(x, dy, cos, sin, interleaved):
    y, dx = np.empty_like(x), np.empty_like(x)

    def run():
        rotary.rotary_forward(y, x, cos, sin, interleaved)
        rotary.rotary_backward(dx, dy, cos, sin, interleaved)
        return y, dx

    return run


def rotary_torch(x, dy, cos, sin, interleaved):
    torch = peer("torch")
    x, dy, cos, sin = map(torch.from_numpy, (x, dy, cos[0, :, None], sin[0, :, None]))
    x.requires_grad_()
    whole = torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)

    def neighbours(x):
        a, b = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
        return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(3)

    def halves(x):
        a, b = x.chunk(2, -1)
        return x * whole[0] + torch.cat([-b, a], -1) * whole[1]

    turn = neighbours if interleaved else halves

    def run():
        y = turn(x)
        return y.detach(), *torch.autograd.grad(y, x, dy)

    return run


def rotary_jax(x, dy, cos, sin, interleaved):
    jax = peer("jax")
    numpy = jax.numpy
    x, dy, cos, sin = map(numpy.asarray, (x, dy, cos[0, :, None], sin[0, :, None]))

    def turn(x):
        if interleaved:
            a, b = x[..., ::2], x[..., 1::2]
            return numpy.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(x.shape)
        a, b = numpy.split(x, 2, -1)
        return numpy.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    @jax.jit
    def both(x, dy):
        y, pull = jax.vjp(turn, x)
        return y, *pull(dy)

    return lambda: jax.block_until_ready(both(x, dy))


ROTARY = {"hotloop": rotary_hotloop, "torch": rotary_torch, "jax": rotary_jax}


@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "neighbours"])
@pytest.mark.parametrize("shape", ROTATED, ids=str)
@pytest.mark.parametrize("who", ROTARY)
def bench_rotary(clock, benchmark, who, shape, interleaved):
    x, dy, *tables = given = rotated(shape)
    want = np.empty(x.shape), np.empty(x.shape)
    wide = [t.astype(np.float64) for t in tables]
    ref_rotary.rotary_forward(want[0], x.astype(np.float64), *wide, interleaved)
    ref_rotary.rotary_backward(want[1], dy.astype(np.float64), *wide, interleaved)
    benchmark.extra_info |= TARGETS
    name = "N{} L{} H{} D{}".format(*shape)
    pairs = "neighbours" if interleaved else "halves"
    clock(ROTARY[who](*given, interleaved), f"rotary positions, {pairs}, {name}", want, moved=4 * x.nbytes)


# ---- additive attention


def attended(n, steps, keys, hidden, width):
    """Projected queries and keys, values, the weights of units and the gradient of the context."""
    rng = np.random.default_rng(0)
    shapes = (n, steps, hidden), (n, keys, hidden), (n, keys, width), (hidden,), (n, steps, width)
    q, k, value, v, dy = (rng.standard_normal(s, np.float32) for s in shapes)
    return q, k, value, v / np.float32(np.sqrt(hidden)), dy


def wanted(q, k, value, v, dy):
    """(context, gradients of q, k, value and v) of the definition in float64."""
    q, k, value, v, dy = (a.astype(np.float64) for a in (q, k, value, v, dy))
    scores = np.empty((*q.shape[:2], k.shape[1]))
    ref_additive.additive_forward(scores, q, k, v)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    slope = dy @ value.swapaxes(1, 2)
    ds = weights * (slope - (slope * weights).sum(-1, keepdims=True))
    gradients = [np.empty_like(a) for a in (q, k, v)]
    ref_additive.additive_backward(*gradients, ds, q, k, v, False)
    return weights @ value, *gradients[:2], weights.swapaxes(1, 2) @ dy, gradients[2]


def additive_hotloop(*given):
    *given, dy = given
    q, k, value, v = (hotloop.tensor(a).requires_grad_() for a in given)

    def run():
        context, _ = F.additive_attention(q, k, value, v)
        return context.numpy(), *grad(context, (q, k, value, v), dy)

    return run


def additive_torch(*given):
    torch = peer("torch")
    *given, dy = map(torch.from_numpy, given)
    q, k, value, v = (a.requires_grad_() for a in given)

    def run():
        context = (torch.tanh(q[:, :, None] + k[:, None]) @ v).softmax(-1) @ value
        return context.detach(), *torch.autograd.grad(context, (q, k, value, v), dy)

    return run


def additive_jax(*given):
    jax = peer("jax")
    *given, dy = map(jax.numpy.asarray, given)

    def attend(q, k, value, v):
        return jax.nn.softmax(jax.numpy.tanh(q[:, :, None] + k[:, None]) @ v, -1) @ value

    @jax.jit
    def both(dy, *given):
        context, pull = jax.vjp(attend, *given)
        return context, *pull(dy)

    return lambda: jax.block_until_ready(both(dy, *given))


def additive_keras(*given):
    keras, tensorflow = peer("keras"), peer("tensorflow")
    *given, dy = map(tensorflow.constant, given)
    *given, v = given
    layer = keras.layers.AdditiveAttention()
    layer.build([given[0].shape, given[2].shape, given[1].shape])
    layer.scale.assign(v)

    @tensorflow.function
    def both(q, k, value, dy):
        with tensorflow.GradientTape() as tape:
            tape.watch((q, k, value))
            context = layer([q, value, k])
        return context, *tape.gradient(context, (q, k, value, layer.scale.value), dy)

    both.get_concrete_function(*given, dy)
    return lambda: both(*given, dy)


ADDITIVE = {"hotloop": additive_hotloop, "torch": additive_torch, "jax": additive_jax, "keras": additive_keras}


@pytest.mark.parametrize("shape", ATTENDED, ids=str)
@pytest.mark.parametrize("who", ADDITIVE)
def bench_additive(clock, benchmark, who, shape):
    given = attended(*shape)
    benchmark.extra_info["target"] = TARGETS["target"]
    name = "N{} L{} S{} H{} E{}".format(*shape)
    clock(ADDITIVE[who](*given), f"additive attention {name}, forward + backward", wanted(*given))
