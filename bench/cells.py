"""Cells of recurrent networks with the same weights in each library, and how their steps are timed."""

import hotloop
import numpy as np
import sequences
from conftest import peer
from hotloop import nn
from hotloop.kernels.ref import recurrent_cells as ref


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


def compare(clock, benchmark, group, context, call, want, target=None, flops=0):
    if target:
        benchmark.extra_info["target"] = target
    with context:
        clock(call, group, want, flops=flops)


def wanted(cell, x, states, parameters):
    """New states by the definition, in float64."""
    x, *states = (v.astype(np.float64) for v in (x, *states))
    return by_kernel(ref, cell, x, states, [v.astype(np.float64) for v in parameters])()
