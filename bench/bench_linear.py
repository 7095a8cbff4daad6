"""The linear layer with its activation, forward and backward (all gradients), at the sizes of real models."""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu.linear import linear_backward, linear_forward
from hotloop.kernels.scalar import ACTIVATIONS


def operands(n, d, h):
    # small whole numbers and a bias between them: nothing is so near to zero that rounding decides about ReLU
    rng = np.random.default_rng(0)
    shapes = {"x": (n, d), "w": (h, d), "b": (h,), "dy": (n, h)}
    drawn = {name: rng.integers(-2, 3, shape).astype(np.float32) for name, shape in shapes.items()}
    drawn["b"] += 0.5
    return drawn


def forward_hotloop(x, w, b, dy):
    y, absent = np.empty_like(dy), np.empty(0, np.float32)

    def run():
        linear_forward(y, absent, x, w, b, ACTIVATIONS["relu"])
        return y

    return run


def forward_numpy(x, w, b, dy):
    y = np.empty_like(dy)

    def run():
        np.matmul(x, w.T, out=y)
        np.add(y, b, out=y)
        return np.maximum(y, 0, out=y)

    return run


def forward_torch(x, w, b, dy):
    torch = peer("torch")
    x, w, b = (torch.from_numpy(a) for a in (x, w, b))
    return torch.no_grad()(lambda: torch.nn.functional.linear(x, w, b).relu_())


def forward_jax(x, w, b, dy):
    jax = peer("jax")
    x, w, b = (jax.numpy.asarray(a) for a in (x, w, b))
    layer = jax.jit(lambda x, w, b: jax.nn.relu(x @ w.T + b))
    return lambda: layer(x, w, b).block_until_ready()


def backward_hotloop(x, w, b, dy):
    y, absent = np.empty_like(dy), np.empty(0, np.float32)
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    linear_forward(y, absent, x, w, b, ACTIVATIONS["relu"])

    def run():
        linear_backward(dx, dw, db, dy, x, w, y, absent, ACTIVATIONS["relu"], False)
        return dx, dw, db

    return run


def backward_numpy(x, w, b, dy):
    positive = x @ w.T + b > 0

    def run():
        dz = dy * positive
        return dz @ w, dz.T @ x, dz.sum(0)

    return run


def backward_torch(x, w, b, dy):
    torch = peer("torch")
    x, w, b = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    dy = torch.from_numpy(dy)
    y = torch.nn.functional.linear(x, w, b).relu()
    return lambda: torch.autograd.grad(y, (x, w, b), dy, retain_graph=True)


def backward_jax(x, w, b, dy):
    jax = peer("jax")
    x, w, b, dy = (jax.numpy.asarray(a) for a in (x, w, b, dy))
    _, pull = jax.vjp(lambda x, w, b: jax.nn.relu(x @ w.T + b), x, w, b)
    gradients = jax.jit(pull)
    return lambda: jax.block_until_ready(gradients(dy))


FORWARD = {"hotloop": forward_hotloop, "numpy": forward_numpy, "torch": forward_torch, "jax": forward_jax}
BACKWARD = {"hotloop": backward_hotloop, "numpy": backward_numpy, "torch": backward_torch, "jax": backward_jax}
# (N, D, H): layers of the models in bench_step.py
SIZES = [(32, 4, 32), (1, 784, 128), (32, 784, 128), (128, 784, 128), (256, 1024, 1024)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("who", FORWARD)
def bench_linear_forward(clock, who, size):
    n, d, h = size
    given = operands(n, d, h)
    x, w, b, _ = (a.astype(np.float64) for a in given.values())
    want = np.maximum(x @ w.T + b, 0)
    clock(FORWARD[who](**given), f"linear + ReLU, N {n}, {d} to {h}, forward", want, flops=2 * n * d * h)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("who", BACKWARD)
def bench_linear_backward(clock, who, size):
    n, d, h = size
    given = operands(n, d, h)
    x, w, b, dy = (a.astype(np.float64) for a in given.values())
    dz = dy * (x @ w.T + b > 0)
    want = (dz @ w, dz.T @ x, dz.sum(0))
    clock(BACKWARD[who](**given), f"linear + ReLU, N {n}, {d} to {h}, backward", want, flops=4 * n * d * h)
