"""Products of all small sizes, and of sizes around every constant that the code is blocked by."""

import numpy as np
import pytest
from hotloop.kernels.cpu import target
from products import DENSE, constants, each_transpose, excess, integers, latin_square, matmul, on_cpu, operands, turned

each_start = pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])


def report(wrong, cases):
    """All at once: which sizes fail says more than that one does."""
    assert not wrong, f"{len(wrong)} of {cases} sizes (M, N, K) are wrong: {wrong[:12]}"


def test_each_pair_of_sizes_meets():
    cases = latin_square(3)
    for places in ((0, 1), (0, 2), (1, 2)):
        assert len({tuple(case[p] for p in places) for case in cases}) == len(DENSE) ** 2


@on_cpu
@each_transpose
@each_start
def test_small_sizes(backend, dtype, rng, transpose, accumulate):
    """Within the bound of tests/products.py, amid NaN that is neither read nor written."""
    wrong, worst = {}, 0.0
    # other triples of sizes for each transpose
    first = 1 + 6 * transpose[0] + 12 * transpose[1] + 3 * accumulate
    cases = [case for multiplier in range(first, first + 3) for case in latin_square(multiplier)]
    for shift, (m, n, k) in enumerate(cases):
        a, b = operands(rng, m, n, k, transpose, dtype)
        start = rng.standard_normal((m, n)).astype(dtype) if accumulate else None
        y = matmul(backend, a, b, transpose, start, shift)
        off = excess(y, *turned(a, b, transpose), *([start] if accumulate else []))
        worst = max(worst, off)
        if not off <= 1:
            wrong[m, n, k] = off
    print(f"largest error: {worst:.2f} of the bound")
    report(list(wrong), len(cases))


def around(constant):
    """Sizes (M, N, K) in which one dimension crosses a constant, beside few rows and more than few."""
    for size in (constant - 1, constant, constant + 1):
        yield from ((size, 19, 21), (21, size, 19), (3, size, 35), (1, size, 7), (19, 21, size), (3, 21, size))


def with_work(work):
    """Sizes whose multiply-adds are just fewer, as many, and just more."""
    for m, n in ((40, 50), (3, 500), (500, 16)):
        depth = max(1, work // (m * n))
        yield from ((m, n, depth + more) for more in (-1, 0, 1))


def blocked():
    # a dimension of more than some thousands would cross them all at once
    sizes = [case for c in constants() if c <= 4096 for case in around(c)]
    return sizes + [case for c in constants() if 1e4 < c < 1e7 for case in with_work(c)]


@on_cpu
@each_transpose
def test_sizes_around_constants(backend, dtype, rng, transpose):
    """Every block, chunk and threshold is crossed; the numbers are whole, and the results exact."""
    wrong, cases = [], blocked()
    for place, (m, n, k) in enumerate(cases):
        a, b = operands(rng, m, n, k, transpose, dtype, integers)
        start = integers(rng, (m, n), dtype) if place % 2 else None
        left, right = turned(a, b, transpose)
        want = left @ right + (0 if start is None else start)
        if not np.array_equal(matmul(backend, a, b, transpose, start, place), want):
            wrong.append((m, n, k))
    report(wrong, len(cases))


# rows, columns or steps alone are many; a few of the others
EXTREME = [(1, 1, 100_003), (3, 2, 100_003), (7, 5, 100_003), (20_011, 3, 2), (20_011, 1, 17), (2, 20_011, 5)]
EXTREME += [(17, 20_011, 3), (1, 1, 1), (1, 20_011, 1), (20_011, 1, 1)]
# all are many: several blocks, chunks and remainders in each
EXTREME += [(913, 1031, 521), (1000, 33, 700), (131, 2081, 300), (65, 129, 2049)]
# more lines than are packed at a time, and more steps than the workspace has room for
EXTREME += [case for c in constants() if 4096 < c < 20_000 for case in ((c + 1, 301, 67), (301, c + 1, 67))]
EXTREME += [(301, 303, c // 512 + 1) for c in constants() if 1e6 < c < 1e7]


@on_cpu
@each_transpose
@pytest.mark.parametrize("size", EXTREME, ids=str)
def test_extreme_shapes(backend, dtype, rng, size, transpose):
    a, b = operands(rng, *size, transpose, dtype, integers)
    start = integers(rng, size[:2], dtype)
    left, right = turned(a, b, transpose)
    assert np.array_equal(matmul(backend, a, b, transpose), left @ right)
    assert np.array_equal(matmul(backend, a, b, transpose, start), left @ right + start)


def test_constants_are_found():
    """What the tile and the blocks are made of is among them: without it the test above would cross nothing."""
    found = constants()
    assert {target.ROWS, target.FLOAT_LANES, target.DOUBLE_LANES} <= set(found)
    assert max(found) > 10_000 and any(64 < c <= 4096 for c in found), found
