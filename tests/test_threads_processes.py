"""Threads in processes of their own: forks, idleness, Numba's own parallel loops, two libraries' workers at once."""

import importlib.util
import os

import pytest
from helpers import python

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

START = """
import os, sys, threading, time
import numpy as np
from hotloop.kernels import threads
from hotloop.kernels.cpu.gemm import matmul_forward

a = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
want = np.empty_like(a)
threads.set_num_threads(2)
matmul_forward(want, a, a, False, False, False)

def right(times=20):
    y = np.empty_like(a)
    for _ in range(times):
        y[...] = np.nan
        matmul_forward(y, a, a, False, False, False)
        if y.tobytes() != want.tobytes():
            return False
    return True

def in_child(what):
    child = os.fork()
    if child == 0:
        os._exit(0 if what() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run(code, env=None):
    return python("-c", START + code, timeout=300, env=env).split()


@forks
def test_a_forked_child_works_and_may_start_workers_of_its_own():
    code = """
def child():
    alone = right()
    threads.set_num_threads(3)
    return alone and right()

print(in_child(child), right())
"""
    assert run(code) == ["True", "True"]


@forks
def test_a_child_may_fork_again_and_use_threads():
    code = """
def several_threads():
    found = []
    callers = [threading.Thread(target=lambda: found.append(right())) for _ in range(3)]
    for caller in callers: caller.start()
    for caller in callers: caller.join()
    return found == [True] * 3

def child():
    threads.set_num_threads(2)
    return several_threads() and in_child(several_threads) and right()

print(in_child(child), several_threads())
"""
    assert run(code) == ["True", "True"]


@forks
def test_a_fork_in_the_middle_of_a_region():
    code = """
stop = False
def keep_busy():
    while not stop:
        right(1)

busy = threading.Thread(target=keep_busy)
busy.start()
found = [in_child(right) for _ in range(20)]
stop = True
busy.join()
print(all(found), right())
"""
    assert run(code) == ["True", "True"]


def test_idle_workers_sleep():
    code = """
threads.set_num_threads(4)
right()
before = time.process_time()
time.sleep(1.0)
print(time.process_time() - before)
"""
    # from the last region on: three workers that spin for less than a millisecond each before they sleep
    assert float(run(code)[0]) < 0.02


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_kernels_in_a_parallel_loop_of_the_user(layer):
    if layer == "omp" and not importlib.util.find_spec("numba.np.ufunc.omppool"):
        pytest.skip("this build of Numba has no OpenMP layer")
    # a kernel that is quick to compile: it is copied into the loop
    code = """
import numba
from hotloop.kernels.cpu.activation import tanh_forward

@numba.njit(parallel=True)
def rows(y, x):
    for i in numba.prange(y.shape[0]):
        tanh_forward(y[i], x[i])

x = np.random.default_rng(0).standard_normal((6, 100_003))
y, expected = np.empty_like(x), np.empty_like(x)
tanh_forward(expected, x)
for _ in range(20):
    y[...] = np.nan
    rows(y, x)
    assert y.tobytes() == expected.tobytes()
print(numba.threading_layer(), right())
"""
    assert run(code, {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": 2}) == [layer, "True"]


def test_beside_workers_of_another_library():
    code = """
b = np.random.default_rng(1).standard_normal((400, 400))
stop, wrong = False, []
def others():
    square = b @ b
    while not stop:
        if not np.array_equal(b @ b, square): wrong.append(1)

other = threading.Thread(target=others)
other.start()
fine = right(100)
stop = True
other.join()
print(fine, wrong)
"""
    assert run(code) == ["True", "[]"]


def test_one_core():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin a process")
    code = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for count in (1, 2, 8):
    threads.set_num_threads(count)
    began = time.perf_counter()
    print(right(), time.perf_counter() - began < 10)
"""
    assert run(code) == ["True"] * 6
