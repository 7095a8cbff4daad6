"""A step of each optimizer: one large tensor (memory bandwidth), many small ones and a tiny model (overhead)."""

import functools

import numpy as np
import pytest
from conftest import peer
from hotloop import nn, optim
from hotloop.kernels.ref.adam import adam_update
from hotloop.kernels.ref.sgd import sgd_update

# (name, class, options, bytes a parameter)
RULES = {
    "SGD": ("SGD", {"lr": 1e-4}, 12),
    "SGD momentum": ("SGD", {"lr": 1e-4, "momentum": 0.9}, 20),
    "Adam": ("Adam", {"lr": 1e-4}, 28),
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
    step, zeros = np.zeros(1), functools.partial(np.zeros, values.size)
    if name == "SGD":
        hyper = np.array([options["lr"], options.get("momentum", 0.0), 0.0, 0.0])
        sgd_update(values, zeros(), gradients, step, hyper, False, False)
    else:
        hyper = np.array([options["lr"], 0.9, 0.999, 1e-8, 0.0])
        adam_update(values, zeros(), zeros(), np.empty(0), gradients, step, hyper, False, False)
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
            m += np.float32(0.1) * (g - m)
            v *= np.float32(0.999)
            v += np.float32(0.001) * g * g
            p -= size * m / (np.sqrt(v) * root + np.float32(1e-8))

    return stepping(sgd if name == "SGD" else adam, values)


def with_torch(rule, layout, fused):
    torch = peer("torch")
    name, options, _ = RULES[rule]
    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in numbers(layout)[0]]
    for parameter, gradient in zip(parameters, numbers(layout)[1], strict=True):
        parameter.grad = torch.tensor(gradient)
    optimizer = getattr(torch.optim, name)(parameters, fused=fused, **options)
    return stepping(optimizer.step, [p.detach().numpy() for p in parameters])


def with_optax(rule, layout):
    jax, optax = peer("jax"), peer("optax")
    name, options, _ = RULES[rule]
    make = optax.sgd if name == "SGD" else optax.adam
    options = {"learning_rate": options["lr"], **{k: v for k, v in options.items() if k != "lr"}}
    transform = make(**options)
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
    "torch": functools.partial(with_torch, fused=False),
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
