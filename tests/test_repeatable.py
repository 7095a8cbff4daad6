"""Every kernel gives the same bits for any number of threads, and when it is called again."""

import numpy as np
import pytest
from families import arguments, kernels
from helpers import DTYPES, poison, python, same
from hotloop.kernels import threads

KERNELS = kernels()
MODULES = sorted({path.partition(".")[0] for path in KERNELS})


@pytest.fixture(autouse=True)
def threads_as_before():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def results(kernel, args):
    """What the kernel writes, of copies of the arguments; outputs and workspace are poisoned first."""
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    for documented, a in zip(kernel.kernel.spec.arguments, args, strict=True):
        if documented.role in ("out", "work"):
            a[...] = poison(a.shape, a.dtype)
    kernel(*args)
    return {d.name: a for d, a in zip(kernel.kernel.spec.arguments, args, strict=True) if d.written}


@pytest.mark.parametrize("module", MODULES)
def test_bits_do_not_depend_on_threads(module, rng):
    for path, kernel in KERNELS.items():
        if path.partition(".")[0] != module:
            continue
        args = arguments(path, kernel.kernel.spec, DTYPES[0], rng)
        threads.set_num_threads(1)
        want = results(kernel, args)
        for count in (1, 2, 3, 7):
            threads.set_num_threads(count)
            for name, got in results(kernel, args).items():
                assert same(got, want[name]), f"{path}: {name} differs on {count} threads"


def test_a_second_process_compiles_nothing():
    """Of any family: what this process compiled, the other one loads."""
    first = python("tests/families.py")
    assert f"{len(KERNELS)} kernels, compiled: " in first
    assert python("tests/families.py").strip().endswith("compiled: none")
