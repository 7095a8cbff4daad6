"""Cross-entropy with labels and with distributions, and negative log-likelihood."""

import numpy as np
from helpers import absent, poison

from . import case

# (N, C, M): nothing; a thread, part of a warp, a block, in vectors and one by one; chunks, kept and not; across
SHAPES = [(0, 3, 1), (3, 1, 1), (9, 5, 1), (3, 24, 1), (1, 29, 1), (1, 200, 1), (1, 99, 1), (2, 9, 3), (1, 40, 3)]
FULL = [(9, 5, 1), (2, 9, 3)]


def options(shape):
    """(label smoothing, whether there are weights, whether a gradient is wanted, reduction)"""
    every = [(s, w, g, r) for s in (0.0, 0.2) for w in (False, True) for g in (False, True) for r in (0, 1, 2)]
    return every if shape in FULL else [(0.2, True, True, 2), (0.0, False, True, 0 if 0 in shape else 1)]


def losses(samples, reduction, dtype):
    return poison(samples if reduction == 0 else 1, dtype)


def cases(rng, dtype):
    for shape in SHAPES:
        n, c, m = shape
        x, weight = (3 * rng.standard_normal(shape)).astype(dtype), rng.uniform(0.5, 2, c).astype(dtype)
        logs = (x - np.log(np.exp(x).sum(1, keepdims=True))).astype(dtype)
        target, soft = rng.integers(0, c, (n, m)), rng.random(shape).astype(dtype)
        if target.size > 2:
            target.flat[1] = -100
        for smoothing, weighted, wanted, reduction in options(shape):
            w = weight if weighted else absent(dtype)
            dx, dt = (poison(shape, dtype) if wanted else absent(dtype) for _ in range(2))
            out = losses(n * m, reduction, dtype)
            yield case(
                "cross_entropy.cross_entropy_forward", out, dx, x, target, w, -100, smoothing, reduction, tol=4e-6
            )
            args = dx, dt, x, soft, w, smoothing, reduction
            yield case("cross_entropy_soft.cross_entropy_soft_forward", out, *args, tol=4e-6)
            if smoothing:
                yield case("nll.nll_forward", out, dx, logs, target, w, -100, reduction)
    # so many labels that they are counted beforehand
    x, target = rng.standard_normal((1, 1, 257)).astype(dtype), np.zeros((1, 257), np.int64)
    yield case("nll.nll_forward", poison(1, dtype), poison(x.shape, dtype), x, target, absent(dtype), -100, 1)
