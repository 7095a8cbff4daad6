"""How far products are off: each element within its bound, and as a whole no worse than NumPy's.

The bound (tests/products.py) is what any order of summation keeps, with all roundings in one direction. They go either
way, and sums of a thousand terms stay far below it: what is asked of those grows with the root of the depth.
"""

import numpy as np
import pytest
from hotloop.kernels.cpu import target
from products import each_transpose, excess, matmul, normal, on_cpu, operands, turned

SHAPES = [(3, 70, 500), (1, 300, 2000), (64, 48, 300), (150, 130, 1000), (33, 65, 5000), (5, 7, 100_000)]


def normwise(got, want):
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float32_componentwise(backend, rng, shape, transpose):
    a, b = operands(rng, *shape, transpose, np.float32)
    off = excess(matmul(backend, a, b, transpose), *turned(a, b, transpose))
    print(f"{off:.4f} of the bound")
    # a sum of k roundings that go either way is off by sqrt(k) of them, not by k; 5: the largest of many
    assert off <= min(1, 5 / np.sqrt(shape[2]))


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", SHAPES[:5], ids=str)
@pytest.mark.parametrize("numbers", ["either sign", "positive"])
def test_float32_normwise_as_numpy(backend, rng, shape, transpose, numbers):
    """Float32 against NumPy's BLAS on the same operands, which adds up short chains of sums; so do we.

    Few rows are one long chain, here as in a BLAS's product of matrix and vector. It rounds k times, and 0.27 sqrt(k) u
    is what its error measures, signs or none.
    """
    a, b = operands(rng, *shape, transpose, np.float32)
    if numbers == "positive":
        a, b = np.abs(a), np.abs(b)
    left, right = turned(a, b, transpose)
    want = left.astype(np.float64) @ right.astype(np.float64)
    ours, numpys = normwise(matmul(backend, a, b, transpose), want), normwise(left @ right, want)
    print(f"ours {ours:.2e}, NumPy's {numpys:.2e}")
    unit = np.finfo(np.float32).eps / 2
    chain = 0.4 * np.sqrt(shape[2]) * unit if shape[0] < target.ROWS // 2 else 0
    assert ours <= max(2.5 * numpys + unit, chain)


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", [(37, 45, 67), (3, 40, 90), (29, 70, 300)], ids=str)
def test_numbers_of_very_different_size(backend, dtype, rng, shape, transpose):
    """The bound is kept where large and small stand side by side: in a row, down a column, along a sum."""
    m, n, k = shape
    a, b = operands(rng, *shape, transpose, dtype)
    left, right = turned(a, b, transpose)
    left *= np.exp2(rng.integers(-20, 21, (m, k))).astype(dtype)
    right *= np.exp2(rng.integers(-20, 21, (k, n))).astype(dtype)
    left *= np.exp2(rng.integers(-15, 16, (m, 1))).astype(dtype)
    assert excess(matmul(backend, a, b, transpose), left, right) <= 1


@on_cpu
@each_transpose
def test_what_cancels(backend, dtype, rng, transpose):
    """Sums near zero of large terms: the error is of the size of the terms' rounding, and zero where all is exact."""
    a, b = operands(rng, 33, 41, 60, transpose, dtype)
    left, right = turned(a, b, transpose)
    left[:, 30:], right[30:] = left[:, :30], -right[:30]
    assert excess(matmul(backend, a, b, transpose), left, right) <= 1
    left[...], right[...] = np.rint(8 * left), np.rint(8 * right)
    assert not matmul(backend, a, b, transpose).any()


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", [(33, 41, 1), (3, 41, 1), (1, 1, 1), (41, 3, 1)], ids=str)
def test_one_product_is_rounded_once(backend, dtype, rng, shape, transpose):
    a, b = operands(rng, *shape, transpose, dtype)
    left, right = turned(a, b, transpose)
    assert np.array_equal(matmul(backend, a, b, transpose), left * right)


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", [(33, 41, 70), (3, 41, 300), (1, 9, 5)], ids=str)
def test_the_identity_changes_nothing(backend, dtype, rng, shape, transpose):
    """Multiplied by one and added to zeros, every number of 24 or 53 bits comes out as it went in."""
    m, n, _ = shape
    x = normal(rng, (m, n), dtype) * np.exp2(rng.integers(-60, 60, (m, n))).astype(dtype)
    one_m, one_n = np.eye(m, dtype=dtype), np.eye(n, dtype=dtype)
    stored = np.ascontiguousarray(x.T) if transpose[1] else x
    assert np.array_equal(matmul(backend, one_m, stored, transpose), x)
    stored = np.ascontiguousarray(x.T) if transpose[0] else x
    assert np.array_equal(matmul(backend, stored, one_n, transpose), x)
