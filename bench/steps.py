"""A training step with Adam (forward, loss, backward, update) on one batch, as the users of each library write it."""

import hotloop
import numpy as np
from conftest import peer
from hotloop import nn, optim

LEARNING_RATE = 1e-3


def with_hotloop(model, parameters, x, target):
    """`model` is a module, `parameters` the arrays that its parameters begin with; real targets are regressed on."""
    for parameter, value in zip(model.parameters(), parameters, strict=True):
        parameter.data = value.copy()
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)
    loss_function = nn.MSELoss() if target.dtype.kind == "f" else nn.CrossEntropyLoss()
    x, target = hotloop.tensor(x), hotloop.tensor(target)

    def run():
        optimizer.zero_grad()
        loss = loss_function(model(x), target)
        loss.backward()
        optimizer.step()
        return loss.numpy()

    return run


def with_torch(model, parameters, x, target):
    torch = peer("torch")
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), parameters, strict=True):
            parameter.copy_(torch.from_numpy(value))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    loss_function = torch.nn.MSELoss() if target.dtype.kind == "f" else torch.nn.CrossEntropyLoss()
    x, target = torch.from_numpy(x), torch.from_numpy(target)

    def run():
        optimizer.zero_grad()
        loss = loss_function(model(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run


def with_jax(forward, parameters, x, target, drawing=False):
    """`forward(parameters, x)` is a function, with a third argument where it draws: a key, new at every step. The whole
    step is compiled as one."""
    jax, optax = peer("jax"), peer("optax")

    def loss_of(parameters, x, target, *key):
        y = forward(parameters, x, *key)
        if target.dtype.kind == "f":
            return ((y - target) ** 2).mean()
        return optax.softmax_cross_entropy_with_integer_labels(y, target).mean()

    adam = optax.adam(LEARNING_RATE)

    @jax.jit
    def step(parameters, state, key, x, target):
        key, *drawn = jax.random.split(key) if drawing else (key,)
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, target, *drawn)
        updates, state = adam.update(gradients, state, parameters)
        return loss, optax.apply_updates(parameters, updates), state, key

    parameters = jax.tree.map(jax.numpy.asarray, parameters)
    held = [parameters, adam.init(parameters), jax.random.key(0)]
    x, target = jax.numpy.asarray(x), jax.numpy.asarray(target)

    def run():
        loss, *held[:] = step(*held, x, target)
        return jax.block_until_ready(loss)

    return run


def with_keras(layers, parameters, x, target):
    """`layers` are Keras's, with built inputs; `parameters` in its layouts."""
    keras = peer("keras")
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype.name), *layers])
    model.set_weights(parameters)
    losses = keras.losses
    loss = (
        losses.MeanSquaredError()
        if target.dtype.kind == "f"
        else losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss)
    x, target = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(target)
    return lambda: np.float32(model.train_on_batch(x, target))


def cross_entropy(scores, labels):
    shifted = scores - scores.max(1, keepdims=True)
    return (np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(scores)), labels]).mean()
