"""Norms: each with and without parameters, gradients that are not wanted, accumulation, and means far from 0."""

import numpy as np
from helpers import absent

from . import case

# statistics are float64 for rows of either dtype
DOUBLE = {"_norm", "_norm_gradient", "_norm_columns"}
EPS = 1e-5
# (N, D): nothing; a thread, part of a warp, a block, in vectors and one by one; chunks; several lines for each block
ROWS = [(0, 3), (3, 0), (5, 3), (3, 24), (2, 15), (2, 29), (1, 72), (33, 4), (17, 24)]


def draw(rng, shape, dtype, far=0.0):
    return (rng.standard_normal(shape) + far).astype(dtype)


def statistics(x, axes, root=False):
    """What a forward leaves: the mean, unless it is 0, and 1 / sqrt(variance + eps), in float64."""
    wide = x.astype(np.float64)
    count = max(np.prod([x.shape[a] for a in axes]), 1)
    mean = 0 if root else wide.sum(axes, keepdims=True) / count
    rstd = 1 / np.sqrt(((wide - mean) ** 2).sum(axes) / count + EPS)
    return [rstd] if root else [mean.reshape(rstd.shape), rstd]


def tolerance(dtype, far=0.0):
    """Sums of the dtype; in float64 a mean of 1e4 takes 13 bits of ref's own deviations."""
    return 4e-6 if dtype == np.float32 else 1e-10 if far else 1e-13


def rows(rng, dtype, name, shape, far=0.0):
    root, tol = name == "rms", tolerance(dtype, far)
    count = 1 if root else 2
    x, dy, nothing = draw(rng, shape, dtype, far), draw(rng, shape, dtype), absent(dtype)
    parameters, gradients = list(draw(rng, (count, shape[1]), dtype)), list(draw(rng, (count, shape[1]), dtype))
    kept = statistics(x, (1,), root)
    for given in (parameters, [nothing] * count, [nothing, *parameters[1:]]):
        yield case(f"norm.{name}_norm_forward", x, *kept, x, *given, EPS, tol=tol)
    for dx, wanted, w, accumulate in (
        (x, gradients, parameters[0], True),
        (x, [nothing] * count, nothing, False),
        (nothing, gradients, parameters[0], False),
        (x, [nothing, *gradients[1:]], parameters[0], False),
    ):
        yield case(f"norm.{name}_norm_backward", dx, *wanted, dy, x, w, *kept, accumulate, tol=4 * tol)


def cases(rng, dtype):
    for name in ("layer", "rms"):
        for shape in ROWS:
            yield from rows(rng, dtype, name, shape)
    # lines of several chunks on a device
    x, dy, w, dw = rng.standard_normal((4, 1, 2049)).astype(dtype)
    args = dw[0], dw[0].copy(), dy, x, w[0], *statistics(x, (1,)), False
    yield case("norm.layer_norm_backward", x, *args, tol=4 * tolerance(dtype))
    yield from rows(rng, dtype, "layer", (3, 43), far=1e4)
    yield from rows(rng, dtype, "layer", (1, 72), far=1e4)
