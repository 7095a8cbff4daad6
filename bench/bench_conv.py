"""Convolutions with a bias, forward and backward (all gradients), at the layers of small image networks.

Images lie as each library's users have them: channels first for hotloop and PyTorch, last for JAX (Flax) and Keras,
which is TensorFlow's function here. The report adds the two rows of a layer; the targets are for the sum.
"""

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


def target(layer):
    """Times the best peer's speed, forward and backward together."""
    c, groups = LAYERS[layer][1], LAYERS[layer][7]
    return 1.5 if c <= 3 or groups > 1 else 1.2


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


def channels_last(layer, a):
    """An array of ours as TensorFlow and JAX have it; biases stay."""
    if a.ndim == 1:
        return a
    is_weight = a.shape[-1] == LAYERS[layer][4]
    return np.ascontiguousarray(a.transpose((2, 3, 1, 0) if is_weight else (0, 2, 3, 1)))


def _jax_conv(layer):
    jax = peer("jax")
    stride, padding, groups = LAYERS[layer][5:]

    def conv(x, w, b):
        kept = dict(padding=[(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jax.lax.conv_general_dilated(x, w, (stride, stride), feature_group_count=groups, **kept) + b

    return jax, conv


def forward_jax(layer, x, w, b, dy):
    jax, conv = _jax_conv(layer)
    x, w, b = (jax.numpy.asarray(a) for a in (x, w, b))
    compiled = jax.jit(conv)
    return lambda: compiled(x, w, b).block_until_ready()


def _tensorflow_conv(layer, *arrays):
    tensorflow = peer("tensorflow")
    stride, padding, groups = LAYERS[layer][5:]
    strides, edge = (1, stride, stride, 1), [[0, 0], [padding] * 2, [padding] * 2, [0, 0]]

    def conv(x, w, b):
        if groups > 1:
            # one multiple a channel: (3, 3, 1, C) is (3, 3, C, 1)
            y = tensorflow.nn.depthwise_conv2d(x, tensorflow.reshape(w, (*w.shape[:2], groups, 1)), strides, "SAME")
        else:
            y = tensorflow.nn.conv2d(x, w, strides, edge)
        return tensorflow.nn.bias_add(y, b)

    return tensorflow, conv, *map(tensorflow.constant, arrays)


def forward_tensorflow(layer, x, w, b, dy):
    tensorflow, conv, *given = _tensorflow_conv(layer, x, w, b)
    function = tensorflow.function(conv)
    return lambda: function(*given)


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


def backward_tensorflow(layer, x, w, b, dy):
    tensorflow, conv, *given, dy = _tensorflow_conv(layer, x, w, b, dy)

    @tensorflow.function
    def gradients(x, w, b, dy):
        with tensorflow.GradientTape() as tape:
            tape.watch((x, w, b))
            # nothing of the gradients depends on the result: the graph that is run does not compute it
            y = conv(x, w, b)
        return tape.gradient(y, (x, w, b), dy)

    return lambda: gradients(*given, dy)


FORWARD = {"hotloop": forward_hotloop, "torch": forward_torch, "jax": forward_jax, "tensorflow": forward_tensorflow}
BACKWARD = {
    "hotloop": backward_hotloop,
    "torch": backward_torch,
    "jax": backward_jax,
    "tensorflow": backward_tensorflow,
}


def as_users_have(who, layer, *arrays):
    return [channels_last(layer, a) for a in arrays] if who in ("jax", "tensorflow") else list(arrays)


def operations(layer, given):
    _, c, _, _, taps, _, _, groups = LAYERS[layer]
    return 2 * given["dy"].size * c // groups * taps * taps


def run(clock, benchmark, who, layer, direction, contestants, given, want, flops):
    if direction == "backward":
        benchmark.extra_info["target, with forward"] = target(layer)
    call = contestants[who](layer, *as_users_have(who, layer, *given.values()))
    want = as_users_have(who, layer, *want)
    clock(call, f"conv {layer}, {direction}", tuple(want) if len(want) > 1 else want[0], flops=flops)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("who", FORWARD)
def bench_conv_forward(clock, benchmark, who, layer):
    given = operands(*LAYERS[layer])
    want = np.empty_like(given["dy"])
    absent = np.empty(0, np.float32)
    ref.conv_forward(five(want), absent, five(given["x"]), five(given["w"]), given["b"], 0, *numbers(layer))
    run(clock, benchmark, who, layer, "forward", FORWARD, given, [want], operations(layer, given))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("who", BACKWARD)
def bench_conv_backward(clock, benchmark, who, layer):
    given = operands(*LAYERS[layer])
    x, w, b, dy = given.values()
    want = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    absent = np.empty(0, np.float32)
    arrays = five(want[0]), five(want[1]), want[2], five(dy), five(x), five(w), absent, absent
    ref.conv_backward(*arrays, 0, *numbers(layer), False)
    run(clock, benchmark, who, layer, "backward", BACKWARD, given, want, 2 * operations(layer, given))
