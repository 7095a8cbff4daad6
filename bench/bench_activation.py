"""Activations and softmax, forward and backward, in cache and beyond it: vector math where it is, else bandwidth.

A copy of as many elements stands first: what a map can reach at most. "Of the ceiling" compares with a copy of the same
footprint inside compiled code. NumPy and PyTorch write into outputs that exist, as our kernels do: at eight million
elements fresh memory alone would cost them ten milliseconds. JAX has no such way.
"""

import math

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels import scalar
from hotloop.kernels.cpu import activation, elementwise, softmax
from hotloop.kernels.ref import activation as ref_activation
from hotloop.kernels.ref import softmax as ref_softmax

# one of each cost: a comparison, exp and a division, expm1 and a division, expm1, erf
NAMES = ("relu", "sigmoid", "tanh", "elu", "gelu")
NUMBERS = {"elu": (1.0,)}
# in the first-level cache, in the second, in the last, in memory
SIZES = (4096, 65536, 2**20, 2**23)


def copy_hotloop(x):
    y = np.empty_like(x)

    def run():
        elementwise.copy_forward(y, x)
        return y

    return run


def copy_numpy(x):
    y = np.empty_like(x)

    def run():
        np.copyto(y, x)
        return y

    return run


def copy_torch(x):
    x = peer("torch").from_numpy(x)
    y = x.clone()
    return lambda: y.copy_(x)


def numpy_sigmoid(x, out):
    np.exp(np.negative(x, out=out), out=out)
    np.reciprocal(np.add(out, 1, out=out), out=out)


def numpy_elu(x, out):
    np.expm1(np.minimum(x, 0, out=out), out=out)
    np.copyto(out, x, where=x > 0)


NUMPY = {"relu": lambda x, out: np.maximum(x, 0, out=out), "sigmoid": numpy_sigmoid, "tanh": np.tanh, "elu": numpy_elu}


def forward_hotloop(name, x):
    y, kernel, numbers = np.empty_like(x), getattr(activation, f"{name}_forward"), NUMBERS.get(name, ())

    def run():
        kernel(y, x, *numbers)
        return y

    return run


def forward_numpy(name, x):
    if name not in NUMPY:
        pytest.skip(f"NumPy has no function for {name}")
    y = np.empty_like(x)

    def run():
        NUMPY[name](x, out=y)
        return y

    return run


def forward_torch(name, x):
    torch = peer("torch")
    function, x = getattr(torch.ops.aten, name).out, torch.from_numpy(x)
    y = torch.empty_like(x)
    return torch.no_grad()(lambda: function(x, out=y))


def jax_function(jax, name):
    return (lambda x: jax.nn.gelu(x, approximate=False)) if name == "gelu" else getattr(jax.nn, name)


def forward_jax(name, x):
    jax = peer("jax")
    function, x = jax.jit(jax_function(jax, name)), jax.numpy.asarray(x)
    return lambda: function(x).block_until_ready()


def backward_hotloop(name, x, dy):
    _, _, kept = scalar.KERNELS[name]
    dx, kernel, numbers = np.empty_like(x), getattr(activation, f"{name}_backward"), NUMBERS.get(name, ())
    given = forward_hotloop(name, x)() if kept == "y" else x

    def run():
        kernel(dx, dy, given, *numbers)
        return dx

    return run


def backward_torch(name, x, dy):
    torch = peer("torch")
    aten, x, dy = torch.ops.aten, torch.from_numpy(x), torch.from_numpy(dy)
    # what autograd calls, with the arguments that torch's defaults stand for
    function, *given = {
        "relu": (aten.threshold_backward, torch.relu(x), 0),
        "sigmoid": (aten.sigmoid_backward, torch.sigmoid(x)),
        "tanh": (aten.tanh_backward, torch.tanh(x)),
        "elu": (aten.elu_backward, 1, 1, 1, False, x),
        "gelu": (aten.gelu_backward, x),
    }[name]
    dx = torch.empty_like(x)
    return torch.no_grad()(lambda: function.grad_input(dy, *given, grad_input=dx))


def backward_jax(name, x, dy):
    jax = peer("jax")
    x, dy = jax.numpy.asarray(x), jax.numpy.asarray(dy)
    _, pull = jax.vjp(jax_function(jax, name), x)
    gradient = jax.jit(lambda dy: pull(dy)[0])
    return lambda: gradient(dy).block_until_ready()


def softmax_hotloop(x):
    y, lines = np.empty_like(x), (x.shape[0], x.shape[1], math.prod(x.shape[2:]))

    def run():
        softmax.softmax_forward(y.reshape(lines), x.reshape(lines))
        return y

    return run


def softmax_numpy(x):
    y = np.empty_like(x)

    def run():
        np.exp(np.subtract(x, x.max(1, keepdims=True), out=y), out=y)
        return np.divide(y, y.sum(1, keepdims=True), out=y)

    return run


def softmax_torch(x):
    torch = peer("torch")
    x = torch.from_numpy(x)
    y = torch.empty_like(x)
    return torch.no_grad()(lambda: torch.softmax(x, 1, out=y))


def softmax_jax(x):
    jax = peer("jax")
    function, x = jax.jit(lambda x: jax.nn.softmax(x, 1)), jax.numpy.asarray(x)
    return lambda: function(x).block_until_ready()


COPY = {"hotloop": copy_hotloop, "numpy": copy_numpy, "torch": copy_torch}
FORWARD = {"hotloop": forward_hotloop, "numpy": forward_numpy, "torch": forward_torch, "jax": forward_jax}
BACKWARD = {"hotloop": backward_hotloop, "torch": backward_torch, "jax": backward_jax}
SOFTMAX = {"hotloop": softmax_hotloop, "numpy": softmax_numpy, "torch": softmax_torch, "jax": softmax_jax}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("who", COPY)
def bench_copy(clock, who, n):
    x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    clock(COPY[who](x), f"copy, {n} elements", x, moved=8 * n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("who", FORWARD)
def bench_activation_forward(clock, who, name, n):
    x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    want = np.empty(n)
    getattr(ref_activation, f"{name}_forward")(want, x.astype(np.float64), *NUMBERS.get(name, ()))
    clock(FORWARD[who](name, x), f"{name}, {n} elements, forward", want, moved=8 * n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("who", BACKWARD)
def bench_activation_backward(clock, who, name, n):
    x, dy = np.random.default_rng(0).standard_normal((2, n)).astype(np.float32)
    want, given, numbers = np.empty(n), x.astype(np.float64), NUMBERS.get(name, ())
    if scalar.KERNELS[name][2] == "y":
        getattr(ref_activation, f"{name}_forward")(given, given.copy(), *numbers)
    getattr(ref_activation, f"{name}_backward")(want, dy.astype(np.float64), given, *numbers)
    clock(BACKWARD[who](name, x, dy), f"{name}, {n} elements, backward", want, moved=12 * n)


@pytest.mark.parametrize("shape", [(128, 10), (128, 1000), (32, 50257), (16, 21, 64, 64)], ids=str)
@pytest.mark.parametrize("who", SOFTMAX)
def bench_softmax(clock, who, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    want, lines = np.empty(shape), (shape[0], shape[1], math.prod(shape[2:]))
    ref_softmax.softmax_forward(want.reshape(lines), x.astype(np.float64).reshape(lines))
    clock(SOFTMAX[who](x), f"softmax over dimension 1 of {shape}, forward", want, moved=8 * x.size)
