"""Dropout: the masks of the CPU."""

from helpers import poison

from . import case
from .random import STATE


def cases(rng, dtype):
    for shape in ((23, 3), (9, 8), (0, 3)):
        x = rng.standard_normal(shape).astype(dtype)
        for name in ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"):
            for p in (0.25, 1.0) if shape[0] == 23 else (0.0, 0.5):
                yield case(f"dropout.{name}_forward", poison(shape, dtype), x, STATE, p)
                yield case(f"dropout.{name}_backward", poison(shape, dtype), x, STATE, p)


def half_cases(rng, dtype):
    x = rng.standard_normal((9, 8)).astype(dtype)
    for name in ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"):
        yield case(f"dropout.{name}_forward", poison((9, 8), dtype), x, STATE, 0.25)
        yield case(f"dropout.{name}_backward", poison((9, 8), dtype), x, STATE, 0.25)
