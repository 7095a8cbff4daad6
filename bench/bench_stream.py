"""A stream of one sample: each step's state is the next one's, and a result is wanted after each.

The last workload knows the whole sequence and is a loop of the user's own, compiled; its peer is JAX's scan.
"""

import contextlib

import hotloop
import numpy as np
import pytest
from cells import compare, jax_step, layer_hotloop, layer_torch, operands, wanted
from conftest import peer
from hotloop import nn
from hotloop.kernels.cpu import recurrent_cells
from numba import njit

STEPS = 100
TARGET = 5  # times the best peer's speed


def stepping(layer, xs, start):
    def run():
        state = start
        for x in xs:
            state = layer(x, state)
        return state

    return run


def stream_hotloop(xs, states, parameters):
    layer, _, start = layer_hotloop("LSTM", xs[0], states, parameters)
    return hotloop.inference_mode(), stepping(layer, [hotloop.tensor(x) for x in xs], start)


def stream_torch(xs, states, parameters):
    layer, _, start = layer_torch("LSTM", xs[0], states, parameters)
    torch = peer("torch")
    return torch.inference_mode(), stepping(layer, list(map(torch.from_numpy, xs)), start)


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
