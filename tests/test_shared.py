"""kernels/shared.py: functions that a process compiles once; what happens when one of them cannot be."""

import ctypes

import numpy as np
import pytest
from hotloop.kernels import shared, state
from hotloop.kernels.cpu import gemm

ONES = np.ones((3, 4)), np.ones((4, 5))


def multiply(kernel=gemm.matmul_forward):
    y = np.empty((3, 5))
    kernel(y, *ONES, False, False, False)
    return y


@pytest.mark.parametrize("slot", [shared.PRODUCT + 1, shared.TILES + 1, shared.DOTS + 1])
def test_a_function_that_is_missing_is_an_error(slot):
    """Of the caller, whichever of the functions below it is the missing one."""
    multiply()
    address, loader = state.words[state.SHARED + slot], state.words[state.LOADER]
    asked = []
    ask = ctypes.CFUNCTYPE(None, ctypes.c_int64)(asked.append)
    state.words[state.SHARED + slot] = 0
    state.words[state.LOADER] = ctypes.cast(ask, ctypes.c_void_p).value
    try:
        with pytest.raises(RuntimeError, match="could not be compiled"):
            multiply()
        assert asked == [slot]
    finally:
        state.words[state.SHARED + slot], state.words[state.LOADER] = address, loader
    assert np.all(multiply() == 4)


def test_each_is_loaded_once():
    shared.load_all(np.dtype(np.float64), {name.partition(".")[0] for name in shared.FUNCTIONS})
    before = state.words[state.SHARED : state.SHARED + len(shared.FUNCTIONS)].copy()
    assert np.all(before[1::2] != 0)
    multiply()
    assert np.array_equal(before[1::2], state.words[state.SHARED + 1 : state.SHARED + len(shared.FUNCTIONS) : 2])
