"""Tests of the AMX path, for a process that is told the processor has AMX: see test_amx.py.

Where it has not, the machine code is executed by an emulator (amx_emulator.py), some microseconds an instruction.
"""

import itertools
import math

import numpy as np
import pytest
from amx_products import (
    LARGE,
    LEFT_OUT,
    NORMWISE,
    PRECISIONS,
    TRIPLES,
    Counted,
    at_precision,
    excess,
    normal,
    product,
    run,
)
from guard_pages import guarded
from helpers import Backend, agree, poison, same
from hotloop.kernels import state, threads
from hotloop.kernels.cpu import target
from hotloop.kernels.scalar import GELU, RELU
from products import each_transpose, operands, turned


def test_the_path_is_on():
    assert target.AMX
    assert "AMX" in target.path()
    assert state.words[state.PRODUCTS] == 6


@each_transpose
@pytest.mark.parametrize("m, n, k", TRIPLES + LARGE)
def test_sizes(rng, m, n, k, transpose):
    a, b = operands(rng, m, n, k, transpose, np.float32)
    start = rng.standard_normal((m, n)).astype(np.float32)
    with Counted(2 * m, n, k) if m % 32 == 0 else Counted(64 * math.ceil(m / 32), n, k):
        overwritten, added = product(a, b, transpose), product(a, b, transpose, start)
    left, right = turned(a, b, transpose)
    assert excess(overwritten, left, right) <= 1
    assert excess(added, left, right, start) <= 1


@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
@pytest.mark.parametrize("m, n, k, large", [(33, 65, 40, False), (64, 64, 400, False), (40, 70, 400, True)])
def test_epilogues(rng, m, n, k, large, accumulate):
    """One operand too large for bf16: the same on vectors."""
    a, b = operands(rng, m, n, k, (False, False), np.float32)
    if large:
        a[3, 5], b[5] = np.finfo(np.float32).max, 0
    bias = rng.standard_normal(n).astype(np.float32)
    start = rng.standard_normal((m, n)).astype(np.float32) if accumulate else None
    biased, added = product(a, b, start=start, bias=bias), () if start is None else (start,)
    assert excess(biased, a, b, np.broadcast_to(bias, (m, n)), *added) <= 1
    assert same(product(a, b, start=start, bias=bias, activation=RELU), np.maximum(biased, 0))
    assert same(product(a, b, start=start, activation=RELU), np.maximum(product(a, b, start=start), 0))

    for activation in (RELU, GELU):
        z = poison((m, n), np.float32)
        y = product(a, b, start=start, bias=bias, activation=activation, z=z)
        assert same(z, biased)
        erf = np.vectorize(math.erf)(z.astype("d") / math.sqrt(2))
        want = np.maximum(z, 0) if activation == RELU else z * (1 + erf) / 2
        assert np.abs(y - want).max() < 1e-6


def positive(rng, m, n, k):
    return rng.random((m, k)), rng.random((k, n))


def badly_scaled(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 10.0 ** rng.integers(-9, 9, (m, 1)), b * 10.0 ** rng.integers(-9, 9, (1, n))


def badly_scaled_inside(rng, m, n, k):
    a, b = normal(rng, m, n, k)
    return a * 10.0 ** rng.integers(-4, 4, (m, k)), b * 10.0 ** rng.integers(-4, 4, (k, n))


# the largest of some thousand errors is a matter of luck: in 48 draws up to 1.15 of PyTorch's; the norm is none
SLACK = np.array([1.0, 1.25])


def errors(got, a, b):
    """Normwise error, each row and column brought to the size of its operands; largest componentwise error."""
    exact, size = a.astype("d") @ b.astype("d"), np.abs(a).astype("d") @ np.abs(b)
    scale = np.linalg.norm(a.astype("d"), axis=1)[:, None] * np.linalg.norm(b.astype("d"), axis=0)
    return np.array(
        [np.linalg.norm((got - exact) / scale) / np.linalg.norm(exact / scale), np.max(np.abs(got - exact) / size)]
    )


@pytest.mark.parametrize("k", [64, 384, 800])
@pytest.mark.parametrize("kind", [normal, positive, badly_scaled, badly_scaled_inside])
def test_no_less_accurate_than_a_plain_product(rng, kind, k):
    a, b = (x.astype(np.float32) for x in kind(rng, 64, 96, k))
    ours, plain = errors(product(a, b), a, b), errors(a @ b, a, b)
    print(f"normwise, componentwise: {ours}, NumPy {plain}")
    assert (ours <= plain * SLACK).all()
    torch = pytest.importorskip("torch")
    peer = errors((torch.from_numpy(a) @ torch.from_numpy(b)).numpy(), a, b)
    print(f"PyTorch {peer}")
    assert (ours <= peer * SLACK).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions(rng, precision):
    for transpose, k in itertools.product([(False, False), (True, True)], (1, 50, 500)):
        a, b = operands(rng, 50, 40, k, transpose, np.float32)
        with at_precision(precision), Counted(50, 40, k, PRECISIONS[precision]):
            got = product(a, b, transpose)
        left, right = turned(a, b, transpose)
        assert excess(got, left, right, left_out=LEFT_OUT[precision]) <= 1
        low, high = NORMWISE[precision]
        assert low < errors(got, left, right)[0] < high


@pytest.fixture
def threads_as_before():
    count = threads.get_num_threads()
    yield
    threads.set_num_threads(count)


@pytest.mark.parametrize("m, n, k", [(128, 160, 130), (128, 96, 400)])
def test_threads_change_no_bit(rng, threads_as_before, m, n, k):
    a, b = operands(rng, m, n, k, (False, False), np.float32)
    threads.set_num_threads(1)
    alone = product(a, b)
    for count in (2, 3):
        threads.set_num_threads(count)
        for _ in range(3):
            assert same(product(a, b), alone)


@each_transpose
def test_kernels_come_this_way(rng, transpose):
    m, n, k = 150, 130, 110
    a, b = operands(rng, m, n, k, transpose, np.float32)
    with Counted(m, n, k):
        agree(Backend("cpu"), "gemm.matmul_forward", poison((m, n), np.float32), a, b, *transpose, False, tol=2e-7)


def test_small_products_do_not(rng):
    for m, n, k in [(100, 100, 100), (8, 1000, 1000)]:
        a, b = operands(rng, m, n, k, (False, False), np.float32)
        with Counted(0, 0, 0):
            agree(Backend("cpu"), "gemm.matmul_forward", poison((m, n), np.float32), a, b, False, False, False)


def test_a_layer_with_its_activation(rng):
    n, d, h = 150, 130, 110
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in [(n, d), (h, d), (h,)])
    y, z = poison((n, h), np.float32), poison((n, h), np.float32)
    with Counted(n, h, d):
        agree(Backend("cpu"), "linear.linear_forward", y, z, x, w, b, GELU)


@each_transpose
@pytest.mark.parametrize("end", [False, True], ids=["begin", "end"])
@pytest.mark.parametrize("m, n, k", [(32, 32, 32), (64, 64, 128), (33, 70, 45)])
def test_nothing_outside_the_operands_is_touched(rng, m, n, k, transpose, end):
    a, b = (guarded(x, end) for x in operands(rng, m, n, k, transpose, np.float32))
    y = guarded(poison((m, n), np.float32), end)
    run(y, a, b, transpose)
    assert excess(y, *turned(a, b, transpose)) <= 1
