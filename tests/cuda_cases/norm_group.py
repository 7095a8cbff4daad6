"""Group norm: groups of one channel and of several, of single numbers, whole and in pieces."""

import numpy as np
from helpers import absent

from . import case
from .norm import EPS, draw, statistics, tolerance

# (O, G, P, I): no samples; one channel; several, in vectors across channels; single numbers; groups in pieces
SHAPES = [(0, 2, 2, 3), (3, 2, 1, 7), (2, 3, 2, 10), (3, 2, 3, 1), (1, 1, 2, 132), (1, 1, 1, 264)]


def groups(rng, dtype, shape, far=0.0):
    tol = tolerance(dtype, far)
    x, dy, nothing = draw(rng, shape, dtype, far), draw(rng, shape, dtype), absent(dtype)
    w, b, dw, db = draw(rng, (4, shape[1] * shape[2]), dtype)
    kept = statistics(x, (2, 3))
    for parameters in ((w, b), (nothing, nothing)) if shape == SHAPES[2] else ((w, b),):
        yield case("norm_group.group_norm_forward", x, *kept, x, *parameters, EPS, tol=tol)
    path = "norm_group.group_norm_backward"
    yield case(path, x, dw, db, dy, x, w, *kept, True, tol=4 * tol)
    if x.size:
        yield case(path, x, nothing, nothing, dy, x, nothing, *kept, False, tol=4 * tol)
        yield case(path, nothing, dw, nothing, dy, x, w, *kept, False, tol=4 * tol)


def cases(rng, dtype):
    for shape in SHAPES:
        yield from groups(rng, dtype, shape)
    yield from groups(rng, dtype, (1, 2, 2, 9), far=1e4)
    # what a forward leaves where there are no channels or positions
    nothing = np.empty((2, 3, 2, 0), dtype)
    yield case("norm_group.group_norm_forward", nothing, *np.empty((2, 2, 3)), nothing, *draw(rng, (2, 6), dtype), EPS)
