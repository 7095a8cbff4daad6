"""Products large enough for Hopper's own instructions, which the simulator's blocks are too many threads for.

What is around those instructions is tested there all the same: tests/test_cuda_hopper.py.
"""

import numpy as np
from helpers import poison

from . import SIMULATED, case
from .gemm import operands

CORES = {"hopper_core": {"wgmma.mma_async": 4, "cp.async.bulk.tensor.3d": 4}}


def cases(rng, dtype):
    if SIMULATED or dtype != np.float32:
        return
    for precision, tol in (("high", 1e-6), ("medium", 1e-3)):
        for ways in ((False, True), (True, False)):
            a, b = operands(rng, dtype, 392, 268, 1031, *ways)
            yield case(
                "gemm.matmul_forward", poison((392, 268), dtype), a, b, *ways, False, tol=tol, precision=precision
            )


def half_cases(rng, dtype):
    if SIMULATED:
        return
    for m, n, k in ((392, 520, 136), (1032, 2056, 200), (136, 72, 4104)):
        for transpose_a in (False, True):
            for transpose_b in (False, True):
                a, b = operands(rng, dtype, m, n, k, transpose_a, transpose_b)
                y = rng.standard_normal((m, n)).astype(dtype)
                yield case("gemm.matmul_forward", y, a, b, transpose_a, transpose_b, n == 72)
    a, b = operands(rng, dtype, 136, 200, 264, False, True, (3,))
    yield case("gemm.bmm_forward", poison((3, 136, 200), dtype), a, b, False, True, False)
    x, w = operands(rng, dtype, 392, 264, 520, False, True)
    b = rng.standard_normal(264).astype(dtype)
    yield case("linear.linear_forward", poison((392, 264), dtype), poison((392, 264), dtype), x, w, b, 4)
