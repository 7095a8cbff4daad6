"""What the tests of the optimizers share: rules, parameters, gradients."""

import numpy as np
from hotloop import nn, optim

RULES = {
    "sgd": lambda params, **o: optim.SGD(params, **{"lr": 0.1, "momentum": 0.9, **o}),
    "adam": lambda params, **o: optim.Adam(params, **{"lr": 0.1, **o}),
}


def parameters(rng, *shapes, dtype=np.float32):
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes or [(3, 5), (5,), (2, 2)]]


def set_gradients(rng, params):
    for p in params:
        p.grad = rng.standard_normal(p.shape).astype(p.dtype)


def address(p):
    return p.data.__array_interface__["data"][0]


def values(params):
    return [np.array(p.numpy()) for p in params]


def steps(rng, optimizer, params, count=1):
    for _ in range(count):
        set_gradients(rng, params)
        optimizer.step()
