"""kernels/threads.py: the parallel driver under concurrency, forks, nesting and any number of threads."""

import os
import threading

import numpy as np
import pytest
from helpers import python
from hotloop.kernels import state, threads
from hotloop.kernels.cpu import gemm
from hotloop.kernels.jit import compiled, parallel_for, scratch, standalone


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
    assert state.words[state.LOCK] == 0
    assert state.words[state.ACTIVE] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_works_and_may_start_workers_of_its_own():
    code = """
import os, numpy as np
from hotloop.kernels import threads
from hotloop.kernels.cpu import gemm
a = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
y, z = np.empty_like(a), np.empty_like(a)
threads.set_num_threads(2)
gemm.matmul_forward(y, a, a, False, False, False)
child = os.fork()
if child == 0:
    gemm.matmul_forward(z, a, a, False, False, False)
    same = y.tobytes() == z.tobytes()
    threads.set_num_threads(2)
    z[...] = np.nan
    for _ in range(50):
        gemm.matmul_forward(z, a, a, False, False, False)
    os._exit(0 if same and y.tobytes() == z.tobytes() else 1)
_, status = os.waitpid(child, 0)
gemm.matmul_forward(z, a, a, False, False, False)
print("child", os.waitstatus_to_exitcode(status), "parent", y.tobytes() == z.tobytes())
"""
    assert python("-c", code, timeout=120).split() == ["child", "0", "parent", "True"]


def test_idle_workers_sleep():
    code = """
import time, resource, numpy as np
from hotloop.kernels import threads
from hotloop.kernels.cpu import gemm
threads.set_num_threads(4)
a = np.ones((300, 300), np.float32)
gemm.matmul_forward(np.empty_like(a), a, a, False, False, False)
time.sleep(0.2)
before = time.process_time()
time.sleep(1.0)
print(time.process_time() - before)
"""
    # three spinning workers would use seconds of processor time in this second
    assert float(python("-c", code, timeout=120)) < 0.1


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
