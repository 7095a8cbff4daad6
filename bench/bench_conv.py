"""Convolutions with a bias, forward and backward (all gradients), at the layers of small image networks."""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu.conv import conv_backward, conv_forward
from hotloop.kernels.ref import conv as ref

# name: images, channels in and out, side, kernel, stride, padding, groups
LAYERS = {
    "3x3, 64 to 64, 56 x 56": (16, 64, 64, 56, 3, 1, 1, 1),
    "3x3, 128 to 128, 28 x 28": (16, 128, 128, 28, 3, 1, 1, 1),
    "3x3, 256 to 256, 14 x 14": (16, 256, 256, 14, 3, 1, 1, 1),
    "3x3, 1 to 32, 28 x 28": (64, 1, 32, 28, 3, 1, 1, 1),
    "3x3, 3 to 32, 32 x 32": (64, 3, 32, 32, 3, 1, 1, 1),
    "3x3 of stride 2, 64 to 128, 56 x 56": (16, 64, 128, 56, 3, 2, 1, 1),
    "1x1, 256 to 64, 56 x 56": (16, 256, 64, 56, 1, 1, 0, 1),
    "depthwise 3x3, 64, 56 x 56": (16, 64, 64, 56, 3, 1, 1, 64),
}


def operands(n, c, k, side, taps, stride, padding, groups):
    # small whole numbers: results are exact, whoever sums in whatever order
    rng = np.random.default_rng(0)
    out = (side + 2 * padding - taps) // stride + 1
    shapes = {"x": (n, c, side, side), "w": (k, c // groups, taps, taps), "b": (k,), "dy": (n, k, out, out)}
    return {name: rng.integers(-2, 3, shape).astype(np.float32) for name, shape in shapes.items()}


def five(a):
    return a.reshape(*a.shape[:2], 1, *a.shape[2:])


def numbers(layer):
    stride, padding, groups = LAYERS[layer][5:]
    return 1, stride, stride, 0, padding, padding, 1, 1, 1, groups


def forward_hotloop(layer, x, w, b, dy):
    y, absent = np.empty_like(dy), np.empty(0, np.float32)

    def run():
        conv_forward(five(y), absent, five(x), five(w), b, 0, *numbers(layer))
        return y

    return run


def forward_torch(layer, x, w, b, dy):
    torch = peer("torch")
    stride, padding, groups = LAYERS[layer][5:]
    x, w, b = (torch.from_numpy(a) for a in (x, w, b))
    return torch.no_grad()(lambda: torch.nn.functional.conv2d(x, w, b, stride, padding, 1, groups))


def _jax_conv(layer):
    jax = peer("jax")
    stride, padding, groups = LAYERS[layer][5:]

    def conv(x, w, b):
        kept = dict(padding=[(padding, padding)] * 2, feature_group_count=groups)
        return jax.lax.conv_general_dilated(x, w, (stride, stride), **kept) + b[:, None, None]

    return jax, conv


def forward_jax(layer, x, w, b, dy):
    jax, conv = _jax_conv(layer)
    x, w, b = (jax.numpy.asarray(a) for a in (x, w, b))
    compiled = jax.jit(conv)
    return lambda: compiled(x, w, b).block_until_ready()


def backward_hotloop(layer, x, w, b, dy):
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    absent = np.empty(0, np.float32)
    arrays = five(dx), five(dw), db, five(dy), five(x), five(w), absent, absent

    def run():
        conv_backward(*arrays, 0, *numbers(layer), False)
        return dx, dw, db

    return run


def backward_torch(layer, x, w, b, dy):
    torch = peer("torch")
    stride, padding, groups = LAYERS[layer][5:]
    x, w, b = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    dy = torch.from_numpy(dy)
    y = torch.nn.functional.conv2d(x, w, b, stride, padding, 1, groups)
    return lambda: torch.autograd.grad(y, (x, w, b), dy, retain_graph=True)


def backward_jax(layer, x, w, b, dy):
    jax, conv = _jax_conv(layer)
    x, w, b, dy = (jax.numpy.asarray(a) for a in (x, w, b, dy))
    _, pull = jax.vjp(conv, x, w, b)
    gradients = jax.jit(pull)
    return lambda: jax.block_until_ready(gradients(dy))


FORWARD = {"hotloop": forward_hotloop, "torch": forward_torch, "jax": forward_jax}
BACKWARD = {"hotloop": backward_hotloop, "torch": backward_torch, "jax": backward_jax}


def operations(layer, given):
    _, c, _, _, taps, _, _, groups = LAYERS[layer]
    return 2 * given["dy"].size * c // groups * taps * taps


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("who", FORWARD)
def bench_conv_forward(clock, who, layer):
    given = operands(*LAYERS[layer])
    want = np.empty_like(given["dy"])
    absent = np.empty(0, np.float32)
    ref.conv_forward(five(want), absent, five(given["x"]), five(given["w"]), given["b"], 0, *numbers(layer))
    clock(FORWARD[who](layer, **given), f"conv {layer}, forward", want, flops=operations(layer, given))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("who", BACKWARD)
def bench_conv_backward(clock, who, layer):
    given = operands(*LAYERS[layer])
    x, w, b, dy = given.values()
    want = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    absent = np.empty(0, np.float32)
    arrays = five(want[0]), five(want[1]), want[2], five(dy), five(x), five(w), absent, absent
    ref.conv_backward(*arrays, 0, *numbers(layer), False)
    clock(BACKWARD[who](layer, **given), f"conv {layer}, backward", want, flops=2 * operations(layer, given))
