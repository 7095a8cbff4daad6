"""Fixtures for every test: `backend`, `dtype`, `rng`, `process`. The helpers themselves are in helpers.py.

Tests marked `@pytest.mark.process(selection..., env={...}, needs="module")` run a selection of the tests in a process
of their own (another CPU, bounds checking, the CUDA simulator); with `program="tests/..."` that is what runs. These
processes run one after the other on the second core, beside the tests of this process, and two at a time when those are
done; the test itself comes last and asks how it went.
"""

import importlib.util
import os
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import hypothesis
import numpy as np
import pytest
import simulator
from helpers import DTYPES, Backend, cuda_missing, python, run_tests

if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    simulator.install()

hypothesis.settings.register_profile("hotloop", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("hotloop")


# a test without CUDA is left out rather than skipped: tests/test_cuda.py says once, in words, what is missing
@pytest.fixture(params=["ref", "cpu"] + ["cuda"] * (not cuda_missing()))
def backend(request):
    """Each backend in turn; CUDA where there is a device or the simulator."""
    return Backend(request.param)


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name: the same numbers in every run and in any order of tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


_inside = "HOTLOOP_TEST_PROCESS" in os.environ
_beside = ThreadPoolExecutor(2)
# processes that may run: one beside the other tests, two when these are done and wait
_room = threading.Semaphore(1)
_running: dict = {}


def _in_turn(work):
    with _room:
        return work()


def pytest_configure(config):
    config.addinivalue_line("markers", "process: a selection of tests that runs in a process of its own")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("process") is not None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    for item in session.items:
        mark = item.get_closest_marker("process")
        if mark and not _inside and not session.config.option.collectonly and not _lacking(mark):
            program, env = mark.kwargs.get("program"), mark.kwargs.get("env")
            work = partial(python, program) if program else partial(run_tests, *mark.args, env=env)
            _running[item.nodeid] = _beside.submit(_in_turn, work)


def pytest_sessionfinish():
    _beside.shutdown(wait=False, cancel_futures=True)


def _lacking(mark):
    needs = mark.kwargs.get("needs")
    return needs if needs and importlib.util.find_spec(needs) is None else ""


@pytest.fixture(scope="session")
def _nothing_else():
    """These tests come last."""
    _room.release()


@pytest.fixture
def process(request, _nothing_else):
    """Waits for the process of this test; fails with all it said."""
    lacking = _lacking(request.node.get_closest_marker("process"))
    if _inside or lacking:
        pytest.skip(f"{lacking} is not installed" if lacking else "this is such a process")
    return _running[request.node.nodeid].result
