"""What the benchmarks of recurrent layers share: the sequences, the same weights for all, and the peers' ways.

A call is forward and backward over whole sequences with all gradients: from (x, w_ih, w_hh, b_ih, b_hh, dy) to
(y, dx, dw_ih, dw_hh, db_ih, db_hh). Sequences lie by time, (T, N, D), for all but Keras, whose users have them by
sample.
"""

import functools

import numpy as np
from conftest import peer

# (steps, samples, features of the input, of the state)
SHAPES = [(100, 32, 64, 128), (50, 64, 128, 256), (35, 20, 200, 200), (32, 16, 32, 64), (20, 1, 16, 64)]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def named(shape):
    return " ".join(f"{letter}{size}" for letter, size in zip("TNDH", shape, strict=True))


def weights(rng, layer, d, h):
    """w_ih, w_hh, b_ih and b_hh, as the layers draw them."""
    gates = GATES[layer]
    shapes = (gates * h, d), (gates * h, h), (gates * h,), (gates * h,)
    return [(rng.uniform(-1, 1, shape) / np.sqrt(h)).astype(np.float32) for shape in shapes]


def operands(layer, t, n, d, h):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((t, n, width), np.float32) for width in (d, h))
    return x, *weights(rng, layer, d, h), dy


def with_torch(layer, x, *given):
    torch = peer("torch")
    *parameters, dy = map(torch.from_numpy, given)
    layer = getattr(torch.nn, layer)(x.shape[2], dy.shape[2])
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), parameters, strict=True):
            parameter.copy_(value)
    x = torch.from_numpy(x).requires_grad_()
    wanted = x, *layer.parameters()

    def run():
        y, _ = layer(x)
        return y.detach(), *torch.autograd.grad(y, wanted, dy)

    return run


def with_jax(layer, *given):
    """`layer` is one of those below: a scan of one step a round; with 2, 4 or 8 none of these sizes was quicker."""
    jax = peer("jax")
    *given, dy = map(jax.numpy.asarray, given)

    @jax.jit
    def both(*given):
        y, pull = jax.vjp(layer, *given)
        return y, *pull(dy)

    return lambda: jax.block_until_ready(both(*given))


def jax_rnn(x, w_ih, w_hh, b_ih, b_hh):
    jax = peer("jax")

    def step(h, given):
        h = jax.numpy.tanh(given + h @ w_hh.T)
        return h, h

    start = jax.numpy.zeros((x.shape[1], len(w_hh)), x.dtype)
    return jax.lax.scan(step, start, x @ w_ih.T + (b_ih + b_hh))[1]


def jax_lstm(x, w_ih, w_hh, b_ih, b_hh):
    jax = peer("jax")
    numpy, sigmoid = jax.numpy, jax.nn.sigmoid

    def step(carry, given):
        h, c = carry
        i, f, g, o = numpy.split(given + h @ w_hh.T, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * numpy.tanh(g)
        h = sigmoid(o) * numpy.tanh(c)
        return (h, c), h

    start = numpy.zeros((x.shape[1], w_hh.shape[1]), x.dtype)
    return jax.lax.scan(step, (start, start), x @ w_ih.T + (b_ih + b_hh))[1]


def jax_gru(x, w_ih, w_hh, b_ih, b_hh):
    jax = peer("jax")
    numpy, sigmoid = jax.numpy, jax.nn.sigmoid

    def step(h, given):
        r, z, n = numpy.split(given, 3, 1)
        of_r, of_z, of_n = numpy.split(h @ w_hh.T + b_hh, 3, 1)
        z = sigmoid(z + of_z)
        h = z * h + (1 - z) * numpy.tanh(n + sigmoid(r + of_r) * of_n)
        return h, h

    start = numpy.zeros((x.shape[1], w_hh.shape[1]), x.dtype)
    return jax.lax.scan(step, start, x @ w_ih.T + b_ih)[1]


def with_keras(layer, x, *parameters):
    keras, tensorflow = peer("keras"), peer("tensorflow")
    *parameters, dy = parameters
    run_layer = getattr(keras.layers, layer)(dy.shape[2], return_sequences=True)
    x, dy = (tensorflow.constant(a.swapaxes(0, 1)) for a in (x, dy))
    run_layer.build(x.shape)
    run_layer.set_weights(keras_weights(layer, *parameters))

    @tensorflow.function
    def both(x, dy):
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            y = run_layer(x)
        return y, *tape.gradient(y, (x, *run_layer.trainable_variables), dy)

    return lambda: both(x, dy)


def keras_weights(layer, w_ih, w_hh, b_ih, b_hh):
    """The same weights for a layer of Keras: (in, out), one bias but in a GRU, whose gates are z, r and n."""
    if layer != "GRU":
        return [w_ih.T, w_hh.T, b_ih + b_hh]
    w_ih, w_hh, b_ih, b_hh = (
        a.reshape(3, -1, *a.shape[1:])[[1, 0, 2]].reshape(a.shape) for a in (w_ih, w_hh, b_ih, b_hh)
    )
    return [w_ih.T, w_hh.T, np.stack((b_ih, b_hh))]


def as_keras_has(layer, y, dx, dw_ih, dw_hh, db_ih, db_hh):
    """Results by sample; a gradient of one bias is that of either of two."""
    gradients = keras_weights(layer, dw_ih, dw_hh, db_ih, db_hh if layer == "GRU" else 0)
    return y.swapaxes(0, 1), dx.swapaxes(0, 1), *gradients


def peers(layer, jax_layer):
    """Contestants beside ours."""
    return {
        "torch": functools.partial(with_torch, layer),
        "jax": functools.partial(with_jax, jax_layer),
        "keras": functools.partial(with_keras, "SimpleRNN" if layer == "RNN" else layer),
    }


def compare(clock, benchmark, who, layer, shape, call, want, target):
    """Time a call. target: times the best peer's speed."""
    t, n, d, h = shape
    benchmark.extra_info["target"] = target
    if who == "keras":
        want = as_keras_has(layer, *want)
    # forward, and both products of backward
    flops = 6 * t * n * GATES[layer] * h * (d + h)
    clock(call, f"{layer} {named(shape)}, forward + backward", want, flops=flops)
