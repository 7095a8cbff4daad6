"""Variance, Euclidean norm and log-sum-exp: lines whole and in pieces, along and across, and their edges."""

import numpy as np
from helpers import poison

from . import case

# what threads and pieces find is joined in float64: a mean far from 0 costs no digits
DOUBLE = {"_line_variance", "_join_variance"}
# (O, R, I): nothing; one number; vectors, and one by one; several chunks; pieces along and across
SHAPES = [
    (0, 3, 2),
    (3, 2, 0),
    (2, 1, 1),
    (3, 24, 1),
    (2, 43, 1),
    (3, 131, 1),
    (1, 264, 1),
    (2, 5, 3),
    (1, 16, 3),
    (2, 40, 3),
]


def tolerance(dtype):
    return 4e-6 if dtype == np.float32 else 1e-13


def cases(rng, dtype):
    tol = tolerance(dtype)
    for shape in SHAPES:
        x, dy = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape[::2]).astype(dtype)
        y, mean = poison(dy.shape, dtype), x.sum(1) / dtype.type(max(shape[1], 1))
        for correction in (0.0, 1.0):
            if shape[1] > correction:
                yield case("moments.var_forward", y, mean, x, correction, tol=tol)
                yield case("moments.var_backward", x, dy, x, mean, correction, tol=tol)
        yield case("moments.norm_forward", y, x, tol=tol)
        yield case("moments.norm_backward", x, dy, x, np.sqrt((x * x).sum(1)), tol=tol)
        yield case("moments.logsumexp_forward", y, x, tol=tol)
        yield case("moments.logsumexp_backward", x, dy, x, np.log(np.exp(x).sum(1)), tol=tol)
    far = (rng.standard_normal((2, 90, 1)) + 1e4).astype(dtype)
    yield case("moments.var_forward", poison((2, 1), dtype), poison((2, 1), dtype), far, 1.0, tol=tol * 1e3)
    # pieces where a device makes them
    long = rng.standard_normal((1, 16384, 1)).astype(dtype)
    yield case("moments.norm_forward", poison((1, 1), dtype), long, tol=tol)
    yield case("moments.var_forward", poison((1, 1), dtype), poison((1, 1), dtype), long, 1.0, tol=tol)
    # NaN is no result that can be compared: what is left at the edges
    y, nothing = poison((2, 3), dtype), np.empty((2, 0, 3), dtype)
    yield case("moments.norm_forward", y, nothing)
    yield case("moments.logsumexp_forward", y, nothing, name="infinite")
    zero = np.zeros((2, 5, 3), dtype)
    yield case("moments.norm_backward", zero, y, zero, np.zeros((2, 3), dtype))
    for values in ([-np.inf, -np.inf], [-np.inf, 1.0], [np.inf, -np.inf], [1.0, -1e30]):
        x = np.array(values, dtype).reshape(1, 2, 1)
        yield case("moments.logsumexp_forward", poison((1, 1), dtype), x, name="infinite")
    slopes, roots = rng.standard_normal((2, 11)).astype(dtype)
    roots[3] = 0
    yield case("moments.std_backward", poison(11, dtype), slopes, np.abs(roots))
