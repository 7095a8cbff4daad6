"""Products with an operand packed beforehand: the panels of B that the register tile reads, made once.

A panel holds all steps of a tile's columns, step by step; what is beyond the last column is zero. A product reads the
panels where they lie, so that nothing of B is copied, transposed or masked any more. Targets with AMX keep the bf16
parts of float32 behind them: see parts.py.
"""

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .pack import IN_PANELS, Matrix, matrix, pack_panel, panel_width
from .parts import keep_parts, packed_elements
from .product import product


def packed_size(k, n, dtype):
    """Elements of the array that holds a packed (K, N) operand of a dtype."""
    return packed_elements(k, n, np.dtype(dtype).itemsize)


_elements = compiled(packed_elements)


@compiled
def _pack(begin, end, packed, operand, depth):
    width, panels = panel_width(packed), Matrix(packed, depth, operand.lines, IN_PANELS)
    for number in range(begin, end):
        at = number * width * depth
        pack_panel(packed, at, width, operand, number * width, 0, depth)
        # beyond the edge lie numbers of no meaning, perhaps NaN: the same bits whatever they were
        for j in range(max(0, operand.lines - number * width), width):
            for p in range(depth):
                packed[at + p * width + j] = 0
        keep_parts(panels, number)


@kernel
def matmul_pack_forward(packed, b, transpose_b):
    """Panels in parallel."""
    n, k = (b.shape[0], b.shape[1]) if transpose_b else (b.shape[1], b.shape[0])
    if packed.size != _elements(k, n, packed.itemsize):
        raise ValueError("matmul_pack_forward: expected packed_size(K, N, dtype) elements")
    width = panel_width(packed)
    if packed.size:
        operand = matrix(b.reshape(-1), b.shape[1], n, transpose_b)
        parallel_for(_pack, (n + width - 1) // width, max(1, 16384 // (width * k)), (packed, operand, k))


@kernel
def matmul_packed_forward(y, a, packed, transpose_a, accumulate):
    """Register tiles on B's panels: see kernels/cpu/nest.py."""
    m, k = (a.shape[1], a.shape[0]) if transpose_a else (a.shape[0], a.shape[1])
    n = y.shape[1]
    if y.shape[0] != m or packed.size != _elements(k, n, packed.itemsize):
        raise ValueError("matmul_packed_forward: expected y (M, N), op(a) (M, K), packed_size(K, N, dtype) elements")
    c = y.reshape(-1)
    lines = matrix(a.reshape(-1), a.shape[1], m, not transpose_a)
    product(m, n, k, lines, Matrix(packed, k, n, IN_PANELS), c, n, accumulate)
