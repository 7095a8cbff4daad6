"""A step of each optimizer: one large tensor (memory bandwidth), many small ones and a tiny model (overhead)."""

import functools

import numpy as np
import pytest
from conftest import peer
from hotloop import nn, optim
from hotloop.kernels.ref.adagrad import adagrad_update
from hotloop.kernels.ref.adam import adam_update
from hotloop.kernels.ref.rmsprop import rmsprop_update
from hotloop.kernels.ref.sgd import sgd_update

# (name, class, options, bytes a parameter)
RULES = {
    "SGD": ("SGD", {"lr": 1e-4}, 12),
    "SGD momentum": ("SGD", {"lr": 1e-4, "momentum": 0.9}, 20),
    "Adam": ("Adam", {"lr": 1e-4}, 28),
    "AdamW": ("AdamW", {"lr": 1e-4, "weight_decay": 0.1}, 28),
    "RMSprop": ("RMSprop", {"lr": 1e-4}, 20),
    "Adagrad": ("Adagrad", {"lr": 1e-4}, 20),
}
LAYOUTS = {
    "1 k in 4 tensors": [(20, 40), (20,), (8, 20), (20,)],
    "100 k in 300 tensors": [(18, 18), (18,)] * 150 + [(49_000,)],
    "10 M in one tensor": [(10_000_000,)],
}


@functools.cache
def numbers(layout):
    """Values and gradients of a layout, float32."""
    rng = np.random.default_rng(0)
    return [
        [rng.standard_normal(shape, dtype=np.float32) for shape in LAYOUTS[layout]] for _ in ("values", "gradients")
    ]


def after_one_step(rule, layout):
    """The values of each tensor after a step, by the definition, in float64."""
    name, options, _ = RULES[rule]
    values, gradients = (np.concatenate([a.ravel() for a in arrays]).astype(np.float64) for arrays in numbers(layout))
    step, zeros, nothing = np.zeros(1), functools.partial(np.zeros, values.size), np.empty(0)
    lr, decay = options["lr"], options.get("weight_decay", 0.0)
    if name == "SGD":
        sgd_update(values, zeros(), gradients, step, np.array([lr, options.get("momentum", 0.0), 0, 0]), False, False)
    elif name == "RMSprop":
        hyper = np.array([lr, 0.99, 1e-8, 0, 0])
        rmsprop_update(values, zeros(), nothing, nothing, gradients, step, hyper, False)
    elif name == "Adagrad":
        adagrad_update(values, zeros(), gradients, step, np.array([lr, 0, 0, 0, 1e-10]), False)
    else:
        hyper = np.array([lr, 0.9, 0.999, 1e-8, decay])
        adam_update(values, zeros(), zeros(), nothing, gradients, step, hyper, name == "AdamW", False)
    shapes = LAYOUTS[layout]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    return tuple(part.reshape(shape) for part, shape in zip(np.split(values, ends), shapes, strict=True))


def stepping(step, values):
    """The call that is timed: a step, and the arrays that it changes."""

    def run():
        step()
        return values

    return run


def with_hotloop(rule, layout):
    name, options, _ = RULES[rule]
    values, gradients = numbers(layout)
    parameters = [nn.Parameter(value.copy()) for value in values]
    optimizer = getattr(optim, name)(parameters, **options)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return stepping(optimizer.step, [p.data for p in parameters])


def with_numpy(rule, layout):
    name, options, _ = RULES[rule]
    values, gradients = numbers(layout)
    values = [value.copy() for value in values]
    state = [[np.zeros_like(value) for value in values] for _ in range(2)]
    lr, momentum, count = np.float32(options["lr"]), np.float32(options.get("momentum", 0)), 0
    decay = options.get("weight_decay", 0)
    keep = np.float32(1 - options["lr"] * decay)

    def sgd():
        for p, g, b in zip(values, gradients, state[0], strict=True):
            if momentum:
                b *= momentum
                b += g
                g = b
            p -= lr * g

    def adam():
        nonlocal count
        count += 1
        size, root = lr / np.float32(1 - 0.9**count), np.float32((1 - 0.999**count) ** -0.5)
        for p, g, m, v in zip(values, gradients, *state, strict=True):
            if decay:
                p *= keep
            m += np.float32(0.1) * (g - m)
            v *= np.float32(0.999)
            v += np.float32(0.001) * g * g
            p -= size * m / (np.sqrt(v) * root + np.float32(1e-8))

    def rmsprop():
        for p, g, v in zip(values, gradients, state[0], strict=True):
            v *= np.float32(0.99)
            v += np.float32(0.01) * g * g
            p -= lr * g / (np.sqrt(v) + np.float32(1e-8))

    def adagrad():
        for p, g, v in zip(values, gradients, state[0], strict=True):
            v += g * g
            p -= lr * g / (np.sqrt(v) + np.float32(1e-10))

    return stepping({"SGD": sgd, "RMSprop": rmsprop, "Adagrad": adagrad}.get(name, adam), values)


def with_torch(rule, layout, **how):
    torch = peer("torch")
    name, options, _ = RULES[rule]
    # foreach is torch's best where it has no fused implementation
    if name == "RMSprop" and "fused" in how:
        pytest.skip("torch has no fused RMSprop")
    if name != "RMSprop" and "foreach" in how:
        pytest.skip(f"torch has a fused {name}")
    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in numbers(layout)[0]]
    for parameter, gradient in zip(parameters, numbers(layout)[1], strict=True):
        parameter.grad = torch.tensor(gradient)
    optimizer = getattr(torch.optim, name)(parameters, **how, **options)
    return stepping(optimizer.step, [p.detach().numpy() for p in parameters])


def with_optax(rule, layout):
    jax, optax = peer("jax"), peer("optax")
    name, options, _ = RULES[rule]
    options = {"learning_rate": options["lr"], **{k: v for k, v in options.items() if k != "lr"}}
    # theirs stands under the root
    if name == "Adagrad":
        options.update(initial_accumulator_value=0.0, eps=1e-20)
    if name == "RMSprop":
        options.update(decay=0.99, eps=1e-16)
    transform = getattr(optax, name.lower())(**options)
    values, gradients = ([jax.numpy.asarray(a) for a in arrays] for arrays in numbers(layout))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(values, state, gradients):
        changes, state = transform.update(gradients, state, values)
        return optax.apply_updates(values, changes), state

    held = [values, transform.init(values)]

    def step():
        held[:] = update(*held, gradients)
        jax.block_until_ready(held)
        return held[0]

    return step


CONTESTANTS = {
    "hotloop": with_hotloop,
    "numpy": with_numpy,
    "torch": with_torch,
    "torch foreach": functools.partial(with_torch, foreach=True),
    "torch fused": functools.partial(with_torch, fused=True),
    "optax": with_optax,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_optimizer_step(clock, who, rule, layout):
    want = after_one_step(rule, layout)
    moved = RULES[rule][2] * sum(a.size for a in want)
    clock(CONTESTANTS[who](rule, layout), f"{rule}, {layout}", want, moved=moved, in_place=True)
