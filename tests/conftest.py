"""Fixtures for every test: `backend`, `dtype`, `rng`. The helpers themselves are in helpers.py."""

import zlib

import hypothesis
import numpy as np
import pytest
from helpers import BACKENDS, DTYPES, Backend, require

hypothesis.settings.register_profile("hotloop", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("hotloop")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn; CUDA where there is a device or the simulator."""
    require(request.param)
    return Backend(request.param)


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name: the same numbers in every run and in any order of tests."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
