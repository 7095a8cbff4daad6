"""Batch norm: channels of many lines and of one, lines along samples and along positions, given statistics."""

import numpy as np
from helpers import absent

from . import case
from .norm import EPS, draw, statistics, tolerance

# statistics are float64 for lines of either dtype
DOUBLE = {
    "_line_moments",
    "_apply_norm",
    "_whole_line",
    "_line_slopes",
    "_combine_lines",
    "_whole_line_gradient",
    "_join_lines",
    "_use_channels",
    "_use_groups",
    "_given_statistics",
    "_running_statistics",
}
# (O, C, I): no samples; one line for each channel, across and along; samples in pieces, alone and by twos; positions,
# one by one, in vectors, in pieces
SHAPES = [(0, 3, 20), (0, 3, 1), (7, 5, 1), (1, 3, 130), (8, 3, 1), (8, 3, 2), (3, 2, 17), (2, 3, 20), (1, 2, 256)]
PLAIN = [(8, 3, 2), (2, 3, 20)]


def channels(rng, dtype, shape, far=0.0):
    tol, count = tolerance(dtype, far), shape[1]
    x, dy, nothing = draw(rng, shape, dtype, far), draw(rng, shape, dtype), absent(dtype)
    w, b, dw, db = draw(rng, (4, count), dtype)
    kept, path = statistics(x, (0, 2)), "norm_batch.batch_norm_forward"
    yield case(path, x, *kept, x, w, b, nothing, nothing, EPS, tol=tol)
    yield case(path, x, *kept, x, w, b, b, w * w, EPS, tol=tol)
    if shape in PLAIN:
        yield case(path, x, *kept, x, nothing, nothing, nothing, nothing, EPS, tol=tol)
    path = "norm_batch.batch_norm_backward"
    yield case(path, x, dw, db, dy, x, w, *kept, False, True, tol=4 * tol)
    if not x.size:
        return
    yield case(path, nothing, dw, nothing, dy, x, w, *kept, False, False, tol=4 * tol)
    yield case(path, x, nothing, db, dy, x, nothing, *kept, True, False, tol=4 * tol)
    if shape in PLAIN:
        yield case(path, x, nothing, nothing, dy, x, nothing, *kept, False, False, tol=4 * tol)
        infinite = x.copy()
        infinite[0, 0] = np.inf
        yield case(path, x, nothing, nothing, dy, infinite, w, *kept, True, False, tol=4 * tol, name="infinite")


def cases(rng, dtype):
    for shape in SHAPES:
        yield from channels(rng, dtype, shape)
    for shape in ((9, 2, 1), (2, 2, 24)):
        yield from channels(rng, dtype, shape, far=1e4)
    for samples, count in ((1, 20), (4, 9), (1, 1), (3, 0), (0, 7)):
        mean, rstd = rng.uniform(0.5, 2, (2, samples, 11))
        running = rng.uniform(0.5, 2, (2, 11)).astype(dtype)
        for momentum, seen in ((0.1, [3]), (-1.0, [3]), (-1.0, [])):
            batches = np.array(seen, np.int64)
            yield case("norm_batch.running_update", *running, batches, mean, rstd, count, momentum, EPS)
