"""One step of a recurrent cell: small work, of which calling is a large part.

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
from cells import by_kernel, compare, flags, jax_step, layer_hotloop, layer_torch, named, operands, wanted
from conftest import peer
from hotloop.kernels.cpu import recurrent_cells
from hotloop.kernels.ref import recurrent_cells as ref

# (samples, units): as many features of the input as units
SHAPES = [(1, 64), (8, 64), (1, 128), (8, 128)]
# times the best peer's speed, of the LSTM's forward
TARGET = 5


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
