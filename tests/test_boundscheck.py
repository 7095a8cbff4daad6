"""A subset of the tests with Numba's bounds checking on: an index outside its array is an error, not a wrong number.

Code on pointers is not covered by it: see test_guard_pages.py.
"""

import re

import pytest
from helpers import python

# kernels that index by data (labels, ids), and kernels with edges of blocks
SUBSET = ["tests/test_softmax.py", "tests/test_cross_entropy.py", "tests/test_sgd.py", "tests/test_linear.py"]
SUBSET += ["tests/test_embedding.py", "tests/test_embedding_bag.py"]
CHECKED = {"NUMBA_BOUNDSCHECK": "1"}


def test_checking_is_on():
    """The checks reach the kernels' inner functions: without this the test below would prove nothing."""
    program = """
import numpy as np
from hotloop.kernels.jit import compiled, standalone

@compiled
def inner(x, i):
    return x[i]

@standalone
def outer(x, i):
    return inner(x, i)

try:
    print("found", outer(np.zeros(3), 5))
except IndexError as error:
    print("refused", error)
"""
    assert re.match("refused", python("-c", program, env=CHECKED))


def test_bodies_of_regions_are_checked_too():
    """An exception cannot leave a worker thread; it is raised by the thread that asked for the region."""
    program = """
import numpy as np
from hotloop.kernels.jit import compiled, parallel_for, standalone

@compiled
def body(begin, end, x):
    for i in range(begin, end):
        x[i] = 1

@standalone
def region(x, n):
    parallel_for(body, n, 2, (x,))

region(np.zeros(9), 9)
try:
    region(np.zeros(9), 10)
except IndexError as error:
    print("refused", error)
region(np.zeros(9), 9)
"""
    assert re.match("refused", python("-c", program, env=CHECKED))


@pytest.mark.process(*SUBSET, "-k", "cpu and float32", env=CHECKED)
def test_nothing_is_out_of_bounds(process):
    process()
