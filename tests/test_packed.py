"""kernels/*/matmul_packed.py: products with an operand packed once: every size, edges, what memory held before."""

import importlib

import numpy as np
import pytest
from helpers import poison, same
from hotloop.kernels import threads
from products import constants, each_transpose, excess, integers, latin_square, normal, operands, run, turned

MODULE = "matmul_packed"
each_start = pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])


@pytest.fixture(autouse=True)
def threads_as_before():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def size_of(backend, k, n, dtype):
    return importlib.import_module(f"hotloop.kernels.{backend}.{MODULE}").packed_size(k, n, dtype)


def pack(backend, b, transpose_b, before=np.nan, shift=0):
    k, n = b.shape[::-1] if transpose_b else b.shape
    packed = np.full(size_of(backend, k, n, b.dtype), before, b.dtype)
    return run(backend, f"{MODULE}.matmul_pack_forward", packed, b, transpose_b, shift=shift)[0]


def multiply(backend, a, packed, n, transpose_a, start=None, shift=0):
    m = a.shape[1] if transpose_a else a.shape[0]
    y = poison((m, n), a.dtype) if start is None else start
    path = f"{MODULE}.matmul_packed_forward"
    return run(backend, path, y, a, packed, transpose_a, start is not None, shift=shift)[0]


def product(backend, a, b, transpose, start=None, shift=0):
    n = b.shape[0] if transpose[1] else b.shape[1]
    packed = pack(backend, b, transpose[1], shift=shift)
    return multiply(backend, a, packed, n, transpose[0], start, shift)


@each_transpose
@each_start
def test_small_sizes(backend, dtype, rng, transpose, accumulate):
    """Exact on whole numbers, amid NaN that is neither read nor written."""
    wrong = []
    for shift, (m, n, k) in enumerate(latin_square(1 + transpose[0] + 2 * transpose[1] + 4 * accumulate)):
        a, b = operands(rng, m, n, k, transpose, dtype, integers)
        start = integers(rng, (m, n), dtype) if accumulate else None
        left, right = turned(a, b, transpose)
        want = left @ right + (start if accumulate else 0)
        if not np.array_equal(product(backend, a, b, transpose, start, shift), want):
            wrong.append((m, n, k))
    assert not wrong, f"{len(wrong)} sizes (M, N, K) are wrong: {wrong[:12]}"


@each_transpose
def test_sizes_around_constants(backend, dtype, rng, transpose):
    wrong, sizes = [], {c + more for c in constants() if c <= 3000 for more in (-1, 0, 1)}
    for size in sizes:
        for m, n, k in ((size, 19, 21), (21, size, 19), (3, size, 35), (19, 21, size), (1, 33, size)):
            a, b = operands(rng, m, n, k, transpose, dtype, integers)
            left, right = turned(a, b, transpose)
            if not np.array_equal(product(backend, a, b, transpose), left @ right):
                wrong.append((m, n, k))
    assert not wrong, f"{len(wrong)} sizes (M, N, K) are wrong: {wrong[:12]}"


@each_transpose
@pytest.mark.parametrize("shape", [(37, 45, 67), (150, 130, 700), (3, 300, 90), (500, 70, 300)], ids=str)
def test_within_the_bound_at_any_number_of_threads(backend, dtype, rng, shape, transpose):
    a, b = operands(rng, *shape, transpose, dtype)
    start, results = normal(rng, shape[:2], dtype), []
    for count in (1, 2, 3, 5):
        threads.set_num_threads(count)
        results.append(product(backend, a, b, transpose, start, count))
    assert all(same(results[0], y) for y in results[1:])
    assert excess(results[0], *turned(a, b, transpose), start) <= 1


@each_transpose
def test_packing_depends_on_nothing_else(backend, dtype, rng, transpose):
    """The same bits whatever memory held; and one packing serves any number of rows, in any order."""
    _, b = operands(rng, 1, 61, 47, transpose, dtype, integers)
    packings = [pack(backend, b, transpose[1], before) for before in (np.nan, 0, np.inf, 7)]
    assert all(same(packings[0], packed) for packed in packings[1:])
    for m in (1, 40, 3, 0, 17, 100):
        a, _ = operands(rng, m, 61, 47, transpose, dtype, integers)
        left, right = turned(a, b, transpose)
        assert np.array_equal(multiply(backend, a, packings[0], 61, transpose[0]), left @ right)


def quietly(function, *args):
    """NumPy warns of what is asked for here."""
    with np.errstate(invalid="ignore"):
        return function(*args)


@each_transpose
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf], ids=str)
def test_special_numbers_keep_to_their_row_or_column(backend, dtype, special, transpose):
    for m, n, k in [(15, 33, 17), (1, 7, 3), (29, 70, 300)]:
        a, b = np.ones((k, m) if transpose[0] else (m, k), dtype), np.ones((n, k) if transpose[1] else (k, n), dtype)
        left, right = turned(a, b, transpose)
        want = np.full((m, n), float(k))
        left[m - 1, k - 1], want[m - 1] = special, special
        assert np.array_equal(quietly(product, backend, a, b, transpose), want, equal_nan=True)
        left[m - 1, k - 1], want[m - 1] = 1, k
        right[k - 1, n - 1], want[:, n - 1] = special, special
        assert np.array_equal(quietly(product, backend, a, b, transpose), want, equal_nan=True)


def test_sizes_that_do_not_fit(backend, dtype):
    a, b = np.ones((5, 8), dtype), np.ones((8, 40), dtype)
    packed = pack(backend, b, False)
    with pytest.raises(ValueError, match="expected"):
        backend(f"{MODULE}.matmul_pack_forward", packed[1:].copy(), b, False)
    with pytest.raises(ValueError, match="expected"):
        backend(f"{MODULE}.matmul_packed_forward", poison((5, 40), dtype), a, packed[1:].copy(), False, False)
    with pytest.raises(ValueError, match="expected"):
        backend(f"{MODULE}.matmul_packed_forward", poison((4, 40), dtype), a, packed, False, False)
