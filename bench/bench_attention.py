"""Scaled dot-product attention: forward alone, and forward and backward with the gradients of q, k and v.

All libraries are called as their users call them, with arrays as they have them: (N, H, T, D), for JAX and Keras
(N, T, H, D). "torch products" is PyTorch without its fused kernel: matmul, softmax, matmul. Long sequences show what a
call holds at most beyond its arguments and results, by the system's count of the process's pages: the scores of a
whole sequence are T x T numbers a head.
"""

import ctypes
import functools
import gc
import re
from pathlib import Path

import hotloop
import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.ref import attention as ref
from hotloop.nn import functional as F
from hotloop.nn.engine import grad
from hotloop.nn.pool import POOL

# (samples, heads, steps, numbers of a head)
SHAPES = [(8, 8, 128, 64), (8, 8, 512, 64), (32, 4, 64, 32)]
LONG = [(1, 4, 2048, 64), (1, 4, 4096, 64)]
# times the best peer's speed, forward and backward
TARGET = 1.5


def operands(n, h, t, d):
    """q, k, v and the gradient of the result."""
    return np.random.default_rng(0).standard_normal((4, n, h, t, d), np.float32)


@functools.lru_cache(1)
def wanted(shape, causal):
    """(y, dq, dk, dv) of the definition in float64, a sample's head at a time: scores are large."""
    q, k, v, dy = operands(*shape)
    results = np.empty((4, *q.shape))
    none, state = np.empty(0), np.empty(0, np.uint64)
    for n, h in np.ndindex(q.shape[:2]):
        y, dq, dk, dv = (a[n : n + 1, h : h + 1] for a in results)
        given = [a[n : n + 1, h : h + 1].astype(np.float64) for a in (q, k, v)]
        options = state, q.shape[3] ** -0.5, causal, 0.0
        lse = np.empty(y.shape[:3])
        ref.attention_forward(y, lse, none, *given, none, none.astype(bool), *options)
        slope = dy[n : n + 1, h : h + 1].astype(np.float64)
        rest = none, none.astype(bool), y, lse, none, *options
        ref.attention_backward(dq, dk, dv, none, slope, none, *given, *rest)
    return tuple(results)


def with_hotloop(q, k, v, dy, causal, backward):
    q, k, v = (hotloop.tensor(a).requires_grad_(backward) for a in (q, k, v))

    def run():
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return (y.numpy(), *grad(y, (q, k, v), dy)) if backward else (y.numpy(),)

    return run


def torch_products(q, k, v, is_causal):
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if is_causal:
        future = scores.new_ones(scores.shape[-2:], dtype=peer("torch").bool).triu(1)
        scores = scores.masked_fill(future, -np.inf)
    return scores.softmax(-1) @ v


def torch_fused(q, k, v, is_causal):
    return peer("torch").nn.functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal)


def with_torch(function, q, k, v, dy, causal, backward):
    torch = peer("torch")
    q, k, v = (torch.from_numpy(a).requires_grad_(backward) for a in (q, k, v))
    dy = torch.from_numpy(dy)

    def run():
        y = function(q, k, v, is_causal=causal)
        return (y.detach(), *torch.autograd.grad(y, (q, k, v), dy)) if backward else (y,)

    return run


def with_jax(q, k, v, dy, causal, backward):
    jax = peer("jax")

    def attend(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, is_causal=causal)

    def both(q, k, v, dy):
        y, pull = jax.vjp(attend, q, k, v)
        return y, *pull(dy)

    given = [jax.numpy.asarray(a.swapaxes(1, 2)) for a in (q, k, v, dy)]
    function, given = (both, given) if backward else (lambda *given: (attend(*given),), given[:3])
    # compiled here: what the compiler holds is not the call's
    compiled = jax.jit(function).lower(*given).compile()
    return lambda: jax.block_until_ready(compiled(*given))


def with_keras(q, k, v, dy, causal, backward):
    keras, tensorflow = peer("keras"), peer("tensorflow")
    q, k, v, dy = (tensorflow.constant(a.swapaxes(1, 2)) for a in (q, k, v, dy))

    @tensorflow.function
    def call(q, k, v, dy):
        with tensorflow.GradientTape() as tape:
            tape.watch((q, k, v))
            y = keras.ops.dot_product_attention(q, k, v, is_causal=causal)
        return (y, *tape.gradient(y, (q, k, v), dy)) if backward else (y,)

    call.get_concrete_function(q, k, v, dy)
    return lambda: call(q, k, v, dy)


CONTESTANTS = {
    "hotloop": with_hotloop,
    "torch": lambda *given: with_torch(torch_fused, *given),
    "torch products": lambda *given: with_torch(torch_products, *given),
    "jax": with_jax,
    "keras": with_keras,
}


def named(n, h, t, d):
    return f"N{n} H{h} T{t} D{d}"


def compare(clock, benchmark, who, shape, causal, backward):
    n, h, t, d = shape
    given = operands(*shape)
    want = wanted(shape, causal)[: 4 if backward else 1]
    if who in ("jax", "keras"):
        want = tuple(a.swapaxes(1, 2) for a in want)
    call = CONTESTANTS[who](*given, causal, backward)
    if shape in LONG:
        # a short sequence first: what is compiled at a first call is not the call's
        CONTESTANTS[who](*operands(1, 1, 256, d), causal, backward)()
        benchmark.extra_info["held, MB"] = held(call, sum(a.nbytes // 2 for a in want)) / 1e6
    # both products of forward and the four of backward; of a causal one the half that is seen
    flops = (12 if backward else 4) * n * h * t * t * d // (2 if causal else 1)
    way = "forward + backward" if backward else "forward"
    clock(call, f"attention {named(*shape)}{', causal' if causal else ''}, {way}", want, flops=flops)


def held(call, results):
    """Bytes of memory that a call takes at most beyond its arguments and `results` bytes of results; nan if the system
    does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return float("nan")
    gc.collect()
    POOL.clear()
    # memory that was given back to malloc goes back to the system
    ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5")
    before = int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1])
    found = call()
    most = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
    del found
    return max(0, 1024 * (most - before) - results)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: named(*shape))
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_forward(clock, benchmark, who, shape):
    compare(clock, benchmark, who, shape, causal=False, backward=False)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: named(*shape))
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_both(clock, benchmark, who, shape, causal):
    benchmark.extra_info["target"] = TARGET
    compare(clock, benchmark, who, shape, causal, backward=True)


@pytest.mark.parametrize("shape", LONG, ids=lambda shape: named(*shape))
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_long(clock, benchmark, who, shape):
    compare(clock, benchmark, who, shape, causal=True, backward=True)
