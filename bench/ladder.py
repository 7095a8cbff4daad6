"""From three loops to the kernel: the steps by which a matrix product comes near the machine's peak, each measured.

Prints the ladder, and writes it into kernels/README.md. The first three are what a reader would write (blocks for the
caches gain nothing yet: it is the registers that are missing); the tile alone shows what the loops around it have to
keep fed; the last two are the library's own.
"""

import functools
import os
from pathlib import Path

import ceilings
import hotloop
import numpy as np
from hotloop.kernels.cpu.gemm import matmul_forward
from hotloop.kernels.cpu.target import FLOAT_LANES, ROWS, VECTORS
from hotloop.kernels.cpu.tile import tile
from hotloop.kernels.jit import standalone
from numba import njit
from report import between_markers, row, rule

PAGE = Path(__file__).resolve().parent.parent / "kernels" / "README.md"
SIZES = (512, 1024)
DEPTH, WIDTH = 256, VECTORS * FLOAT_LANES  # of a panel of b: 32 KB with AVX-512


@njit
def three_loops(c, a, b):
    m, n, k = c.shape[0], c.shape[1], a.shape[1]
    for i in range(m):
        for j in range(n):
            total = c.dtype.type(0)
            for p in range(k):
                total += a[i, p] * b[p, j]
            c[i, j] = total


@njit
def rows_inside(c, a, b):
    m, n, k = c.shape[0], c.shape[1], a.shape[1]
    for i in range(m):
        c[i, :] = 0
        for p in range(k):
            for j in range(n):
                c[i, j] += a[i, p] * b[p, j]


@njit(fastmath={"contract"})
def four_rows(c, a, b):
    # sizes are multiples of four; "contract": a product and a sum may be one instruction
    m, n, k = c.shape[0], c.shape[1], a.shape[1]
    for i in range(m):
        c[i, :] = 0
        for p in range(0, k, 4):
            a0, a1, a2, a3 = a[i, p], a[i, p + 1], a[i, p + 2], a[i, p + 3]
            b0, b1, b2, b3 = b[p], b[p + 1], b[p + 2], b[p + 3]
            for j in range(n):
                c[i, j] += a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]


@standalone
def tiles_alone(c, a, b):
    # as many multiply-adds, on the same two panels again and again: the result is no product
    m, n, k = c.shape[0], c.shape[1], a.shape[1]
    corner, panel_a, panel_b = c.ctypes.data, a.ctypes.data, b.ctypes.data
    for _ in range(m * n * k // (ROWS * WIDTH * DEPTH)):
        tile(c[0, 0], ROWS, WIDTH, DEPTH, panel_a, 1, ROWS, panel_b, WIDTH, corner, n, 0, corner, False)


def packed_with_all_loops(c, a, b):
    matmul_forward(c, a, b, False, False, False)


# what a step does, threads, function
LADDER = [
    ("three loops, the sum innermost: b is read down its columns", 1, three_loops),
    ("rows of b and c innermost, which become vectors", 1, rows_inside),
    ("four rows of b for each load and store of c", 1, four_rows),
    ("the tile alone: sums in registers, two packed panels that stay in L1", 1, tiles_alone),
    ("the tile with all its loops: `matmul_forward`", 1, packed_with_all_loops),
    ("the same on two threads", 2, packed_with_all_loops),
]


def measure(cores, peak):
    """A row for each step: GFLOP/s and percent of the peak of the cores in use (peak: that of one), for each size."""
    for words, threads, function in LADDER:
        if threads > len(cores):
            continue
        pin(cores[:threads])
        hotloop.set_num_threads(threads)
        cells = []
        for n in SIZES:
            a, b = np.random.default_rng(0).standard_normal((2, n, n), dtype=np.float32)
            c = np.empty_like(a)
            speed = 2 * n**3 / ceilings.typical(functools.partial(function, c, a, b))
            cells.append(f"{speed / 1e9:.3g} GFLOP/s, {100 * speed / peak / threads:.0f} %")
            if function is not tiles_alone:
                np.testing.assert_allclose(c, a @ b, atol=1e-3)
        yield row(words, *cells)


def pin(cores):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def main():
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    pin(cores[:1])
    peak = ceilings.flops("float32") / ceilings.threads()
    header = row("step", *(f"{n} x {n}, of the FMA peak" for n in SIZES))
    table = "\n".join([header, rule(1 + len(SIZES)), *measure(cores, peak)])
    print(table)
    PAGE.write_text(between_markers(PAGE.read_text(), "ladder", table))


if __name__ == "__main__":
    main()
