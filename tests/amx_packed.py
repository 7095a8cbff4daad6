"""Weights packed once on the AMX path: split with the packing, read where they lie; see test_amx.py."""

import contextlib

import numpy as np
import pytest
from amx_products import LARGE, PRECISIONS, TRIPLES, Counted, at_precision, pack, product, run
from amx_special import SPECIAL
from guard_pages import guarded
from helpers import poison, same
from hotloop.kernels import state, threads
from hotloop.kernels.cpu.matmul_packed import matmul_pack_forward, matmul_packed_forward, packed_size
from products import each_transpose, excess, operands, turned

# over the depth packed at a time, with all rows there are at a time; and with all columns
DEEP = [(2048, 5, 2050), (5, 2070, 2050)]


@each_transpose
@pytest.mark.parametrize("m, n, k", TRIPLES + LARGE)
def test_the_bits_of_a_product_that_was_not_packed(rng, m, n, k, transpose):
    a, b = operands(rng, m, n, k, transpose, np.float32)
    start = rng.standard_normal((m, n)).astype(np.float32)
    # wherever the array lies
    packed = pack(b, transpose[1], (m + n) % 16)
    assert same(product(a, packed, transpose), product(a, b, transpose))
    assert same(product(a, packed, transpose, start), product(a, b, transpose, start))


@pytest.mark.parametrize("m, n, k", DEEP)
def test_blocks_of_depth(rng, m, n, k):
    a, b = operands(rng, m, n, k, (False, True), np.float32)
    packed = pack(b, True, 5)
    with at_precision("medium"):
        with Counted(m, n, k, 1):
            got = product(a, packed)
        assert same(got, product(a, b, (False, True)))


def test_one_packing_serves_every_precision(rng):
    a, b = operands(rng, 50, 40, 500, (False, False), np.float32)
    for first in ("highest", "medium"):
        with at_precision(first):
            packed = pack(b)
        for precision, products in PRECISIONS.items():
            with at_precision(precision):
                with Counted(50, 40, 500, products):
                    got = product(a, packed)
                assert same(got, product(a, b))


@pytest.mark.parametrize("places", SPECIAL.values(), ids=SPECIAL)
def test_special_values(rng, places):
    """What cannot be multiplied on tiles is remembered."""
    a, b = operands(rng, 40, 33, 450, (False, False), np.float32)
    b *= 0.25
    for operand, i, j, value in places:
        (a, b)[operand][i, j] = value
    with Counted(0, 0, 0):
        got = product(a, pack(b))
    assert same(got, product(a, b))


def test_only_the_chunk_with_special_values_leaves_the_tiles(rng):
    a, b = operands(rng, 256, 160, 300, (False, False), np.float32)
    b[7, 130] = np.nan
    packed = pack(b)
    # chunks of 256 x 32
    with Counted(256, 128, 300):
        got = product(a, packed)
    assert same(got, product(a, b))
    assert np.isnan(got[:, 130]).all() and np.isfinite(np.delete(got, 130, 1)).all()


def kernels(a, b, transpose=(False, False), spoil=slice(0)):
    """The public kernels, with a part of the packed array filled with NaN in between."""
    m, n = turned(a, b, transpose)[0].shape[0], b.shape[0] if transpose[1] else b.shape[1]
    packed, y = pack(b, transpose[1]).array, poison((m, n), np.float32)
    packed[spoil] = np.nan
    matmul_packed_forward(y, a, packed, transpose[0], False)
    return y


@contextlib.contextmanager
def without_tiles():
    """As in a process that the system gives none."""
    state.words[state.PRODUCTS] = 0
    try:
        yield
    finally:
        state.words[state.PRODUCTS] = 6


@each_transpose
def test_what_each_path_reads(rng, transpose):
    m, n, k = 150, 130, 420
    a, b = operands(rng, m, n, k, transpose, np.float32)
    panels = 160 * k
    with Counted(m, n, k):
        got = kernels(a, b, transpose, slice(panels))
    assert same(got, product(a, b, transpose))
    with without_tiles(), Counted(0, 0, 0):
        assert excess(kernels(a, b, transpose, slice(panels, None)), *turned(a, b, transpose)) <= 1
    # few rows stay on the FMA tile, too
    a, b = operands(rng, 8, n, k, transpose, np.float32)
    with Counted(0, 0, 0):
        assert excess(kernels(a, b, transpose, slice(panels, None)), *turned(a, b, transpose)) <= 1


@pytest.fixture
def threads_as_before():
    count = threads.get_num_threads()
    yield
    threads.set_num_threads(count)


@pytest.mark.parametrize("m, n, k", [(64, 128, 784), (150, 130, 420)])
def test_threads_change_no_bit(rng, threads_as_before, m, n, k):
    a, b = operands(rng, m, n, k, (False, True), np.float32)
    results = []
    for count in (1, 2, 2, 3):
        threads.set_num_threads(count)
        results.append((pack(b, True).array, kernels(a, b, (False, True))))
    for packed, y in results[1:]:
        assert same(packed, results[0][0])
        assert same(y, results[0][1])


@pytest.mark.parametrize("end", [False, True], ids=["begin", "end"])
@pytest.mark.parametrize("m, n, k", [(32, 32, 32), (64, 64, 128), (33, 70, 45)])
def test_nothing_outside_the_operands_is_touched(rng, m, n, k, end):
    a, b = (guarded(x, end) for x in operands(rng, m, n, k, (False, True), np.float32))
    packed = guarded(poison(packed_size(k, n, np.float32), np.float32), end)
    y = guarded(poison((m, n), np.float32), end)
    matmul_pack_forward(packed, b, True)
    run(y, a, packed, (False, False))
    assert same(y, product(a, b, (False, True)))
