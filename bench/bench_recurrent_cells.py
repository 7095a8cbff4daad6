"""One step of recurrent cells, and steps of a stream one by one: small work, of which calling is a large part.

A layer's forward is timed in inference mode, the library's own where it has one; its kernel is called with outputs that
exist, beside the peers' functions without a layer. What a step of one sample cannot go below is reading its weights
from the second cache: 128 and 512 KB with 64 and 128 units, at some 32 bytes a cycle. A step of eight is bound by its
multiply-adds: of JAX's and PyTorch's time for them at 128 units they alone would be a third.
"""

import contextlib

import hotloop
import numpy as np
import pytest
import sequences
from conftest import peer
from hotloop import nn
from hotloop.kernels.cpu import recurrent_cells
from hotloop.kernels.ref import recurrent_cells as ref
from numba import njit

# (samples, units): as many features of the input as units
SHAPES = [(1, 64), (8, 64), (1, 128), (8, 128)]
STEPS = 100
# times the best peer's speed, of the LSTM's forward
TARGET = 5


def named(n, h):
    return f"N{n} D{h} H{h}"


def operands(cell, n, h):
    """x, states, weights and the gradient of the new state."""
    rng = np.random.default_rng(0)
    states = 2 if cell == "LSTM" else 1
    x, dh, *states = rng.standard_normal((2 + states, n, h), np.float32)
    return x, states, sequences.weights(rng, cell, h, h), dh


def flags(cell):
    return {"LSTM": (), "GRU": (True,), "RNN": (False,)}[cell]


def by_kernel(kernels, cell, x, states, parameters):
    """A call of a forward kernel of ours, or of its definition: gives the new states."""
    made, none = [np.empty_like(s) for s in states], np.empty((0, 0), x.dtype)
    gates = () if cell == "RNN" else (none,)
    kernel = getattr(kernels, f"{cell.lower()}_cell_forward")
    given = *made, *gates, x, *states, *parameters, *flags(cell)

    def run():
        kernel(*given)
        return tuple(made)

    return run


def layer_hotloop(cell, x, states, parameters):
    """A layer with these weights, its input, and its states as it wants them."""
    layer = getattr(nn, f"{cell}Cell")(x.shape[1], states[0].shape[1])
    for parameter, value in zip(layer.parameters(), parameters, strict=True):
        parameter.data = value.copy()
    x, *states = map(hotloop.tensor, (x, *states))
    return layer, x, tuple(states) if cell == "LSTM" else states[0]


def layer_torch(cell, x, states, parameters):
    torch = peer("torch")
    layer = getattr(torch.nn, f"{cell}Cell")(x.shape[1], states[0].shape[1])
    x, *states = map(torch.from_numpy, (x, *states))
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), parameters, strict=True):
            parameter.copy_(torch.from_numpy(value))
    return layer, x, tuple(states) if cell == "LSTM" else states[0]


def jax_step(cell):
    jax = peer("jax")
    numpy, sigmoid = jax.numpy, jax.nn.sigmoid

    def lstm(x, h, c, w_ih, w_hh, b_ih, b_hh):
        i, f, g, o = numpy.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * numpy.tanh(g)
        return sigmoid(o) * numpy.tanh(c), c

    def gru(x, h, w_ih, w_hh, b_ih, b_hh):
        (r, z, n), (of_r, of_z, of_n) = (numpy.split(v, 3, 1) for v in (x @ w_ih.T + b_ih, h @ w_hh.T + b_hh))
        z = sigmoid(z + of_z)
        return (z * h + (1 - z) * numpy.tanh(n + sigmoid(r + of_r) * of_n),)

    def rnn(x, h, w_ih, w_hh, b_ih, b_hh):
        return (numpy.tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh),)

    return {"LSTM": lstm, "GRU": gru, "RNN": rnn}[cell]


def forward_hotloop(cell, *given):
    layer, x, states = layer_hotloop(cell, *given)
    return hotloop.inference_mode(), lambda: layer(x, states)


def forward_torch(cell, *given):
    layer, x, states = layer_torch(cell, *given)
    return peer("torch").inference_mode(), lambda: layer(x, states)


def forward_jax(cell, x, states, parameters):
    jax = peer("jax")
    step, given = jax.jit(jax_step(cell)), [jax.numpy.asarray(v) for v in (x, *states, *parameters)]
    return contextlib.nullcontext(), lambda: jax.block_until_ready(step(*given))


def forward_keras(cell, x, states, parameters):
    keras, tensorflow = peer("keras"), peer("tensorflow")
    name = "SimpleRNN" if cell == "RNN" else cell
    layer = getattr(keras.layers, f"{name}Cell")(states[0].shape[1])
    layer.build(x.shape)
    layer.set_weights(sequences.keras_weights(name, *parameters))
    x, *states = map(tensorflow.constant, (x, *states))
    step = tensorflow.function(lambda x, states: layer(x, states)[1])
    return contextlib.nullcontext(), lambda: step(x, states)


FORWARD = {"hotloop": forward_hotloop, "torch": forward_torch, "jax": forward_jax, "keras": forward_keras}


def compare(clock, benchmark, group, context, call, want, target=None, flops=0):
    if target:
        benchmark.extra_info["target"] = target
    with context:
        clock(call, group, want, flops=flops)


def wanted(cell, x, states, parameters):
    """New states by the definition, in float64."""
    x, *states = (v.astype(np.float64) for v in (x, *states))
    return by_kernel(ref, cell, x, states, [v.astype(np.float64) for v in parameters])()


def work(cell, n, h):
    return 4 * n * sequences.GATES[cell] * h * h


@pytest.mark.parametrize("cell", sequences.GATES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: named(*s))
@pytest.mark.parametrize("who", FORWARD)
def bench_layer_forward(clock, benchmark, who, cell, shape):
    *given, _ = operands(cell, *shape)
    want = wanted(cell, *given)
    want = want if cell == "LSTM" else want[0]
    context, call = FORWARD[who](cell, *given)
    if who in ("jax", "keras") and cell != "LSTM":
        want = (want,)
    target = TARGET if cell == "LSTM" else None
    compare(clock, benchmark, f"{cell}Cell {named(*shape)}, forward", context, call, want, target, work(cell, *shape))


def kernel_hotloop(x, states, parameters):
    return contextlib.nullcontext(), by_kernel(recurrent_cells, "LSTM", x, states, parameters)


def kernel_torch(x, states, parameters):
    torch = peer("torch")
    x, *states = map(torch.from_numpy, (x, *states))
    parameters = list(map(torch.from_numpy, parameters))
    return torch.inference_mode(), lambda: torch.lstm_cell(x, states, *parameters)


def kernel_jax(*given):
    return forward_jax("LSTM", *given)


KERNEL = {"hotloop": kernel_hotloop, "torch": kernel_torch, "jax": kernel_jax}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: named(*s))
@pytest.mark.parametrize("who", KERNEL)
def bench_kernel_forward(clock, benchmark, who, shape):
    *given, _ = operands("LSTM", *shape)
    group = f"lstm_cell_forward, {named(*shape)}, without a layer"
    want = wanted("LSTM", *given)
    compare(clock, benchmark, group, *KERNEL[who](*given), want, TARGET, work("LSTM", *shape))


def backward_hotloop(cell, x, states, parameters, dh):
    layer, x, states = layer_hotloop(cell, x, states, parameters)
    leaves = x, *(states if cell == "LSTM" else (states,)), *layer.parameters()
    for leaf in leaves:
        leaf.requires_grad = True

    def run():
        made = layer(x, states)
        (made[0] if cell == "LSTM" else made).backward(dh)
        gradients = tuple(leaf.grad for leaf in leaves)
        for leaf in leaves:
            leaf.grad = None
        return gradients

    return run


def backward_torch(cell, x, states, parameters, dh):
    torch = peer("torch")
    layer, x, states = layer_torch(cell, x, states, parameters)
    leaves, dh = (x, *(states if cell == "LSTM" else (states,)), *layer.parameters()), torch.from_numpy(dh)
    for leaf in leaves:
        leaf.requires_grad_()

    def run():
        made = layer(x, states)
        return torch.autograd.grad(made[0] if cell == "LSTM" else made, leaves, dh)

    return run


def backward_jax(cell, x, states, parameters, dh):
    jax = peer("jax")
    step = jax_step(cell)

    @jax.jit
    def both(dh, *given):
        _, pull = jax.vjp(lambda *given: step(*given)[0], *given)
        return pull(dh)

    given = [jax.numpy.asarray(v) for v in (dh, x, *states, *parameters)]
    return lambda: jax.block_until_ready(both(*given))


BACKWARD = {"hotloop": backward_hotloop, "torch": backward_torch, "jax": backward_jax}


def gradients(cell, x, states, parameters, dh):
    """By the definition, in float64."""
    x, dh, *states = (v.astype(np.float64) for v in (x, dh, *states))
    parameters = [v.astype(np.float64) for v in parameters]
    n, h = dh.shape
    made, gates = [np.empty_like(s) for s in states], np.empty((n, 4 * h))
    kept = () if cell == "RNN" else (gates,)
    getattr(ref, f"{cell.lower()}_cell_forward")(*made, *kept, x, *states, *parameters, *flags(cell))
    found = tuple(np.empty_like(v) for v in (x, *states, *parameters))
    upstream = (dh, np.zeros_like(dh)) if cell == "LSTM" else (dh,)
    saved = {"LSTM": (gates, *made[1:]), "GRU": (gates,), "RNN": made}[cell]
    backward = getattr(ref, f"{cell.lower()}_cell_backward")
    backward(*found, *upstream, x, *states, *parameters[:2], *saved, *flags(cell), False)
    return found


@pytest.mark.parametrize("cell", sequences.GATES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: named(*s))
@pytest.mark.parametrize("who", BACKWARD)
def bench_layer_backward(clock, benchmark, who, cell, shape):
    given = operands(cell, *shape)
    group, call = f"{cell}Cell {named(*shape)}, forward + backward", BACKWARD[who](cell, *given)
    compare(clock, benchmark, group, contextlib.nullcontext(), call, gradients(cell, *given))


# ---- a stream: each step's state is the next one's, and a result is wanted after each


def stream_hotloop(xs, states, parameters):
    layer, _, start = layer_hotloop("LSTM", xs[0], states, parameters)
    xs = [hotloop.tensor(x) for x in xs]

    def run():
        state = start
        for x in xs:
            state = layer(x, state)
        return state

    return hotloop.inference_mode(), run


def stream_torch(xs, states, parameters):
    layer, _, start = layer_torch("LSTM", xs[0], states, parameters)
    torch = peer("torch")
    xs = list(map(torch.from_numpy, xs))

    def run():
        state = start
        for x in xs:
            state = layer(x, state)
        return state

    return torch.inference_mode(), run


def stream_jax(xs, states, parameters):
    jax = peer("jax")
    step = jax.jit(jax_step("LSTM"))
    xs, start, parameters = (list(map(jax.numpy.asarray, v)) for v in (xs, states, parameters))

    def run():
        h, c = start
        for x in xs:
            h, c = jax.block_until_ready(step(x, h, c, *parameters))
        return h, c

    return contextlib.nullcontext(), run


def stepped(layer, xs, states):
    """A layer of sequences that is given one step at a time."""

    def run():
        state = states
        for x in xs:
            _, state = layer(x, state)
        return state[0][0], state[1][0]

    return run


def single_hotloop(xs, states, parameters):
    layer = nn.LSTM(xs[0].shape[1], states[0].shape[1])
    for parameter, value in zip(layer.parameters(), parameters, strict=True):
        parameter.data = value.copy()
    xs, states = ([hotloop.tensor(v[None]) for v in values] for values in (xs, states))
    return hotloop.inference_mode(), stepped(layer, xs, tuple(states))


def single_torch(xs, states, parameters):
    torch = peer("torch")
    layer = torch.nn.LSTM(xs[0].shape[1], states[0].shape[1])
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), parameters, strict=True):
            parameter.copy_(torch.from_numpy(value))
    xs, states = ([torch.from_numpy(v[None]) for v in values] for values in (xs, states))
    return torch.inference_mode(), stepped(layer, xs, tuple(states))


@njit
def unroll(h, c, new_h, new_c, none, xs, w_ih, w_hh, b_ih, b_hh):
    for t in range(len(xs)):
        recurrent_cells.lstm_cell_forward(new_h, new_c, none, xs[t], h, c, w_ih, w_hh, b_ih, b_hh)
        h, c, new_h, new_c = new_h, new_c, h, c


def loop_hotloop(xs, states, parameters):
    (h, c), xs, none = states, np.stack(xs), np.empty((0, 0), np.float32)
    arrays = [np.empty_like(h) for _ in range(4)]

    def run():
        arrays[0][:], arrays[1][:] = h, c
        unroll(*arrays, none, xs, *parameters)
        # an even number of steps ends where it began
        return arrays[0], arrays[1]

    return contextlib.nullcontext(), run


def loop_jax(xs, states, parameters):
    jax = peer("jax")
    step = jax_step("LSTM")
    xs, parameters, start = jax.numpy.stack(xs), list(map(jax.numpy.asarray, parameters)), tuple(states)

    @jax.jit
    def whole(xs, start, parameters):
        return jax.lax.scan(lambda state, x: (step(x, *state, *parameters), None), start, xs)[0]

    return contextlib.nullcontext(), lambda: jax.block_until_ready(whole(xs, start, parameters))


STREAMS = {
    "LSTMCell": {"hotloop": stream_hotloop, "torch": stream_torch, "jax": stream_jax},
    "LSTM, a step a call": {"hotloop": single_hotloop, "torch": single_torch, "jax": stream_jax},
    "lstm_cell_forward in a compiled loop": {"hotloop": loop_hotloop, "jax": loop_jax},
}


@pytest.mark.parametrize("units", [64, 128])
@pytest.mark.parametrize("how", STREAMS)
@pytest.mark.parametrize("who", ["hotloop", "torch", "jax"])
def bench_stream(clock, benchmark, who, how, units):
    if who not in STREAMS[how]:
        pytest.skip(f"{who} compiles no loops")
    _, states, parameters, _ = operands("LSTM", 1, units)
    xs = list(np.random.default_rng(1).standard_normal((STEPS, 1, units), np.float32))
    want = tuple(states)
    for x in xs:
        want = wanted("LSTM", x, want, parameters)
    group = f"{how}: {STEPS} steps of one sample, D{units} H{units}"
    compare(clock, benchmark, group, *STREAMS[how][who](xs, states, parameters), want, TARGET)
