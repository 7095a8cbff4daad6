"""Products of matrices on Hopper, by tensor cores that read whole tiles from shared memory.

The device code is in hopper_core.py. Of 16-bit floats either operand may lie either way. Of float32, multiplied as
TF32, both must lie along K: hopper_operands.py turns them, and halves them for three products.
"""

import numpy as np

from . import target, tensor_map
from .hopper_core import BLOCK, TILE_ROWS, kernel_of, shared_bytes, slice_of
from .hopper_operands import BOUNDARY, operand
from .ptx import aligned
from .ptx_hopper import TYPES
from .target import SIMULATOR, Recording, launch

# columns of a tile
WIDTHS = (128, 64) if SIMULATOR else (256, 128, 64)
# the least product that is worth a tile, and the least of each extent
LEAST, LEAST_EXTENT = (1, 1) if SIMULATOR else (1 << 21, 64)


def takes(y, a, b, transpose_a, transpose_b, z, bias, passes):
    """Whether `product` computes this.

    y, a, b  stacks of matrices; z, bias 1-D, of size 0 if absent
    passes   of float32: 1 multiplies once, as TF32; 3 the halves of the numbers, almost as precisely as float32;
             None: TF32 will not do
    """
    if target.compute_capability()[0] != 9 or a.dtype.name not in TYPES or not a.dtype == b.dtype == y.dtype:
        return False
    matrices, rows, columns, depth = _extents(y, a, transpose_a)
    if min(rows, columns, depth) < LEAST_EXTENT or matrices * rows * columns * depth < LEAST:
        return False
    if columns % 4 or not aligned(y, *(m for m in (z, bias) if m.size)):
        return False
    if a.dtype == np.float32:
        return passes is not None
    return all(m.pointer % BOUNDARY == 0 and m.shape[2] * m.itemsize % BOUNDARY == 0 for m in (a, b))


def product(y, a, b, transpose_a, transpose_b, accumulate, stream, z, bias, activation, passes):
    """y[g] = activation(op(a[g]) @ op(b[g]) (+ y[g]) + bias), as gemm.product, of what `takes` takes: one launch.

    Of float32, another for each operand that does not lie along K or is to be halved.
    """
    matrices, rows, columns, depth = _extents(y, a, transpose_a)
    kind, along = a.dtype.name, (not transpose_a, bool(transpose_b))
    if kind == "float32":
        a, b = (operand(m, way, passes == 3, stream) for m, way in zip((a, b), along, strict=True))
        along = True, True
    else:
        passes = 1
    width = _width(matrices * -(-rows // TILE_ROWS), columns, passes)
    maps = _map(a, along[0], TILE_ROWS, depth), _map(b, along[1], width, depth)
    if isinstance(stream, Recording):
        stream.kept += a, b
    tiles = matrices * -(-rows // TILE_ROWS) * -(-columns // width)
    core = kernel_of(kind, width, *along, int(activation), passes)
    args = (y.reshape(-1), z, bias, *maps, rows, columns, depth, matrices, bool(accumulate))
    launch(core, min(tiles, target.multiprocessors()), BLOCK, stream, *args, shared=shared_bytes(width))


def _extents(y, a, transpose_a):
    return (*y.shape, a.shape[1 if transpose_a else 2])


def _map(m, along_k, lines, depth):
    kind = m.dtype.name
    # what lies behind the depth of an operand that was copied is no number of it
    shape = (*m.shape[:2], depth) if along_k else m.shape
    box = lines if along_k else slice_of(kind), slice_of(kind)
    return tensor_map.tensor_map(kind, m.pointer, shape, m.strides[:2], box)


def _width(bands, columns, passes):
    """The width of tiles by which the slowest multiprocessor has least to do; a tile costs some columns' time more."""
    units = target.multiprocessors()
    # two sets of sums have no room in registers for the widest
    widths = [width for width in WIDTHS if passes == 1 or width <= 128]
    return min(widths, key=lambda width: -(-bands * -(-columns // width) // units) * (width + 32))
