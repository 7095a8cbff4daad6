"""optim/ beside optax, for rules that PyTorch does not have: twenty steps in float64."""

import numpy as np
import pytest
from helpers import close
from hotloop import nn, optim

optax = pytest.importorskip("optax", reason="optax is not installed")
jax = pytest.importorskip("jax", reason="jax is not installed")

SHAPES = [(3, 5), (5,), (1,), (17, 2), ()]


@pytest.fixture(autouse=True)
def float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


CASES = {
    "lion": (optim.Lion, dict(lr=0.02), lambda: optax.lion(0.02, weight_decay=0)),
    "lion-decay": (
        optim.Lion,
        dict(lr=0.02, betas=(0.8, 0.7), weight_decay=0.3),
        lambda: optax.lion(0.02, b1=0.8, b2=0.7, weight_decay=0.3),
    ),
    "lamb": (optim.LAMB, dict(lr=0.02), lambda: optax.lamb(0.02)),
    "lamb-decay": (
        optim.LAMB,
        dict(lr=0.02, betas=(0.8, 0.7), eps=0.1, weight_decay=0.3),
        lambda: optax.lamb(0.02, b1=0.8, b2=0.7, eps=0.1, weight_decay=0.3),
    ),
    # with decay optax takes the norm of the sum, the paper the sum of norms
    "lars": (
        optim.LARS,
        dict(lr=0.5, momentum=0.9, trust_coefficient=0.1, eps=0.2),
        lambda: optax.lars(0.5, trust_coefficient=0.1, eps=0.2, momentum=0.9),
    ),
    "lars-nesterov": (
        optim.LARS,
        dict(lr=0.5, momentum=0.8, trust_coefficient=0.1, eps=0.0, nesterov=True),
        lambda: optax.lars(0.5, trust_coefficient=0.1, momentum=0.8, nesterov=True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_twenty_steps(rng, case):
    rule, options, make = CASES[case]
    theirs = [rng.standard_normal(shape) for shape in SHAPES]
    ours = [nn.Parameter(np.array(value)) for value in theirs]
    optimizer, reference = rule(ours, **options), make()
    theirs = [jax.numpy.asarray(value) for value in theirs]
    state = reference.init(theirs)
    for _ in range(20):
        gradients = [np.asarray(rng.standard_normal(shape)) for shape in SHAPES]
        for p, gradient in zip(ours, gradients, strict=True):
            p.grad = gradient
        optimizer.step()
        updates, state = reference.update(gradients, state, theirs)
        theirs = optax.apply_updates(theirs, updates)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        close(np.asarray(a), np.asarray(b), 1e-10, f"parameter {i}")
