"""Fixtures for every test: `backend`, `dtype`, `rng`. The helpers themselves are in helpers.py."""

import zlib

import hypothesis
import numpy as np
import pytest
from helpers import DTYPES, Backend, cuda_missing

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
