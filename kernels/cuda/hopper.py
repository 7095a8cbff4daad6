"""Products of matrices on Hopper, by tensor cores that read whole tiles from shared memory.

The device code is in hopper_core.py. Of 16-bit floats either operand may lie either way. Of float32, multiplied as
TF32, both must lie along K: hopper_operands.py turns them, and halves them for three products.
"""

import numpy as np

from .hopper_core import BLOCK, TILE_ROWS, kernel_of, shared_bytes, slice_of
from .hopper_operands import BOUNDARY, operand
from .ptx import aligned
from .ptx_hopper import TYPES
from .target import SIMULATOR, Recording, compute_capability, launch, multiprocessors
from .tensor_map import tensor_map

# columns of a tile
WIDTHS = (128, 64) if SIMULATOR else (256, 128, 64)
# the least product that is worth a tile, and the least of each extent
LEAST, LEAST_EXTENT = (1, 1) if SIMULATOR else (1 << 21, 64)


def extents(y, a, transpose_a):
    """(matrices, rows, columns, depth) of a product of stacks."""
    return (*y.shape, a.shape[1 if transpose_a else 2])


def takes(y, a, b, transpose_a, transpose_b, z, bias, passes):
    """Whether `product` computes this.

    y, a, b  stacks of matrices; z, bias 1-D, of size 0 if absent
    passes   for float32: 1 multiplies once, as TF32; 3 the halves of the numbers, to almost float32; 0 not here
    """
    if compute_capability()[0] != 9 or a.dtype.name not in TYPES or not a.dtype == b.dtype == y.dtype:
        return False
    matrices, rows, columns, depth = extents(y, a, transpose_a)
    if min(rows, columns, depth) < LEAST_EXTENT or matrices * rows * columns * depth < LEAST:
        return False
    if columns % 4 or not aligned(y, *(m for m in (z, bias) if m.size)):
        return False
    if a.dtype == np.float32:
        return passes in (1, 3)
    return all(m.pointer % BOUNDARY == 0 and m.shape[2] * m.itemsize % BOUNDARY == 0 for m in (a, b))


def product(y, a, b, transpose_a, transpose_b, accumulate, stream, z, bias, activation, passes=1):
    """y[g] = activation(op(a[g]) @ op(b[g]) (+ y[g]) + bias), as gemm.product, of what `takes` takes: one launch.

    Of float32, two more where an operand does not lie as TF32 wants it, or for its halves.
    """
    matrices, rows, columns, depth = extents(y, a, transpose_a)
    kind = a.dtype.name
    along = not transpose_a, bool(transpose_b)
    if kind == "float32":
        a, b = (operand(m, way, passes == 3, stream) for m, way in zip((a, b), along, strict=True))
        along = True, True
    slice, width = slice_of(kind), _width(matrices * -(-rows // TILE_ROWS), columns)
    maps = []
    for m, way, lines in ((a, along[0], TILE_ROWS), (b, along[1], width)):
        box = lines if way else slice, slice
        strides = m.strides[0], m.strides[1]
        shape = m.shape if kind != "float32" else (*m.shape[:2], depth)
        maps.append(tensor_map(kind, m.pointer, shape, strides, box))
    if isinstance(stream, Recording):
        stream.kept += a, b
    tiles = matrices * -(-rows // TILE_ROWS) * -(-columns // width)
    core = kernel_of(kind, width, *along, int(activation))
    args = (y.reshape(-1), z, bias, *maps, rows, columns, depth, matrices, max(passes, 1), bool(accumulate))
    launch(core, min(tiles, multiprocessors()), BLOCK, stream, *args, shared=shared_bytes(width))


def _width(bands, columns):
    """The width of tiles by which the slowest multiprocessor has least to do; a tile costs some columns' time more."""
    units = multiprocessors()
    return min(WIDTHS, key=lambda width: -(-bands * -(-columns // width) // units) * (width + 32))
