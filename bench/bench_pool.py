"""Pooling, forward and backward, on planes of convolutional networks: bandwidth is the bound.

"Of the ceiling" compares with a copy of the input and the result as one: what is read and written at least, positions
of the largest not counted. Forward gives those too, as in training. PyTorch writes into outputs that exist, as our
kernels do; JAX and TensorFlow have no such way, and their forward keeps no positions: with its backward it is one
compiled function. TensorFlow's planes lie with their channels last.
"""

import numpy as np
import pytest
from conftest import peer
from hotloop.kernels.cpu import pool_average, pool_max
from hotloop.nn.pooling_windows import regular_windows, unit_axis

# shape of x; kernel, stride, padding: halves of planes large and small, a network's first pooling, one that keeps sizes
CASES = (
    ((16, 64, 56, 56), (2, 2, 0)),
    ((16, 64, 56, 56), (3, 2, 1)),
    ((16, 256, 14, 14), (2, 2, 0)),
    ((16, 64, 28, 28), (3, 1, 1)),
)
# times the best peer's speed, or how near to the ceiling
TARGETS = {"target": 1.5, "target, % of bandwidth": 85}


def tables(shape, window, divisor):
    """Windows of planes, rows and columns."""
    kernel, stride, padding = window
    sizes = ((n, kernel, stride, padding, 1, False, divisor) for n in shape[2:])
    return (unit_axis("cpu"), *(regular_windows("bench", "cpu", *axis) for axis in sizes))


def planes(x):
    return x.reshape(x.shape[0] * x.shape[1], 1, *x.shape[2:])


def pooled(operation, x, window):
    """(windows, result, positions) of ours; no positions of averages."""
    windows = tables(x.shape, window, "step" if operation == "max" else "padded")
    y = np.empty((*x.shape[:2], *(t.shape[1] for t in windows[1:])), x.dtype)
    return windows, y, np.empty(y.shape, np.int32) if operation == "max" else None


def forward_hotloop(operation, x, window):
    windows, y, indices = pooled(operation, x, window)

    def largest():
        pool_max.max_pool_forward(planes(y), planes(indices), planes(x), *windows, False)
        return y

    def average():
        pool_average.average_pool_forward(planes(y), planes(x), *windows)
        return y

    return largest if operation == "max" else average


def backward_hotloop(operation, x, dy, window):
    windows, y, indices = pooled(operation, x, window)
    dx = np.empty_like(x)

    def largest():
        pool_max.max_pool_backward(planes(dx), planes(dy), planes(indices), *windows)
        return dx

    def average():
        pool_average.average_pool_backward(planes(dx), planes(dy), *windows)
        return dx

    if operation == "max":
        pool_max.max_pool_forward(planes(y), planes(indices), planes(x), *windows, False)
    return largest if operation == "max" else average


def torch_arguments(window):
    return [[n, n] for n in window]


def forward_torch(operation, x, window):
    torch = peer("torch")
    aten, x, given = torch.ops.aten, torch.from_numpy(x), torch_arguments(window)
    if operation == "max":
        y, indices = aten.max_pool2d_with_indices(x, *given)
        return torch.no_grad()(lambda: aten.max_pool2d_with_indices.out(x, *given, out=y, indices=indices)[0])
    y = aten.avg_pool2d(x, *given)
    return torch.no_grad()(lambda: aten.avg_pool2d.out(x, *given, out=y))


def backward_torch(operation, x, dy, window):
    torch = peer("torch")
    aten, x, dy, given = torch.ops.aten, torch.from_numpy(x), torch.from_numpy(dy), torch_arguments(window)
    dx = torch.empty_like(x)
    if operation == "max":
        _, indices = aten.max_pool2d_with_indices(x, *given)
        function, rest = aten.max_pool2d_with_indices_backward.grad_input, ([1, 1], False, indices)
    else:
        function, rest = aten.avg_pool2d_backward.grad_input, (False, True, None)
    return torch.no_grad()(lambda: function(dy, x, *given, *rest, grad_input=dx))


def jax_function(jax, operation, window):
    kernel, stride, padding = window
    sides = (1, 1, kernel, kernel), (1, 1, stride, stride), ((0, 0), (0, 0), (padding, padding), (padding, padding))
    if operation == "max":
        return lambda x: jax.lax.reduce_window(x, -np.inf, jax.lax.max, *sides)
    return lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, *sides) / kernel**2


def forward_jax(operation, x, window):
    jax = peer("jax")
    function, x = jax.jit(jax_function(jax, operation, window)), jax.numpy.asarray(x)
    return lambda: function(x).block_until_ready()


def both_jax(operation, x, dy, window):
    jax = peer("jax")
    x, dy = jax.numpy.asarray(x), jax.numpy.asarray(dy)

    def step(x, dy):
        y, pull = jax.vjp(jax_function(jax, operation, window), x)
        return y, pull(dy)[0]

    function = jax.jit(step)
    return lambda: function(x, dy)[1].block_until_ready()


def tensorflow_function(operation, window):
    tensorflow = peer("tensorflow")
    kernel, stride, padding = window
    if operation == "max":
        edge = [[0, 0], [padding] * 2, [padding] * 2, [0, 0]]
        return tensorflow, lambda x: tensorflow.nn.max_pool2d(x, kernel, stride, edge if padding else "VALID")
    if padding:
        pytest.skip("tensorflow: its means do not count the padding")
    return tensorflow, lambda x: tensorflow.nn.avg_pool2d(x, kernel, stride, "VALID")


def forward_tensorflow(operation, x, window):
    tensorflow, function = tensorflow_function(operation, window)
    function, x = tensorflow.function(function), tensorflow.constant(x)
    return lambda: function(x)


def both_tensorflow(operation, x, dy, window):
    tensorflow, function = tensorflow_function(operation, window)
    x, dy = tensorflow.constant(x), tensorflow.constant(dy)

    @tensorflow.function
    def step(x, dy):
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, dy)

    return lambda: step(x, dy)[1]


def one_after_the_other(forward, backward):
    """Forward, then backward, as a training step has them; gives dx."""

    def both(operation, x, dy, window):
        ahead, back = forward(operation, x, window), backward(operation, x, dy, window)

        def run():
            ahead()
            return back()

        return run

    return both


FORWARD = {"hotloop": forward_hotloop, "torch": forward_torch, "jax": forward_jax, "tensorflow": forward_tensorflow}
BOTH = {
    "hotloop": one_after_the_other(forward_hotloop, backward_hotloop),
    "torch": one_after_the_other(forward_torch, backward_torch),
    "jax": both_jax,
    "tensorflow": both_tensorflow,
}


def workload(operation, shape, window):
    """(x, dy, y, dx): the results in float64, an element of all windows at a time.

    Every plane is different: where planes repeat, branches are foreseen that a network's would not let be.
    """
    kernel, stride, padding = window
    rng, edge = np.random.default_rng(0), ((0, 0), (0, 0), (padding, padding), (padding, padding))
    x = rng.standard_normal(shape).astype(np.float32)
    wide = np.pad(x.astype(np.float64), edge, constant_values=-np.inf if operation == "max" else 0.0)
    reach = [(n + 2 * padding - kernel) // stride * stride + 1 for n in shape[2:]]
    boxes = [np.s_[:, :, i : i + reach[0] : stride, j : j + reach[1] : stride] for i, j in np.ndindex(kernel, kernel)]
    elements = np.stack([wide[box] for box in boxes])
    y = elements.max(0) if operation == "max" else elements.mean(0)
    dy, best = rng.standard_normal(y.shape).astype(np.float32), elements.argmax(0)
    slope = np.zeros_like(wide)
    for k, box in enumerate(boxes):
        slope[box] += dy * (best == k) if operation == "max" else dy / np.float64(kernel**2)
    return x, dy, y, slope[:, :, padding : padding + shape[2], padding : padding + shape[3]]


def words(operation, shape, window):
    kernel, stride, padding = window
    return f"{operation} pool {kernel}x{kernel} stride {stride} padding {padding} of {shape}"


def as_users_have(who, *arrays):
    return [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) if who == "tensorflow" else a for a in arrays]


@pytest.mark.parametrize(("shape", "window"), CASES, ids=str)
@pytest.mark.parametrize("operation", ["max", "average"])
@pytest.mark.parametrize("who", FORWARD)
def bench_pool_forward(clock, who, operation, shape, window):
    x, _, y, _ = workload(operation, shape, window)
    moved = 4 * (x.size + y.size)
    x, y = as_users_have(who, x, y)
    clock(FORWARD[who](operation, x, window), f"{words(operation, shape, window)}, forward", y, moved=moved)


@pytest.mark.parametrize(("shape", "window"), CASES, ids=str)
@pytest.mark.parametrize("operation", ["max", "average"])
@pytest.mark.parametrize("who", BOTH)
def bench_pool_both(clock, benchmark, who, operation, shape, window):
    x, dy, _, dx = workload(operation, shape, window)
    moved = 8 * (x.size + dy.size)
    x, dy, dx = as_users_have(who, x, dy, dx)
    benchmark.extra_info.update(TARGETS)
    call = BOTH[who](operation, x, dy, window)
    clock(call, f"{words(operation, shape, window)}, forward + backward", dx, moved=moved)
