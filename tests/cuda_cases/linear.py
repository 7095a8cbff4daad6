"""The linear layer: with and without bias, kept z and gradients that are not wanted; every activation's kind."""

import numpy as np
from helpers import absent, poison
from hotloop.kernels.scalar import NEEDS_INPUT

from . import case


def layer(rng, dtype, n, d, h):
    return (rng.standard_normal(s).astype(dtype) for s in ((n, d), (h, d), (h,), (n, h)))


def runs(rng, dtype, n, d, h, activation, tol=None):
    """Forward with all it keeps and with nothing, and backward with all gradients and with each left out."""
    x, w, b, dy = layer(rng, dtype, n, d, h)
    kept = activation in NEEDS_INPUT
    z = x.astype(np.float32) @ w.T.astype(np.float32) + b.astype(np.float32)
    # of activation codes 1 and 3 alone, relu and gelu, the gradient is asked for
    y, z = np.maximum(z, 0).astype(dtype) if activation else absent(dtype), z.astype(dtype) if kept else absent(dtype)
    yield case("linear.linear_forward", poison((n, h), dtype), poison(z.shape, dtype), x, w, b, activation, tol=tol)
    args = poison((n, h), dtype), absent(dtype), x, w, absent(dtype), activation
    yield case("linear.linear_forward", *args, tol=tol)
    dw, db = rng.standard_normal((h, d)).astype(dtype), rng.standard_normal(h).astype(dtype)
    for accumulate in (False, True):
        args = dy, x, w, y, z, activation, accumulate
        yield case("linear.linear_backward", poison((n, d), dtype), dw, db, *args, tol=tol)
    yield case("linear.linear_backward", absent(dtype), absent(dtype), db, *args, tol=tol)
    yield case("linear.linear_backward", poison((n, d), dtype), absent(dtype), absent(dtype), *args, tol=tol)


def cases(rng, dtype):
    # the formulas of activations are those of the CPU, a few roundings from float64's
    tol = 1e-5 if dtype == np.float32 else None
    for n, d, h in ((0, 3, 2), (1, 1, 1), (2, 0, 3), (9, 4, 6), (5, 7, 8)):
        for activation in (0, 1, 3):
            yield from runs(rng, dtype, n, d, h, activation, tol)
    for activation in (2, 4, 5, 6, 7, 8):
        x, w, b, _ = layer(rng, dtype, 3, 2, 4)
        yield case("linear.linear_forward", poison((3, 4), dtype), poison((3, 4), dtype), x, w, b, activation, tol=tol)


def half_cases(rng, dtype):
    yield from runs(rng, dtype, 9, 6, 7, 3, 2e-2)
    yield from runs(rng, dtype, 3, 8, 8, 0)
