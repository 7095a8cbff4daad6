"""Pooling, padding, resampling, shuffling: planes of a few sizes, their axes short, long and missing."""

import numpy as np
from helpers import Backend, absent, poison
from hotloop.kernels.interpolate_modes import taps_of
from hotloop.kernels.pad_modes import MODES
from test_interpolate import CODES
from test_interpolate import case as resampled
from test_pad import case as padded
from test_pool import case as windows

from . import case

ONE = (1, 1, 1, 0, 1, 0)
# planes and axes as in test_pool.py: whole, cut at the edge, overlapping, dilated, solid, of one large window; planes
# are more than a thread takes at a time, or fewer
POOLED = [
    (0, ONE, (5, 2, 2, 0, 1, 0), (6, 2, 2, 0, 1, 0)),
    (5, ONE, (4, 2, 2, 0, 1, 0), (6, 2, 2, 0, 1, 0)),
    (5, ONE, (6, 3, 2, 1, 1, 1), (7, 3, 1, 1, 1, 0)),
    (2, (3, 2, 1, 0, 1, 0), (1, 1, 1, 0, 1, 0), (9, 3, 2, 2, 2, 0)),
    (3, (2, 2, 2, 0, 1, 0), (3, 3, 3, 0, 1, 0), (5, 5, 5, 0, 1, 0)),
    (1, ONE, (9, 9, 9, 0, 1, 0), (17, 17, 17, 0, 1, 0)),
]
FLAT = (1, 0, 0)
PADDED = [(5, FLAT, (3, 1, 2), (5, 3, 0)), (1, (2, 1, 1), (4, 0, 2), (5, -1, 2)), (3, FLAT, FLAT, (9, 4, -4))]
RESAMPLED = [(5, 0, 0, 1), (1, 0, 5, 4), (1, 6, 8, 0)]


def drawn(planes, size, kernel):
    """Windows of their own for each plane, which do not rise everywhere: any table may come."""
    first = np.array([[(3 * p + 2 * o) % (size - kernel + 1) for o in range(3)] for p in range(planes)])
    return np.stack([first, first + kernel, np.ones_like(first)], -1)


def pooling(rng, dtype, shapes):
    for shape in shapes:
        for divides in (False, True):
            x_shape, y_shape, tables = windows(shape, divides)
            y, dx = poison(y_shape, dtype), poison(x_shape, dtype)
            x, dy = rng.integers(-9, 9, x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
            if divides:
                yield case("pool_average.average_pool_forward", y, x, *tables)
                yield case("pool_average.average_pool_backward", dx, dy, *tables)
                continue
            indices = poison(y_shape, np.int32)
            yield case("pool_max.max_pool_forward", y, indices, x, *tables, False)
            yield case("pool_max.max_pool_forward", y, absent(np.int32), x, *tables, False)
            yield case("pool_max.max_pool_forward", y, indices, x - dtype.type(7), *tables, True)
            Backend("ref")("pool_max.max_pool_forward", np.empty(y_shape), indices, x.astype(np.float64), *tables, True)
            yield case("pool_max.max_pool_backward", dx, dy, indices.copy(), *tables)


def cases(rng, dtype):
    yield from pooling(rng, dtype, POOLED)
    tables = [np.array([[(0, 1, 1)]]), np.array([[(0, 2, 1), (0, 0, 1)]]), drawn(2, 7, 3)]
    x, y = rng.standard_normal((2, 1, 2, 7)).astype(dtype), poison((2, 1, 2, 3), dtype)
    yield case("pool_max.max_pool_forward", y, poison(y.shape, np.int32), np.where(x > 1, -np.inf, x), *tables, True)
    tables[1] = np.array([[(0, 2, 2), (1, 2, 1)]])
    yield case("pool_average.average_pool_forward", y, x, *tables)
    yield case("pool_average.average_pool_backward", x, np.ones(y.shape, dtype), *tables)
    # sizes whose quotients are exact: the beginnings are those of float64
    samples = np.array([[0.25, 0.5], [0.75, 0.125], [0, 0.875]], dtype)
    yield case("pool_windows.fractional_windows_forward", poison((3, 5, 3), np.int64), samples, 1, 12, 2)
    yield case("pool_windows.fractional_windows_forward", poison((3, 1, 3), np.int64), samples, 0, 4, 3)
    for planes, whole, count in ((0, 5, 3), (3, 13, 9)):
        indices = rng.integers(0, whole, (planes, count))
        x, dy = (rng.standard_normal((planes, n)).astype(dtype) for n in (count, whole))
        yield case("unpool.max_unpool_forward", poison((planes, whole), dtype), x, indices)
        yield case("unpool.max_unpool_backward", poison((planes, count), dtype), dy, indices)
    for shape in PADDED:
        x_shape, y_shape, fronts = padded(shape)
        x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
        for mode in MODES.values():
            yield case("pad.pad_forward", poison(y_shape, dtype), x, *fronts, mode, 2.5)
            yield case("pad.pad_backward", poison(x_shape, dtype), dy, *fronts, mode)
    yield case(
        "pad.pad_forward", poison((2, 1, 1, 5), bool), np.ones((2, 1, 1, 3), bool), 0, 0, 1, MODES["constant"], 1.0
    )
    for name, mode in CODES.items():
        for shape in RESAMPLED[: 1 if "antialias" in name else 3]:
            x_shape, y_shape, tables = resampled(dtype, shape, name)
            x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
            yield case("interpolate.interpolate_forward", poison(y_shape, dtype), x, *tables)
            yield case("interpolate.interpolate_backward", poison(x_shape, dtype), dy, *tables)
        for size, count, corners in ((5, 10, False), (12, 6, False), (6, 6, True)):
            shape = taps_of(mode, size, count, 0.0, corners), count
            taps = poison(shape, np.int64)
            yield case(
                "interpolate_taps.interpolate_taps_forward", taps, poison(shape, dtype), size, 0.0, mode, corners
            )
    yield from shuffles(rng, dtype)


def shuffles(rng, dtype):
    for p, h, i, w, j in ((0, 2, 2, 2, 2), (2, 3, 2, 3, 2), (1, 2, 1, 4, 3)):
        image, channels = (rng.standard_normal(s).astype(dtype) for s in ((p, h, i, w, j), (p, i, j, h, w)))
        yield case("shuffle.pixel_shuffle_forward", poison(image.shape, dtype), channels)
        yield case("shuffle.pixel_unshuffle_forward", poison(channels.shape, dtype), image)
    for n, a, b, i in ((0, 2, 3, 4), (2, 3, 2, 4), (1, 2, 2, 5)):
        x = rng.standard_normal((n, b, a, i)).astype(dtype)
        yield case("shuffle.channel_shuffle_forward", poison((n, a, b, i), dtype), x)


def half_cases(rng, dtype):
    yield from pooling(rng, dtype, [POOLED[2], POOLED[5]])
    samples = np.array([[0.25, 0.5], [0.75, 0.125]], dtype)
    yield case("pool_windows.fractional_windows_forward", poison((2, 5, 3), np.int64), samples, 1, 12, 2)
    indices = rng.integers(0, 7, (2, 3))
    x, dy = (rng.standard_normal((2, n)).astype(dtype) for n in (3, 7))
    yield case("unpool.max_unpool_forward", poison((2, 7), dtype), x, indices)
    yield case("unpool.max_unpool_backward", poison((2, 3), dtype), dy, indices)
    x_shape, y_shape, fronts = padded(PADDED[0])
    x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
    yield case("pad.pad_forward", poison(y_shape, dtype), x, *fronts, MODES["reflect"], 2.5)
    yield case("pad.pad_backward", poison(x_shape, dtype), dy, *fronts, MODES["replicate"])
    x_shape, y_shape, tables = resampled(np.float32, RESAMPLED[0], "linear")
    tables = [t.astype(dtype) if t.dtype == np.float32 else t for t in tables]
    x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
    yield case("interpolate.interpolate_forward", poison(y_shape, dtype), x, *tables)
    yield case("interpolate.interpolate_backward", poison(x_shape, dtype), dy, *tables)
    taps = poison((2, 10), np.int64), poison((2, 10), dtype)
    yield case("interpolate_taps.interpolate_taps_forward", *taps, 5, 0.0, CODES["linear"], False)
    yield from shuffles(rng, dtype)
