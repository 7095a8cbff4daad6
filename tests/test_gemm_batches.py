"""Batches of products: none, one, many small, few large, in every transpose; numbers are whole and results exact."""

import numpy as np
import pytest
from products import bmm, constants, each_transpose, integers, latin_square, matmul, on_cpu, operands, turned

SMALL = (1, 2, 3, 5, 8, 13, 17, 33, 47, 65, 70)
BATCHES = [(0, 5, 6, 7), (1, 1, 1, 1), (1, 61, 67, 59), (2, 0, 3, 4), (2, 3, 0, 4), (3, 4, 5, 0)]
BATCHES += [(1000, 3, 5, 7), (333, 17, 1, 9), (501, 1, 33, 16), (64, 48, 64, 32), (3, 150, 130, 140), (2, 3, 1000, 700)]


def exact(backend, rng, dtype, batch, sizes, transpose, accumulate):
    """Whether the kernel gives what NumPy gives."""
    shapes = [x.shape for x in operands(rng, *sizes, transpose, dtype, integers)]
    a, b = (integers(rng, (batch, *shape), dtype) for shape in shapes)
    start = integers(rng, (batch, *sizes[:2]), dtype) if accumulate else None
    left, right = turned(a, b, transpose)
    return np.array_equal(bmm(backend, a, b, transpose, start), left @ right + (start if accumulate else 0))


@on_cpu
@each_transpose
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
@pytest.mark.parametrize("shape", BATCHES, ids=str)
def test_batches(backend, dtype, rng, shape, transpose, accumulate):
    assert exact(backend, rng, dtype, shape[0], shape[1:], transpose, accumulate)


@on_cpu
@each_transpose
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_small_entries(backend, dtype, rng, transpose, accumulate):
    """Each begins where the one before it ended: what one writes too much is the next one's, or the neighbours'."""
    for multiplier in (1, 4):
        for place, sizes in enumerate(latin_square(multiplier, SMALL)):
            batch = 2 + place % 4
            assert exact(backend, rng, dtype, batch, sizes, transpose, accumulate), (batch, *sizes)


@on_cpu
def test_entries_around_the_work_of_a_chunk(backend, dtype, rng):
    """Where a batch stops being parallel over its entries, and the entries become parallel themselves."""
    works = {factor * c for c in constants() if c > 1e5 for factor in (1, 2, 4, 8)}
    assert works
    for work in sorted(w for w in works if w < 5e6):
        depth = work // (120 * 100)
        for more in (0, 1):
            assert exact(backend, rng, dtype, 3, (120, 100, depth + more), (False, True), False), depth + more


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", [(5, 13, 31, 15), (4, 3, 65, 40), (3, 150, 130, 140)], ids=str)
def test_an_entry_is_a_product_like_any_other(backend, dtype, rng, shape, transpose):
    """In every bit: the batch changes who computes an entry, not how."""
    batch, *sizes = shape
    pairs = [operands(rng, *sizes, transpose, dtype) for _ in range(batch)]
    got = bmm(backend, *(np.stack(x) for x in zip(*pairs, strict=True)), transpose)
    for entry, (a, b) in zip(got, pairs, strict=True):
        assert np.array_equal(entry, matmul(backend, a, b, transpose))
