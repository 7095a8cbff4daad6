"""Every CUDA kernel against its definition: in the simulator, or on a device where there is one."""

import os

import numpy as np
import pytest
from cuda_cases import at_precision, every
from helpers import Backend, agree, cuda_missing, require_cuda
from hotloop.kernels.cuda.half import HALVES

# in the simulator NumPy computes, and warns where a device is silent: 0 / 0 of an empty mean, integers that wrap
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
# the same source serves both; a device runs both
FULL = [np.dtype(np.float32)] if SIMULATED else [np.dtype(np.float32), np.dtype(np.float64)]


def parameters(dtypes, function):
    # where there is nothing to run them on, thousands of cases are left out rather than skipped one by one
    dtypes = () if cuda_missing() else dtypes
    return [pytest.param(case, id=f"{dtype}-{name}") for dtype in dtypes for name, case in every(dtype, function)]


@pytest.mark.parametrize("case", parameters(FULL, "cases"))
def test_as_ref(case):
    require_cuda()
    with at_precision(case.precision):
        agree(Backend("cuda"), case.path, *case.args, tol=case.tol)


@pytest.mark.parametrize("case", parameters(HALVES, "half_cases"))
def test_halves_as_ref(case):
    require_cuda()
    agree(Backend("cuda"), case.path, *case.args, tol=case.tol)


def test_every_kernel_has_cases():
    from test_contract import kernels_of

    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    run = {case.path for _, case in every(np.float32)} | {case.path for _, case in every(np.float64)}
    assert set(kernels_of("cuda")) - run == set(), "kernels of kernels/cuda without a case in tests/cuda_cases"
