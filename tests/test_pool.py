"""Pooling kernels: against ref, ref against finite differences, windows that are refused, threads."""

import hotloop
import numpy as np
import pytest
from helpers import Backend, absent, agree, close, finite_difference, poison, same

# planes, then for each axis (elements, kernel, stride, padding, dilation, cut): `cut` more windows at the end, shorter
ONE = (1, 1, 1, 0, 1, 0)
SHAPES = {
    "nothing": (0, ONE, (5, 2, 2, 0, 1, 0), (6, 2, 2, 0, 1, 0)),
    "one": (1, ONE, ONE, ONE),
    "2x2": (3, ONE, (6, 2, 2, 0, 1, 0), (70, 2, 2, 0, 1, 0)),
    "3x3 stride 2, remainder": (2, ONE, (9, 3, 2, 1, 1, 0), (68, 3, 2, 1, 1, 1)),
    "3x3 stride 1": (2, ONE, (7, 3, 1, 1, 1, 0), (35, 3, 1, 1, 1, 0)),
    "dilation": (2, ONE, (11, 2, 3, 1, 3, 0), (41, 3, 1, 2, 2, 0)),
    "stride 3, gaps": (2, ONE, (11, 2, 3, 0, 1, 0), (61, 2, 5, 0, 1, 1)),
    "whole plane": (5, ONE, (7, 7, 7, 0, 1, 0), (17, 17, 17, 0, 1, 0)),
    "line": (7, ONE, ONE, (127, 4, 2, 1, 1, 1)),
    "solid": (2, (5, 2, 2, 0, 1, 1), (6, 3, 2, 1, 1, 0), (19, 3, 2, 1, 1, 0)),
    "points": (2, ONE, (9, 1, 2, 0, 1, 0), (37, 1, 2, 0, 1, 0)),
    "wide windows": (2, ONE, (9, 5, 2, 2, 1, 0), (70, 6, 2, 3, 1, 1)),
    "5x5 stride 1": (1, ONE, (6, 5, 1, 2, 1, 0), (37, 5, 1, 2, 1, 0)),
    "many rows": (61, ONE, (17, 2, 2, 0, 1, 0), (16, 2, 2, 0, 1, 0)),
}


def table(size, kernel, stride, padding, dilation, cut, divides=False):
    reach = dilation * (kernel - 1) + 1
    rows = []
    for o in range((size + 2 * padding - reach) // stride + 1 + cut):
        inside = [i for i in range(o * stride - padding, o * stride - padding + reach, dilation) if 0 <= i < size]
        rows.append((inside[0], inside[-1] + 1, kernel if divides else dilation))
    return np.array([rows], np.int64)


def case(shape, divides=False):
    """(shape of x, shape of y, tables)"""
    planes, *axes = shape
    tables = [table(*axis, divides) for axis in axes]
    return (planes, *(axis[0] for axis in axes)), (planes, *(t.shape[1] for t in tables)), tables


def pick(rng, shape, dtype):
    # few values: equals meet
    return rng.integers(-9, 9, shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_max_forward(backend, dtype, rng, shape):
    x_shape, y_shape, tables = case(shape)
    x, y, none = pick(rng, x_shape, dtype), poison(y_shape, dtype), absent(np.int32)
    agree(backend, "pool_max.max_pool_forward", y, poison(y_shape, np.int32), x, *tables, False)
    agree(backend, "pool_max.max_pool_forward", y, none, x, *tables, False)
    x -= 7
    agree(backend, "pool_max.max_pool_forward", y, poison(y_shape, np.int32), x, *tables, True)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_max_backward(backend, dtype, rng, shape):
    x_shape, y_shape, tables = case(shape)
    y, indices = np.empty(y_shape, dtype), np.empty(y_shape, np.int32)
    # of a rectified pooling: some windows are in no position
    Backend("ref")("pool_max.max_pool_forward", y, indices, pick(rng, x_shape, dtype) - 5, *tables, True)
    dx, dy = poison(x_shape, dtype), rng.standard_normal(y_shape).astype(dtype)
    agree(backend, "pool_max.max_pool_backward", dx, dy, indices, *tables)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_average(backend, dtype, rng, shape):
    x_shape, y_shape, tables = case(shape, divides=True)
    x, dy = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
    agree(backend, "pool_average.average_pool_forward", poison(y_shape, dtype), x, *tables)
    agree(backend, "pool_average.average_pool_backward", poison(x_shape, dtype), dy, *tables)


def drawn(rng, planes, size, count, kernel, dtype=np.float64):
    """Windows of their own for each plane, and what a kernel gives for the same samples."""
    windows, samples = np.empty((planes, count, 3), np.int64), rng.uniform(0, 1, (planes, 2)).astype(dtype)
    Backend("ref")("pool_windows.fractional_windows_forward", windows, samples, 1, size, kernel)
    return windows, samples


@pytest.mark.parametrize("sizes", [(13, 13, 1), (29, 17, 2), (5, 1, 3), (61, 60, 2)], ids=str)
def test_windows_that_are_drawn(backend, dtype, rng, sizes):
    size, count, kernel = sizes
    windows, samples = drawn(rng, 7, size, count, kernel, dtype)
    assert windows[..., 0].min() >= 0 and (windows[:, -1, 1] == size).all()
    got = poison(windows.shape, np.int64)
    # in the dtype of the samples: one in the other would begin elsewhere now and then
    backend("pool_windows.fractional_windows_forward", got, samples, 1, size, kernel)
    assert (got == windows).all()


def test_windows_of_each_plane(backend, dtype, rng):
    tables = [np.array([[(0, 1, 1)]] * 3), drawn(rng, 3, 11, 7, 2)[0], drawn(rng, 3, 40, 23, 3)[0]]
    x = rng.standard_normal((3, 1, 11, 40)).astype(dtype)
    y, indices = poison((3, 1, 7, 23), dtype), poison((3, 1, 7, 23), np.int32)
    agree(backend, "pool_max.max_pool_forward", y, indices, x, *tables, False)
    agree(backend, "pool_average.average_pool_forward", y, x, *tables)
    agree(backend, "pool_average.average_pool_backward", x, rng.standard_normal(y.shape).astype(dtype), *tables)


def test_nan_infinity_and_empty_windows(backend, dtype, rng):
    x = rng.standard_normal((2, 1, 8, 70)).astype(dtype)
    x[0, 0, 2, ::3], x[0, 0, 5, ::4], x[1] = np.nan, np.nan, -np.inf
    across = table(70, 3, 2, 1, 1, 0)
    across[0, [0, 9], 1] = across[0, [0, 9], 0]
    tables = [table(*ONE), table(8, 3, 1, 1, 1, 0), across]
    shape = (2, 1, 8, 35)
    got, want = ((np.empty(shape, dtype), np.empty(shape, np.int32)) for _ in range(2))
    for rectified in (True, False):
        backend("pool_max.max_pool_forward", *got, x, *tables, rectified)
        Backend("ref")("pool_max.max_pool_forward", *want, x, *tables, rectified)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, other)
    assert np.isnan(want[0]).any() and np.isinf(want[0]).any() and (want[1] == -1).any()
    # what is nowhere adds nothing
    agree(backend, "pool_max.max_pool_backward", poison(x.shape, dtype), np.ones(shape, dtype), want[1], *tables)


@pytest.mark.parametrize("shape", [(0, 5, 3), (1, 1, 1), (3, 61, 17), (40, 1000, 999)], ids=str)
def test_unpool(backend, dtype, rng, shape):
    planes, whole, count = shape
    indices = rng.integers(0, whole, (planes, count))
    x, dy = rng.standard_normal((planes, count)).astype(dtype), rng.standard_normal((planes, whole)).astype(dtype)
    agree(backend, "unpool.max_unpool_forward", poison((planes, whole), dtype), x, indices)
    agree(backend, "unpool.max_unpool_backward", poison((planes, count), dtype), dy, indices)


@pytest.mark.parametrize("operation", ["max", "average"])
@pytest.mark.parametrize("name", ["3x3 stride 2, remainder", "solid", "dilation"])
def test_ref_gradient_is_the_slope(rng, operation, name):
    ref = Backend("ref")
    _, depth, height, width = SHAPES[name]
    shape = (1, depth, height, (8, *width[1:]))
    x_shape, y_shape, tables = case(shape, divides=operation == "average")
    # no two within a step of each other, and none of 0: the largest stays the same
    x = (rng.permutation(int(np.prod(x_shape))).reshape(x_shape) - 20.5) / 100.0
    y, dy, indices = np.empty(y_shape), rng.standard_normal(y_shape), np.empty(y_shape, np.int32)

    def loss():
        if operation == "max":
            ref("pool_max.max_pool_forward", y, indices, x, *tables, True)
        else:
            ref("pool_average.average_pool_forward", y, x, *tables)
        return float((dy * y).sum())

    want, dx = finite_difference(loss, x), poison(x_shape, np.float64)
    loss()
    if operation == "max":
        ref("pool_max.max_pool_backward", dx, dy, indices, *tables)
    else:
        ref("pool_average.average_pool_backward", dx, dy, *tables)
    # linear in x: cancellation alone
    close(dx, want, 1e-8)


def test_what_does_not_fit_is_refused(backend):
    x, y, one = np.ones((2, 1, 4, 4), np.float32), np.ones((2, 1, 2, 2), np.float32), table(*ONE)
    good, none, found = table(4, 2, 2, 0, 1, 0), absent(np.int32), np.zeros((2, 1, 2, 2), np.int32)
    for at, value in (((0, 0, 0), -1), ((0, 1, 1), 5), ((0, 1, 1), 1)):
        bad = good.copy()
        bad[at] = value
        for tables in ((one, bad, good), (one, good, bad)):
            with pytest.raises(ValueError, match="does not lie in the input"):
                backend("pool_max.max_pool_forward", y, none, x, *tables, False)
            with pytest.raises(ValueError, match="does not lie in the input"):
                backend("pool_max.max_pool_backward", x, y, found, *tables)
            with pytest.raises(ValueError, match="does not lie in the input"):
                backend("pool_average.average_pool_forward", y, x, *tables)
            with pytest.raises(ValueError, match="does not lie in the input"):
                backend("pool_average.average_pool_backward", x, y, *tables)
    still = good.copy()
    still[0, 1, 2] = 0
    with pytest.raises(ValueError, match="steps of at least 1"):
        backend("pool_max.max_pool_forward", y, none, x, one, good, still, False)
    with pytest.raises(ValueError, match="steps of at least 1"):
        backend("pool_max.max_pool_backward", x, y, found, one, still, good)
    with pytest.raises(ValueError, match="do not fit"):
        backend("pool_windows.fractional_windows_forward", good, y.reshape(1, 8), 0, 2, 2)
    for bad in (-1, 16):
        with pytest.raises(IndexError, match="outside"):
            backend("unpool.max_unpool_forward", x.reshape(2, 16), y.reshape(2, 4), np.full((2, 4), bad))
        with pytest.raises(IndexError, match="outside"):
            backend("unpool.max_unpool_backward", y.reshape(2, 4), x.reshape(2, 16), np.full((2, 4), bad))


def test_any_number_of_threads_gives_the_same_bits(rng):
    cpu, results = Backend("cpu"), []
    x = rng.standard_normal((64, 1, 33, 47)).astype(np.float32)
    tables = [table(*ONE), table(33, 3, 2, 1, 1, 0), table(47, 3, 2, 1, 1, 0)]
    tables[0][..., 2] = 9
    shape = (64, 1, 17, 24)
    dy, before = rng.standard_normal(shape).astype(np.float32), hotloop.get_num_threads()
    for threads in (1, 2):
        hotloop.set_num_threads(threads)
        y, indices, mean = np.empty(shape, np.float32), np.empty(shape, np.int32), np.empty(shape, np.float32)
        dx, spread = np.empty_like(x), np.empty_like(x)
        cpu("pool_max.max_pool_forward", y, indices, x, *tables, False)
        cpu("pool_max.max_pool_backward", dx, dy, indices, *tables)
        cpu("pool_average.average_pool_forward", mean, x, *tables)
        cpu("pool_average.average_pool_backward", spread, dy, *tables)
        results.append((y, indices, mean, dx, spread))
    hotloop.set_num_threads(before)
    assert all(same(a, b) for a, b in zip(*results, strict=True))
