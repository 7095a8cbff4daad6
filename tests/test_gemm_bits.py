"""The same operands give the same bits: on any number of threads, on every call, wherever they lie.

What memory held before (outputs, the workspace that an earlier product left) is in none of them.
"""

import numpy as np
import pytest
from helpers import absent, poison, same
from hotloop.kernels import scalar, threads
from hotloop.kernels.cpu import gemm
from products import CPU, bmm, each_transpose, matmul, normal, on_cpu, operands, run

# each way of computing: few rows, one tile, edges, one chunk and several, blocks of depth, rows and columns, all small
SHAPES = [(1, 1, 1), (1, 700, 300), (3, 5000, 64), (4, 40, 3000), (13, 31, 15), (17, 33, 9), (48, 64, 64), (70, 70, 70)]
SHAPES += [(150, 130, 257), (33, 400, 784), (1000, 24, 65), (20, 2100, 40), (300, 310, 600), (2000, 3, 50)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
BATCHES = [(0, 3, 4, 5), (1, 150, 160, 170), (300, 5, 7, 9), (40, 33, 35, 31), (3, 200, 90, 300)]
COUNTS = (1, 2, 3, 5)


@pytest.fixture(autouse=True)
def as_before():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def all_same(results):
    return all(same(np.ascontiguousarray(results[0]), np.ascontiguousarray(r)) for r in results[1:])


@on_cpu
@each_transpose
@each_shape
def test_any_number_of_threads(backend, dtype, rng, shape, transpose):
    a, b = operands(rng, *shape, transpose, dtype)
    start, fresh, added = normal(rng, shape[:2], dtype), [], []
    for count in COUNTS:
        threads.set_num_threads(count)
        fresh.append(matmul(backend, a, b, transpose))
        added.append(matmul(backend, a, b, transpose, start))
    assert all_same(fresh) and all_same(added)


@on_cpu
@each_transpose
@pytest.mark.parametrize("shape", BATCHES, ids=str)
def test_any_number_of_threads_in_a_batch(backend, dtype, rng, shape, transpose):
    batch, *sizes = shape
    a, b = (normal(rng, (batch, *x.shape), dtype) for x in operands(rng, *sizes, transpose, dtype))
    results = []
    for count in COUNTS:
        threads.set_num_threads(count)
        results.append(bmm(backend, a, b, transpose))
    assert all_same(results)


@on_cpu
@pytest.mark.parametrize("shape", [(1, 300, 200), (7, 5, 3), (61, 129, 257), (300, 40, 33), (1000, 64, 10)], ids=str)
@pytest.mark.parametrize("code", [0, scalar.RELU, scalar.GELU], ids=["identity", "relu", "gelu"])
def test_any_number_of_threads_in_a_layer(backend, dtype, rng, shape, code):
    n, d, h = shape
    x, w, b, dy = (normal(rng, s, dtype) for s in ((n, d), (h, d), (h,), (n, h)))
    dw, db = normal(rng, (h, d), dtype), normal(rng, (h,), dtype)
    results = []
    for count in COUNTS:
        threads.set_num_threads(count)
        forward = (poison((n, h), dtype), poison((n, h), dtype), x, w, b, code)
        y, z = run(backend, "linear.linear_forward", *forward, written=2)
        backward = (poison((n, d), dtype), dw, db, dy, x, w, y, z, code, True)
        results.append((y, z, *run(backend, "linear.linear_backward", *backward, written=3)))
    assert all(all_same(each) for each in zip(*results, strict=True))


@on_cpu
@each_transpose
@each_shape
def test_wherever_the_operands_lie(backend, dtype, rng, shape, transpose):
    """At any distance from the bounds of vectors and cache lines: what a caller allocates differs from call to call."""
    a, b = operands(rng, *shape, transpose, dtype)
    assert all_same([matmul(backend, a, b, transpose, shift=shift) for shift in (0, 0, 1, 5, 8, 11)])


def fill_workspace(dtype, value):
    """Leave `value` in the workspaces of all threads: products of every size and kind, of that number alone."""
    none = absent(dtype)
    for m, n, k in [(1, 70, 70), (40, 70, 70), (41, 67, 70), (400, 500, 300), (900, 40, 300)]:
        x, w, y = (np.full(s, value, dtype) for s in ((m, k), (n, k), (m, n)))
        gemm.matmul_forward(y, x, w, False, True, True)
        gemm.matmul_forward(y, np.ascontiguousarray(x.T), np.ascontiguousarray(w.T), True, False, True)
        gemm.bmm_forward(y[None], x[None], w[None], False, True, True)
        run(CPU, "linear.linear_forward", y, y, x, w, none, scalar.SILU, written=2)
        run(CPU, "linear.linear_backward", x, w, none, y, x, w, y, y, scalar.SILU, True, written=2)


@on_cpu
@each_transpose
@pytest.mark.parametrize("before", [np.nan, np.inf, 1e30], ids=str)
def test_whatever_memory_held_before(backend, dtype, rng, transpose, before):
    """Workspace is never read before it is written, and what fills up the edges of a tile stays there."""
    cases = [operands(rng, *shape, transpose, dtype) for shape in SHAPES[:9]]
    want = [matmul(backend, a, b, transpose) for a, b in cases]
    for (a, b), expected in zip(cases, want, strict=True):
        fill_workspace(dtype, before)
        y = np.full(expected.shape, before, dtype)
        gemm.matmul_forward(y, a, b, *transpose, False)
        assert same(y, np.ascontiguousarray(expected)), f"{y.shape}, depth {a.size // y.shape[0]}"


@on_cpu
def test_one_product_after_another(backend, dtype, rng):
    """Sizes in any order: none finds anything of the one before it."""
    cases = []
    for place in range(150):
        transpose = bool(place & 1), bool(place & 2)
        a, b = operands(rng, *rng.integers(1, 71, 3), transpose, dtype)
        cases.append((a, b, transpose))
    want = [matmul(backend, *case) for case in cases]
    for place in rng.permutation(len(cases)):
        assert same(matmul(backend, *cases[place]), want[place])
