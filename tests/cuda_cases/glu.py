"""The gated linear unit."""

from helpers import poison

from . import case


def cases(rng, dtype):
    for outer, channels, inner in ((5, 8, 1), (3, 5, 3), (2, 3, 8), (1, 40, 1), (1, 1, 1), (0, 2, 3)):
        x = rng.standard_normal((outer, 2 * channels, inner)).astype(dtype)
        dy = rng.standard_normal((outer, channels, inner)).astype(dtype)
        yield case("glu.glu_forward", poison(dy.shape, dtype), x)
        yield case("glu.glu_backward", poison(x.shape, dtype), dy, x)


def half_cases(rng, dtype):
    for outer, channels, inner in ((5, 8, 1), (3, 5, 3)):
        x = rng.standard_normal((outer, 2 * channels, inner)).astype(dtype)
        dy = rng.standard_normal((outer, channels, inner)).astype(dtype)
        yield case("glu.glu_forward", poison(dy.shape, dtype), x)
        yield case("glu.glu_backward", poison(x.shape, dtype), dy, x)
