"""Activations: both sides of every kink, and far out."""

import numpy as np
from helpers import poison
from hotloop.kernels.ref import activation as ref
from hotloop.kernels.scalar import KERNELS

from . import case

# for every scalar an activation may have
NUMBERS = {
    "negative_slope": 0.25,
    "threshold": 0.5,
    "value": -2.0,
    "min_val": -0.75,
    "max_val": 0.5,
    "lambd": 0.5,
    "alpha": 0.75,
    "beta": 1.5,
}
# libdevice's functions are within some units in the last place
TOLERANCE = 1e-5


def cases(rng, dtype):
    edges = [-30.0, 30.0, -0.25, 0.0, 0.5, -0.5, 3.0, -3.0]
    x = np.concatenate([rng.standard_normal(62) * 3, edges]).astype(dtype)
    dy = rng.standard_normal(x.size).astype(dtype)
    for name in KERNELS:
        yield from _both(name, x, dy, TOLERANCE)
    yield case("activation.relu_forward", poison((0, 3), dtype), x[:0].reshape(0, 3))


def half_cases(rng, dtype):
    x, dy = (rng.standard_normal((2, 70)) * 2).astype(dtype)
    for name in ("relu", "silu", "elu", "sigmoid"):
        yield from _both(name, x, dy, None)


def _both(name, x, dy, tol):
    numbers, fewer, kept = KERNELS[name]
    yield case(f"activation.{name}_forward", poison(x.shape, x.dtype), x, *(NUMBERS[n] for n in numbers), tol=tol)
    y = poison(x.shape, np.float64)
    getattr(ref, f"{name}_forward")(y, x.astype(np.float64), *(NUMBERS[n] for n in numbers))
    given = x if kept == "x" else y.astype(x.dtype)
    fewer = [NUMBERS[n] for n in fewer]
    yield case(f"activation.{name}_backward", poison(x.shape, x.dtype), dy, given, *fewer, tol=tol)
