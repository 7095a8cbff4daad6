"""NaN, infinities, denormals, zeros with a sign and overflow: what IEEE arithmetic says, in the elements it says.

Special numbers stand at the edges and in the remainders of tiles, where one that is dropped, doubled or mixed with what
fills up a vector would show.
"""

import itertools

import numpy as np
import pytest
from products import bmm, each_transpose, integers, matmul, on_cpu, operands, turned

# remainders of rows, columns and steps for tiles of every path; few rows; one of everything; two blocks of depth
SHAPES = [(15, 33, 17), (29, 70, 257), (5, 7, 3), (3, 40, 9), (1, 19, 33), (40, 1, 5), (1, 1, 1), (14, 32, 16)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
SPECIAL = (np.nan, np.inf, -np.inf)


def in_order(left, right):
    """The product as sums of products in float64: whole numbers stay exact, special ones act as IEEE says."""
    with np.errstate(all="ignore"):
        return np.einsum("mk,kn->mn", left.astype(np.float64), right.astype(np.float64), optimize=False)


def places(size):
    return sorted({0, size // 2, max(0, size - 2), size - 1})


def test_the_reference_is_ieee():
    left, right = np.array([[np.inf, 1.0], [np.nan, 1.0], [2.0, 3.0]]), np.array([[0.0, 1.0], [5.0, -np.inf]])
    want = np.array([[np.nan, np.nan], [np.nan, np.nan], [15.0, -np.inf]])
    assert np.array_equal(in_order(left, right), want, equal_nan=True)


@on_cpu
@each_transpose
@each_shape
@pytest.mark.parametrize("operand", ["a", "b"])
def test_one_special_number(backend, dtype, rng, shape, transpose, operand):
    """It touches its own row (of a) or column (of b); zeros and signs on the other side decide how."""
    a, b = operands(rng, *shape, transpose, dtype, integers)
    target = turned(a, b, transpose)[operand == "b"]
    for i, j in itertools.product(places(target.shape[0]), places(target.shape[1])):
        kept = target[i, j]
        for value in SPECIAL:
            target[i, j] = value
            y, want = matmul(backend, a, b, transpose), in_order(*turned(a, b, transpose))
            assert np.array_equal(y, want, equal_nan=True), f"{value} at {i}, {j} of {operand}"
        target[i, j] = kept


@on_cpu
@each_transpose
@each_shape
def test_special_numbers_everywhere(backend, dtype, rng, shape, transpose):
    """Several in both operands, and zeros of either sign: infinities meet zeros and each other."""
    for _ in range(8):
        a, b = operands(rng, *shape, transpose, dtype, integers)
        for x in (a, b):
            x[rng.random(x.shape) < 0.1] = -0.0
            for value in SPECIAL:
                x[rng.integers(x.shape[0]), rng.integers(x.shape[1])] = value
        y, want = matmul(backend, a, b, transpose), in_order(*turned(a, b, transpose))
        assert np.array_equal(y, want, equal_nan=True)


@on_cpu
@each_transpose
@each_shape
def test_special_numbers_in_what_is_added_to(backend, dtype, rng, shape, transpose):
    a, b = operands(rng, *shape, transpose, dtype, integers)
    start = integers(rng, shape[:2], dtype)
    for value, i, j in itertools.product(SPECIAL, places(shape[0]), places(shape[1])):
        start[i, j] = value
        y, want = matmul(backend, a, b, transpose, start), in_order(*turned(a, b, transpose)) + start
        assert np.array_equal(y, want, equal_nan=True)
        start[i, j] = 1
    # what is overwritten is not looked at: infinite or NaN, it leaves nothing behind
    a[...] = 0
    assert not matmul(backend, a, b, transpose).any()


@on_cpu
@each_transpose
@each_shape
def test_overflow(backend, dtype, rng, shape, transpose):
    """One row and one column overflow, to the infinity of the right sign; no other element does."""
    m, n, k = shape
    largest = np.finfo(dtype).max
    a, b = operands(rng, *shape, transpose, dtype, integers)
    left, right = turned(a, b, transpose)
    left[m - 1], right[:, n - 1] = 1, 1
    want = in_order(left, right)
    left[m - 1], left[m - 1, k - 1] = 0, -largest
    right[k - 1] = 2
    want[m - 1] = -np.inf
    with np.errstate(all="ignore"):
        want[: m - 1] = in_order(left[: m - 1], right)
    assert np.array_equal(matmul(backend, a, b, transpose), want)


@on_cpu
@each_transpose
@each_shape
def test_the_largest_number_is_no_overflow(backend, dtype, shape, transpose):
    m, n, k = shape
    largest = np.finfo(dtype).max
    a, b = (np.zeros(s, dtype) for s in (((k, m) if transpose[0] else (m, k)), ((n, k) if transpose[1] else (k, n))))
    left, right = turned(a, b, transpose)
    for step in places(k):
        left[...], right[...] = 0, 0
        left[:, step], right[step] = largest, -1
        assert (matmul(backend, a, b, transpose) == -largest).all()
        left[:, step], right[step] = 1, largest
        assert (matmul(backend, a, b, transpose) == largest).all()
    left[...] = 0
    assert (matmul(backend, a, b, transpose, np.full((m, n), largest)) == largest).all()


@on_cpu
@each_transpose
@each_shape
def test_denormals(backend, dtype, rng, shape, transpose):
    """Denormal operands count, and denormal results are kept: whole multiples of a power of two, exactly."""
    info = np.finfo(dtype)
    a, b = operands(rng, *shape, transpose, dtype, integers)
    want = in_order(*turned(a, b, transpose))
    # the operand is denormal: its products with large numbers are not
    tiny, huge = dtype.type(np.ldexp(1.0, info.minexp - 8)), dtype.type(np.ldexp(1.0, 100))
    assert 0 < tiny < info.smallest_normal
    scale = np.ldexp(1.0, info.minexp - 8 + 100)
    assert np.array_equal(matmul(backend, a * tiny, b * huge, transpose), want * scale)
    assert np.array_equal(matmul(backend, a * huge, b * tiny, transpose), want * scale)
    # the operands are normal: their products, and some sums, are not
    small, scale = dtype.type(np.ldexp(1.0, info.minexp // 2 - 6)), np.ldexp(1.0, 2 * (info.minexp // 2 - 6))
    assert scale < info.smallest_normal
    assert np.array_equal(matmul(backend, a * small, b * small, transpose), want * scale)
    start = np.full(shape[:2], info.smallest_subnormal)
    got = matmul(backend, a * small, b * small, transpose, start)
    assert np.array_equal(got, want * scale + info.smallest_subnormal)


@on_cpu
@each_transpose
def test_entries_of_a_batch_keep_to_themselves(backend, dtype, rng, transpose):
    """A batch in the middle of entries full of NaN, one of its own entries full of infinities."""
    for batch, m, n, k in [(4, 5, 7, 3), (3, 15, 33, 17), (5, 1, 19, 4), (2, 3, 1, 40)]:
        (a, b), (_, _) = operands(rng, m, n, k, transpose, dtype, integers), (0, 0)
        a, b = (np.repeat(x[None], batch + 2, 0) for x in (a, b))
        for x in (a, b):
            x[0] = x[-1] = np.nan
        a[batch] = np.inf
        left, right = turned(a[1:-1], b[1:-1], transpose)
        got = bmm(backend, a[1:-1], b[1:-1], transpose)
        want = np.stack([in_order(x, y) for x, y in zip(left, right, strict=True)])
        assert np.array_equal(got, want, equal_nan=True)
        assert np.isfinite(got[: batch - 1]).all()
