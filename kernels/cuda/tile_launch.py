"""Launching products by tiles: which core, which shape of its blocks, into how many parts the depth is split.

Results of few tiles and a long depth (the gradient of a convolution's weight) would leave a device idle: there each
block sums a part of the depth, the parts go to a workspace, and `gather` adds them in their order and finishes. How
many parts depends on sizes alone: the same bits every time, on every device.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from ..precision import get_matmul_precision
from . import target, tile_fma, tile_mma
from .half import stored_as
from .ptx import aligned, load4
from .target import SIMULATOR, cuda, empty, jit, launch, spread
from .tile import CHUNK_BYTES, LINES, STACKED, STORE, Operand

# blocks that keep a device busy
ENOUGH_BLOCKS = 4 if SIMULATOR else 264
# slices of the depth that a part has at least
LEAST_SLICES = 2 if SIMULATOR else 8
# lines of which a large tile would be mostly empty
FEW_LINES = 16 if SIMULATOR else 64


class Side(NamedTuple):
    """An operand as it is launched.

    array   1-D
    values  of the operand's parameters, NumPy scalars
    chunks  whether 16 bytes along its contiguous axis may be copied at once
    """

    array: Any
    operand: Operand
    values: tuple
    chunks: bool


def multiply(
    y,
    a,
    b,
    rows,
    columns,
    depth,
    stream,
    matrices=1,
    output=STACKED,
    where=(),
    epilogue=STORE,
    arrays=(),
    scalars=(False,),
    vectors=None,
):
    """y[g, i, j] = epilogue(sum over k of a[g, i, k] * b[g, k, j]), see tile.py; at most 65535 matrices.

    y                1-D array
    a, b             Side
    where            values of the output's parameters, NumPy scalars
    arrays, scalars  those of the epilogue
    vectors          whether results j .. j + 3, for j a multiple of 4, lie side by side and aligned in y and in what
                     the epilogue reads and writes; None: as they do in a stack of matrices and a bias
    """
    if not rows or not columns or not matrices:
        return
    if vectors is None:
        vectors = columns % 4 == 0 and aligned(y, *(m for m in arrays if m.size))
    _check_device()
    dtype = stored_as(a.array.dtype)
    products = _products(dtype, a.chunks and b.chunks)
    shape = _shape(dtype, products, rows, columns, depth, matrices)
    step = shape.depth(dtype)
    tiles, slices = -(-rows // shape.rows) * -(-columns // shape.columns), -(-depth // step)
    splits = max(1, min(ENOUGH_BLOCKS // (tiles * matrices), slices // LEAST_SLICES))
    per_split = -(-slices // splits)
    splits = -(-slices // per_split) if slices else 1
    extents, brought = (np.int32(rows), np.int32(columns)), (np.int32(per_split), *a.values, *b.values)

    def start(y, output, epilogue, vectors, arrays, rest):
        if products is None:
            chunks = [_by_chunks(*side, shape) for side in ((a, shape.rows), (b, shape.columns))]
            # elements of many k take registers: half as many blocks then
            loose = not any(chunks) and a.operand.contiguous == b.operand.contiguous == LINES
            bounded = shape._replace(resident=shape.resident // 2) if loose else shape
            core = tile_fma.core(dtype, bounded, a.operand, b.operand, output, epilogue, *chunks, vectors)
        else:
            core = tile_mma.core(dtype, products, shape, a.operand, b.operand, output, epilogue, vectors)
        grid, args = (tiles, splits, matrices), (y, a.array, b.array, *arrays, *extents, *brought, *rest)
        launch(core, grid, shape.threads, stream, *args, shared=shape.shared_bytes)

    if splits == 1:
        start(y, output, epilogue, vectors, arrays, (*where, *scalars))
        return
    parts = empty((splits * matrices * rows * columns,), np.float64 if dtype == np.float64 else np.float32)
    start(parts, STACKED, STORE, columns % 4 == 0, (), (False,))
    many = matrices * rows * columns // (4 if vectors else 1)
    counts = np.int32(matrices), np.int32(splits)
    spread(gather(output, epilogue, vectors), many, stream, y, parts, *arrays, *extents, *counts, *where, *scalars)


@functools.cache
def _check_device():
    capability = target.compute_capability()
    if capability < (8, 0):
        found = ".".join(map(str, capability))
        raise RuntimeError(f"CUDA products: expected a device of compute capability 8.0 or newer, this one has {found}")


def _products(dtype, chunks):
    """How many tensor-core products stand for one: see tile_mma.core; None: the ordinary units compute."""
    if dtype.itemsize == 2:
        if not chunks:
            raise ValueError("products of 16-bit floats: expected operands whose chunks of 16 bytes are aligned")
        return 0
    return tensor_products() or None if dtype == np.float32 and chunks else None


def tensor_products():
    """Products of TF32 that stand for one of float32, as kernels/precision.py is set; 0: none, it is float32's own."""
    return {"highest": 0, "high": 3, "medium": 1}[get_matmul_precision()]


def _by_chunks(side, lines, shape):
    """Whether the ordinary core copies 16 bytes at a time.

    An operand whose depth is contiguous is transposed on the way, element by element; and every thread wants a share.
    """
    enough = lines * shape.slice * side.array.itemsize >= shape.threads * CHUNK_BYTES
    return bool(side.chunks and side.operand.contiguous == LINES and enough)


def _shape(dtype, products, rows, columns, depth, matrices):
    if dtype == np.float64:
        return tile_fma.SMALL_DOUBLE
    if products is None and rows <= tile_fma.FLAT.rows:
        return tile_fma.FLAT
    if products is None and columns <= tile_fma.NARROW.columns:
        return tile_fma.NARROW
    core = tile_fma if products is None else tile_mma
    large = tile_mma.SPLIT if products == 3 else core.LARGE
    tiles = -(-rows // large.rows) * -(-columns // large.columns) * matrices
    most_splits = max(1, depth // large.depth(dtype) // LEAST_SLICES)
    full = tiles * most_splits * 2 >= ENOUGH_BLOCKS
    return large if full and min(rows, columns) > FEW_LINES else core.SMALL


GATHER = """
@jit
def tile_gather(y, parts, {arrays}rows, columns, matrices, splits, {scalars}):
    size = matrices * rows * columns
    for e in range(cuda.grid(1), size // {vector}, cuda.gridsize(1)):
        at = e * {vector}
        total = {first}
        for split in range(1, splits):
            at += size
            part = {first}
            total = {total}
        line = e * {vector} // columns
        j, g = e * {vector} - line * columns, line // rows
        i = line - g * rows
        at = output_place(g, i, j, rows, columns{output})
        finish(y, at, g, i, j, total{epilogue})
"""


@functools.cache
def gather(output, epilogue, vectors):
    """The kernel that adds the parts of every result, in their order, and finishes it."""
    where = [f"y_{p}" for p in output.parameters]
    source = GATHER.format(
        arrays="".join(f"{name}, " for name in epilogue.arrays),
        scalars=", ".join([*where, *epilogue.scalars]),
        vector=4 if vectors else 1,
        first="load4(parts, at)" if vectors else "parts[at]",
        total=f"({', '.join(f'total[{i}] + part[{i}]' for i in range(4))})" if vectors else "total + part",
        output="".join(f", {p}" for p in where),
        epilogue="".join(f", {p}" for p in (*epilogue.arrays, *epilogue.scalars)),
    )
    finish = epilogue.finish4 if vectors else epilogue.finish1
    scope = {"jit": jit, "cuda": cuda, "load4": load4, "output_place": output.place, "finish": finish}
    exec(compile(source, f"<tile_gather {output.name} {epilogue.name}>", "exec"), scope)
    return scope["tile_gather"]
