"""What the tests of the optimizers share: rules, parameters, gradients."""

import numpy as np
from hotloop import nn, optim

RULES = {
    "sgd": lambda params, **o: optim.SGD(params, **{"lr": 0.1, "momentum": 0.9, **o}),
    "adam": lambda params, **o: optim.Adam(params, **{"lr": 0.1, **o}),
    "adamw": lambda params, **o: optim.AdamW(params, **{"lr": 0.1, **o}),
    "adagrad": lambda params, **o: optim.Adagrad(params, **{"lr": 0.1, "lr_decay": 0.1, **o}),
    "rmsprop": lambda params, **o: optim.RMSprop(params, **{"lr": 0.1, "momentum": 0.9, "centered": True, **o}),
    "adadelta": lambda params, **o: optim.Adadelta(params, **{"lr": 0.5, **o}),
    "adamax": lambda params, **o: optim.Adamax(params, **{"lr": 0.1, **o}),
    "nadam": lambda params, **o: optim.NAdam(params, **{"lr": 0.1, **o}),
    "radam": lambda params, **o: optim.RAdam(params, **{"lr": 0.1, "betas": (0.5, 0.9), **o}),
    "asgd": lambda params, **o: optim.ASGD(params, **{"lr": 0.1, "t0": 2, **o}),
    "rprop": lambda params, **o: optim.Rprop(params, **{"lr": 0.1, **without_decay(o)}),
    "lamb": lambda params, **o: optim.LAMB(params, **{"lr": 0.1, **o}),
    "lars": lambda params, **o: optim.LARS(params, **{"lr": 0.5, "momentum": 0.9, **o}),
    "adafactor": lambda params, **o: optim.Adafactor(params, **{"lr": 0.1, **o}),
    "schedule_free": lambda params, **o: optim.AdamWScheduleFree(params, **{"lr": 0.1, **o}),
    "lion": lambda params, **o: optim.Lion(params, **{"lr": 0.1, **o}),
}


def without_decay(options):
    """Options of a rule that has no weight decay."""
    return {key: value for key, value in options.items() if key != "weight_decay"}


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
