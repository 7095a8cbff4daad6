"""Products of matrices on Hopper, by tensor cores that read whole tiles from shared memory.

The device code is in hopper_core.py. Of 16-bit floats either operand may lie either way. Of float32, multiplied as
TF32, both must lie along K: hopper_operands.py turns them, and halves them for three products.
"""

import functools

import numpy as np

from . import target, tensor_map
from .hopper_core import BLOCK, TILE_ROWS, core, shared_bytes, slice_of
from .hopper_operands import BOUNDARY, operand
from .ptx import aligned
from .ptx_hopper import ROW_BYTES, TYPES
from .target import SIMULATOR, Recording, empty, launch, spread
from .tile import FUSED, STACKED
from .tile_launch import gather

# columns of a tile, and blocks that share them
SHAPES = ((64, 1),) if SIMULATOR else ((256, 2), (256, 1), (128, 2), (128, 1), (64, 1))
# the least product that is worth a tile, and the least of each extent
LEAST, LEAST_EXTENT = (1, 1) if SIMULATOR else (1 << 21, 64)
# what a plan is made for: multiprocessors; bytes a cycle from the second-level cache, to all and to each; cycles of a
# column's products in a slice, before the first product of a tile, to write a column, to start adding parts up; and
# numbers that are added up in a cycle. Of an H100; parts of a depth at most, and slices of one at least
UNITS, L2_RATE, L2_RATE_EACH = 132, 4000, 64
CYCLES, FIRST, WRITING, GATHER, GATHERED = 4, 1000, 10, 5000, 250
MOST_SPLITS, LEAST_SLICES = 16, 8


def takes(y, a, b, transpose_a, transpose_b, z, bias, passes):
    """Whether `product` computes this.

    y, a, b  stacks of matrices; z, bias 1-D, of size 0 if absent
    passes   of float32: 1 multiplies once, as TF32; 3 the halves of the numbers, almost as precisely as float32;
             otherwise TF32 will not do
    """
    if (
        a.dtype.name not in TYPES
        or not a.dtype == b.dtype == y.dtype
        or (a.dtype == np.float32 and passes not in (1, 3))
    ):
        return False
    if target.compute_capability()[0] != 9:
        return False
    matrices, rows, columns, depth = _extents(y, a, transpose_a)
    if min(rows, columns, depth) < LEAST_EXTENT or matrices * rows * columns * depth < LEAST:
        return False
    if columns % 4 or not aligned(y, *(m for m in (z, bias) if m.size)):
        return False
    # of float32 what does not lie so is copied
    return a.dtype == np.float32 or all(
        m.pointer % BOUNDARY == 0 and m.shape[2] * m.itemsize % BOUNDARY == 0 for m in (a, b)
    )


def product(y, a, b, transpose_a, transpose_b, accumulate, stream, z, bias, activation, passes):
    """y[g] = activation(op(a[g]) @ op(b[g]) (+ y[g]) + bias), as gemm.product, of what `takes` takes.

    One launch; of float32, another for each operand that does not lie along K or is to be halved. Where tiles are few
    and the depth is long, its parts are summed by different blocks, and tile_launch.gather adds them.
    """
    matrices, rows, columns, depth = _extents(y, a, transpose_a)
    kind, along = a.dtype.name, (not transpose_a, bool(transpose_b))
    if kind == "float32":
        a, b = (operand(m, way, passes == 3, stream) for m, way in zip((a, b), along, strict=True))
        along = True, True
    else:
        passes = 1
    width, per, cluster = plan(kind, matrices, rows, columns, depth, passes)
    splits = -(-depth // per)
    maps = _map(a, along[0], TILE_ROWS, depth), _map(b, along[1], width // cluster, depth)
    if isinstance(stream, Recording):
        stream.kept += a, b
    stacks = matrices * splits
    tiles = stacks * -(-rows // (TILE_ROWS * cluster)) * -(-columns // width)
    extents = rows, columns, depth, matrices, stacks, per
    grid, shared = cluster * min(tiles, target.multiprocessors() // cluster), shared_bytes(width, passes)

    def start(y, z, bias, accumulate, activation):
        kernel = core(kind, width, *along, activation, passes, cluster)
        launch(kernel, grid, BLOCK, stream, y, z, bias, *maps, *extents, accumulate, shared=shared)

    flat = y.reshape(-1)
    if splits == 1:
        start(flat, z, bias, bool(accumulate), int(activation))
        return
    parts = empty((stacks * rows * columns,), np.float32)
    start(parts, parts[:0], parts[:0], False, 0)
    counts = [np.int32(n) for n in (rows, columns, matrices, splits)]
    args = flat, parts, z, bias, *counts, bool(accumulate), np.int32(activation)
    spread(gather(STACKED, FUSED, True), flat.size // 4, stream, *args)


@functools.cache
def plan(kind, matrices, rows, columns, depth, passes):
    """(columns of a tile, depth that a block sums, blocks of a cluster) by which all is done soonest, in cycles.

    The same on every device, so that the bits are.
    """
    slice = slice_of(kind)
    slices, plans = -(-depth // slice), []
    for width, cluster in SHAPES:
        if passes == 3 and width > 128:
            # two sets of sums have no room in registers
            continue
        tiles = matrices * -(-rows // (TILE_ROWS * cluster)) * -(-columns // width)
        for splits in range(1, max(1, min(MOST_SPLITS, slices // LEAST_SLICES)) + 1):
            each = -(-slices // splits)
            parts = -(-slices // each)
            blocks = tiles * parts * cluster
            turns = -(-blocks // (UNITS // cluster * cluster))
            # products, or bringing what they want: from the second-level cache, which all at work share
            rate = min(L2_RATE_EACH, L2_RATE / min(blocks, UNITS))
            brought = (TILE_ROWS + width // cluster) * ROW_BYTES * (2 if passes == 3 else 1)
            each_slice = max(CYCLES * width * passes, brought / rate)
            cycles = turns * (each * each_slice + FIRST + WRITING * width)
            if parts > 1:
                cycles += GATHER + matrices * rows * columns * (parts + 1) / GATHERED
            plans.append((cycles, parts, -width, each * slice, cluster))
    _, _, width, per, cluster = min(plans)
    return -width, per, cluster


def _extents(y, a, transpose_a):
    return (*y.shape, a.shape[1 if transpose_a else 2])


def _map(m, along_k, lines, depth):
    kind = m.dtype.name
    # what lies behind the depth of an operand that was copied is no number of it
    shape = (*m.shape[:2], depth) if along_k else m.shape
    box = lines if along_k else slice_of(kind), slice_of(kind)
    return tensor_map.tensor_map(kind, m.pointer, shape, m.strides[:2], box)
