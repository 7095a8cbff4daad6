"""kernels/threads.py: the parallel driver under concurrency, nesting, errors and any number of threads."""

import threading
import time

import numpy as np
import pytest
from helpers import same
from hotloop.kernels import state, threads
from hotloop.kernels.cpu import activation, gemm, index, linear, softmax
from hotloop.kernels.jit import compiled, parallel_for, scratch, standalone
from hotloop.kernels.scalar import TANH


@compiled
def _fill(begin, end, y, value):
    for i in range(begin, end):
        y[i] += value + i


@standalone
def fill(y, n, grain, value):
    parallel_for(_fill, n, grain, (y, value))


@compiled
def _inner(begin, end, y, row):
    work = scratch(3, 64, y)
    for i in range(begin, end):
        work[i % 64] = row
        y[row, i] += work[i % 64]


@compiled
def _outer(begin, end, y):
    for row in range(begin, end):
        parallel_for(_inner, y.shape[1], 7, (y, row))


@standalone
def nested(y):
    parallel_for(_outer, y.shape[0], 1, (y,))


def idle():
    """Whether no region runs and no worker is inside one."""
    return not any(state.words[[state.LOCK, state.ACTIVE]]) and state.words[state.GENERATION] % 2 == 0


@pytest.fixture(autouse=True)
def as_before():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("n, grain", [(0, 1), (1, 1), (10, 3), (10, 100), (100_003, 17)])
def test_every_index_exactly_once(count, n, grain):
    threads.set_num_threads(count)
    for _ in range(20):
        y = np.zeros(n)
        fill(y, n, grain, 3.0)
        assert np.array_equal(y, 3.0 + np.arange(n))


def test_many_regions_back_to_back():
    threads.set_num_threads(4)
    y = np.zeros(64)
    for _ in range(20_000):
        fill(y, 64, 1, 0.0)
    assert np.array_equal(y, 20_000.0 * np.arange(64))


def test_regions_inside_regions():
    threads.set_num_threads(3)
    y = np.zeros((50, 200))
    for _ in range(50):
        nested(y)
    assert np.array_equal(y, np.repeat(50.0 * np.arange(50.0)[:, None], 200, axis=1))


def test_several_python_threads_at_once():
    threads.set_num_threads(2)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((200, 200)).astype(np.float32) for _ in range(2))
    want = np.empty_like(a)
    gemm.matmul_forward(want, a, b, False, False, False)
    wrong = []

    def multiply():
        y = np.empty_like(a)
        for _ in range(100):
            y[...] = np.nan
            gemm.matmul_forward(y, a, b, False, False, False)
            if y.tobytes() != want.tobytes():
                wrong.append(1)

    callers = [threading.Thread(target=multiply) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert idle()


def test_a_kernel_that_raises_leaves_nothing_behind(rng):
    table, out = rng.standard_normal((40_000, 8)), np.empty((40_000, 8))
    rows = np.arange(40_000)
    bad = rows.copy()
    bad[-1] = 40_000
    threads.set_num_threads(3)
    for _ in range(10):
        with pytest.raises(IndexError):
            index.gather_rows_forward(out, table, bad)
        index.gather_rows_forward(out, table, rows)
        assert np.array_equal(out, table)
    assert idle()


def test_numbers_of_threads_up_and_down():
    y = np.zeros(1000)
    counts = [1, 9, 2, 5, 1, 3, 12, 2] * 5
    for count in counts:
        threads.set_num_threads(count)
        assert threads.get_num_threads() == count
        for _ in range(10):
            fill(y, 1000, 7, 0.0)
    assert np.array_equal(y, 10.0 * len(counts) * np.arange(1000))
    # workers are kept for the next time
    assert state.words[state.WORKERS] >= 11
    assert idle()


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="this system has no clock of a thread")
def test_workers_beyond_the_number_of_threads_rest():
    threads.set_num_threads(6)
    surplus = [t for t in threading.enumerate() if t.name in ("hotloop-4", "hotloop-5")]
    assert len(surplus) == 2
    clocks = [time.pthread_getcpuclockid(t.ident) for t in surplus]
    threads.set_num_threads(2)
    y = np.zeros(64)
    time.sleep(0.1)
    before = sum(map(time.clock_gettime, clocks))
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        fill(y, 64, 1, 0.0)
    # a system without futexes lets them look twice a millisecond
    assert sum(map(time.clock_gettime, clocks)) - before < 0.05


# (kernel, shapes of its arrays in order, scalars): several chunks of each, and a remainder
WORK = {
    "matmul": (gemm.matmul_forward, [(301, 205), (301, 517), (517, 205)], (False, False, False)),
    "matmul TT": (gemm.matmul_forward, [(301, 205), (517, 301), (205, 517)], (True, True, False)),
    "few columns, deep": (gemm.matmul_forward, [(70, 3), (70, 4001), (4001, 3)], (False, False, False)),
    "one row": (gemm.matmul_forward, [(1, 3001), (1, 517), (517, 3001)], (False, False, False)),
    "linear": (linear.linear_forward, [(300, 201), (300, 201), (300, 111), (201, 111), (201,)], (TANH,)),
    "softmax": (softmax.softmax_forward, [(3, 10_007, 5)] * 2, ()),
    "gelu": (activation.gelu_forward, [(100_003,)] * 2, ()),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", WORK)
def test_the_same_bits_for_any_number_of_threads(name, dtype, rng):
    kernel, shapes, scalars = WORK[name]
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    threads.set_num_threads(1)
    kernel(*arrays, *scalars)
    want = [a.copy() for a in arrays]
    for count in (2, 3, 5, 16):
        threads.set_num_threads(count)
        for a, documented in zip(arrays, kernel.kernel.spec.arguments, strict=False):
            if documented.role == "out":
                a[...] = np.nan
        kernel(*arrays, *scalars)
        assert all(same(a, b) for a, b in zip(arrays, want, strict=True)), f"{count} threads"


@pytest.mark.parametrize("bad", [0, -1, 257, 1.5, "2", True, None])
def test_set_num_threads_refuses(bad):
    with pytest.raises(ValueError, match="from 1 to 256"):
        threads.set_num_threads(bad)


def test_scratch_belongs_to_its_thread():
    @standalone
    def address(like):
        return scratch(5, 1000, like).ctypes.data

    like, found = np.zeros(1, np.float32), []
    address(like)

    def ask():
        found.append(address(like))
        barrier.wait()

    barrier = threading.Barrier(3)
    callers = [threading.Thread(target=ask) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(set(found)) == 3
    assert all(place % 64 == 0 for place in found)
