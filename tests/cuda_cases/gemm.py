"""Matrix products: every way the operands lie, aligned and not, large and small tiles, split depths."""

import numpy as np
from helpers import poison

from . import SIMULATED, case

CORES = {
    "tile_fma": {"fma.rn.f32": 256, "ld.shared.v4.f32": 32, "cp.async": 4},
    "tile_mma": {"mma.sync.aligned": 16, "cp.async.cg.shared.global.L2::128B": 4},
}


def operands(rng, dtype, m, n, k, transpose_a, transpose_b, stack=()):
    a = rng.standard_normal((*stack, k, m) if transpose_a else (*stack, m, k)).astype(dtype)
    b = rng.standard_normal((*stack, n, k) if transpose_b else (*stack, k, n)).astype(dtype)
    return a, b


def cases(rng, dtype):
    every_way = [(transpose_a, transpose_b) for transpose_a in (False, True) for transpose_b in (False, True)]
    for m, n, k in ((0, 2, 3), (3, 2, 0), (6, 5, 7), (8, 36, 20), (20, 6, 7), (20, 36, 8), (40, 20, 21)):
        for transpose_a, transpose_b in every_way if (m, n) in ((6, 5), (20, 36)) else every_way[1:3]:
            a, b = operands(rng, dtype, m, n, k, transpose_a, transpose_b)
            for accumulate in (False, True) if m == 6 else (False,):
                y = rng.standard_normal((m, n)).astype(dtype)
                yield case("gemm.matmul_forward", y, a, b, transpose_a, transpose_b, accumulate)
    for m, n, k in ((6, 5, 7), (20, 4, 4)):
        a, b = operands(rng, dtype, m, n, k, True, False, (2,))
        yield case("gemm.bmm_forward", rng.standard_normal((2, m, n)).astype(dtype), a, b, True, False, True)
        a, b = operands(rng, dtype, m, n, k, False, True, (2,))
        yield case("gemm.bmm_forward", poison((2, m, n), dtype), a, b, False, True, False)
    # an error of TF32's 11 bits; three products leave that of the 22 bits that two parts have
    for precision, tol in (("high", 1e-6), ("medium", 1e-3)):
        for transposed in (False, True):
            a, b = operands(rng, dtype, 72, 68, 20, transposed, not transposed)
            args = poison((72, 68), dtype), a, b, transposed, not transposed, False
            yield case("gemm.matmul_forward", *args, tol=tol, precision=precision)
    yield from large_cases(rng, dtype, 2104, ("highest", "high", "medium"))


def large_cases(rng, dtype, k, precisions):
    """Large tiles and a depth that is split; odd numbers of columns are not for Hopper's own core."""
    if SIMULATED:
        return
    for precision in precisions:
        for n, transpose_a, transpose_b in ((262, False, True), (264, False, False), (264, True, False)):
            a, b = operands(rng, dtype, 304, n, k, transpose_a, transpose_b)
            args = poison((304, n), dtype), a, b, transpose_a, transpose_b, False
            tol = 2e-3 if precision == "medium" else 5e-6 if dtype == np.float32 else None
            yield case("gemm.matmul_forward", *args, tol=tol, precision=precision, name="large")


def half_cases(rng, dtype):
    yield from large_cases(rng, dtype, 4208, ("highest",))
    for m, n, k in ((6, 5, 7), (72, 80, 40)):
        for transpose_a in (False, True):
            for transpose_b in (False, True):
                a, b = operands(rng, dtype, m, n, k, transpose_a, transpose_b)
                y = rng.standard_normal((m, n)).astype(dtype)
                yield case("gemm.matmul_forward", y, a, b, transpose_a, transpose_b, m == 6)
    # a depth in two parts
    a, b = operands(rng, dtype, 8, 72, 160, False, True)
    yield case("gemm.matmul_forward", poison((8, 72), dtype), a, b, False, True, False)
    a, b = operands(rng, dtype, 4, 8, 8, True, False, (2,))
    yield case("gemm.bmm_forward", rng.standard_normal((2, 4, 8)).astype(dtype), a, b, True, False, True)
