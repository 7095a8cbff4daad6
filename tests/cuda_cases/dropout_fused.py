"""Dropout with a ReLU or a sum: the masks of the CPU."""

from helpers import poison

from . import case
from .random import STATE


def _cases(rng, dtype, shape, p):
    x, other = rng.standard_normal((2, *shape)).astype(dtype)
    yield case("dropout_fused.dropout_add_forward", poison(shape, dtype), other, x, STATE, p)
    yield case("dropout_fused.relu_dropout_forward", poison(shape, dtype), x, STATE, p)
    yield case("dropout_fused.relu_dropout_backward", poison(shape, dtype), x, other, p)


def cases(rng, dtype):
    for shape, p in (((23, 3), 0.25), ((23, 3), 1.0), ((9, 8), 0.0), ((0, 3), 0.5)):
        yield from _cases(rng, dtype, shape, p)


def half_cases(rng, dtype):
    yield from _cases(rng, dtype, (9, 8), 0.25)
