"""Products of float32 and float64 on the ordinary arithmetic units: sums in registers, operands in shared memory.

A block owns a tile of results and walks along the depth in slices. A slice of both operands lies in shared memory as
[k][line], brought by asynchronous copies one slice or more before it is wanted: 16 bytes at a time where the lines
are contiguous, an element at a time where the depth is, which transposes it on the way. A thread multiplies 8 x 8 (or
8 x 4) results: for each k two or one 16-byte loads of either operand, and 64 (32) multiply-adds.

The lanes of a warp lie interleaved, so that lanes i and i ^ 1 read the same columns and i and i ^ 2 the same rows:
then the hardware serves a 16-byte load of a warp in two passes.
"""

import functools
from typing import NamedTuple

import numpy as np

from .ptx import load4, store4
from .ptx_tile import commit_copies, copy_chunk, copy_element, slice_product, waiting
from .target import SIMULATOR, cuda, jit
from .tile import CHUNK_BYTES, DEPTH, tile_order


class Shape(NamedTuple):
    """A block: warps and the lanes of a warp in rows and columns, groups of four results of a thread in each."""

    warps: tuple
    lanes: tuple
    groups: tuple
    depth: int
    stages: int
    # blocks of one multiprocessor, which bounds the registers of a thread
    resident: int

    @property
    def rows(self):
        return self.warps[0] * self.lanes[0] * self.groups[0] * 4

    @property
    def columns(self):
        return self.warps[1] * self.lanes[1] * self.groups[1] * 4

    @property
    def threads(self):
        return self.warps[0] * self.warps[1] * self.lanes[0] * self.lanes[1]


if SIMULATOR:
    LARGE = Shape((2, 1), (2, 2), (2, 2), 4, 2, 2)
    SMALL = SMALL_DOUBLE = Shape((1, 2), (2, 2), (2, 1), 4, 3, 2)
else:
    LARGE = Shape((4, 2), (4, 8), (2, 2), 16, 2, 2)
    SMALL = Shape((2, 2), (4, 8), (2, 1), 16, 3, 4)
    SMALL_DOUBLE = Shape((2, 2), (4, 8), (2, 1), 16, 2, 3)

# elements between the lines of one k and those of the next: the same line at 8 k lies in different banks
PAD = 4
# k that neighbouring threads bring where the depth is contiguous
NEIGHBOURS = 2 if SIMULATOR else 8

SOURCE = """
@jit(launch_bounds=({threads}, {resident}))
def tile_fma(y, a, b, {arrays}rows, columns, slices, {scalars}):
    shared = cuda.shared.array(ELEMENTS, REAL)
    thread = cuda.threadIdx.x
    g, split = cuda.blockIdx.z, cuda.blockIdx.y
    down, across = (rows + {down} - 1) // {down}, (columns + {across} - 1) // {across}
    tile_row, tile_column = tile_order(cuda.blockIdx.x, down, across)
    top, left = tile_row * {down}, tile_column * {across}
    warp, lane = thread // {lanes}, thread % {lanes}
    warp_row, warp_column = warp // {warp_columns}, warp % {warp_columns}
    # where this thread finds its rows and columns of a slice, and which elements it brings
    row, column = (lane % 2 + lane // {two_rows} * 2) * 4, lane // 2 % {lane_columns} * 4
    mine_a, mine_b = warp_row * {warp_height} + row, {begin_b} + warp_column * {warp_width} + column
{setup}
    first = split * slices
    sums = ZEROS
    for s in range(slices + {ahead}):
        if s >= {ahead}:
            wait_copies()
            cuda.syncthreads()
        if s < slices:
            start, to = np.int32((first + s) * {depth}), np.int32(np.uint32(s) % np.uint32({stages}) * {stage})
{bring}
        commit_copies()
        if s >= {ahead}:
            at = np.uint32(s - {ahead}) % np.uint32({stages}) * {stage}
            sums = multiply_slice(sums, shared, np.int32(at + mine_a), np.int32(at + mine_b))
    # to y by way of shared memory, four rows of each thread at a time
    kept = (warp_row * {band} + row) * {width} + warp_column * {warp_width} + column
    for part in range({parts}):
        cuda.syncthreads()
{keep}
        cuda.syncthreads()
        for e in range(thread, {vectors}, {threads}):
            staged, c = e // {row_vectors}, e % {row_vectors} * {vector}
            i = np.int32(top + staged // {band} * {warp_height} + part * {band} + staged % {band})
            j = np.int32(left + c)
            if i < rows and j < columns:
                at = output_place(split * cuda.gridDim.z + g, i, j, rows, columns{output})
                finish(y, at, g, j, {read}{epilogue})
"""


def _bringing(side, operand, chunks, shape, lines, begin, itemsize):
    """(setup, bring): the source that copies a thread's part of one operand's slice."""
    width = lines + PAD
    if operand.contiguous == DEPTH:
        step_k, step_line = NEIGHBOURS, shape.threads // NEIGHBOURS
        k, line = f"thread % {NEIGHBOURS}", f"thread // {NEIGHBOURS}"
    else:
        vector = CHUNK_BYTES // itemsize if chunks else 1
        # threads side by side along the lines
        beside = min(lines // vector, shape.threads)
        step_k, step_line = shape.threads // beside, beside * vector
        k, line = f"thread // {beside}", f"thread % {beside} * {vector}"
    first = "top" if side == "a" else "left"
    extra = "".join(f", {side}_{p}" for p in operand.parameters)
    setup = [
        f"begin_{side} = {side}_begin(g{extra})",
        f"k_{side}, line_{side} = {k}, {line}",
        f"own_{side} = {begin} + k_{side} * {width} + line_{side}",
    ]
    bring = [
        f"for up in range(0, {shape.depth}, {step_k}):",
        f"    k, own = np.int32(start + k_{side} + up), np.int32(to + own_{side} + up * {width})",
    ]
    for at in range(0, lines, step_line):
        setup.append(f"state_{side}{at} = {side}_line(np.int32({first} + line_{side} + {at}){extra})")
        bring.append(f"    offset = {side}_place(state_{side}{at}, k{extra})")
        bring.append(f"    copy_{side}(shared, own + {at}, {side}, begin_{side}, offset)")
    return setup, bring


def _indented(lines, depth):
    return "\n".join(" " * depth + line for line in lines)


@functools.cache
def core(dtype, shape, a, b, output, epilogue, chunks_a, chunks_b, vectors):
    """The kernel for operands a and b, an output and an epilogue of tile.py.

    tile_fma(y, a, b, *epilogue.arrays, rows, columns, slices, *a.parameters, *b.parameters, *output.parameters,
    *epilogue.scalars); grid (tiles, splits, matrices); each split sums `slices` slices of shape.depth.

    chunks_a, chunks_b  whether 16 bytes of an operand whose lines are contiguous may be copied at once
    vectors             whether four results may be stored at once
    """
    real, itemsize = np.dtype(dtype).type, np.dtype(dtype).itemsize
    down, across = shape.rows, shape.columns
    (warp_rows, warp_columns), (lane_rows, lane_columns), (parts, pieces) = shape.warps, shape.lanes, shape.groups
    begin_b, stage = shape.depth * (down + PAD), shape.depth * (down + across + 2 * PAD)
    setup_a, bring_a = _bringing("a", a, chunks_a, shape, down, 0, itemsize)
    setup_b, bring_b = _bringing("b", b, chunks_b, shape, across, begin_b, itemsize)
    # rows of a warp, four for each of its lanes; they and all columns of the block go to y together
    band, width, vector = 4 * lane_rows, across + PAD, 4 if vectors else 1
    keep = []
    for part in range(parts):
        keep.append(f"if part == {part}:")
        for r in range(4):
            for c in range(pieces):
                at, value = r * width + 4 * lane_columns * c, ((part * 4 + r) * pieces + c) * 4
                keep.append(f"    store4(shared, kept + {at}, sums[{value} : {value + 4}])")
    scalars = [f"{side}_{p}" for side, part in (("a", a), ("b", b), ("y", output)) for p in part.parameters]
    source = SOURCE.format(
        threads=shape.threads,
        resident=shape.resident,
        arrays="".join(f"{name}, " for name in epilogue.arrays),
        scalars=", ".join([*scalars, *epilogue.scalars]),
        down=down,
        across=across,
        lanes=lane_rows * lane_columns,
        two_rows=2 * lane_columns,
        lane_columns=lane_columns,
        warp_columns=warp_columns,
        warp_height=band * parts,
        warp_width=4 * lane_columns * pieces,
        begin_b=begin_b,
        setup=_indented(setup_a + setup_b, 4),
        ahead=shape.stages - 1,
        stages=shape.stages,
        stage=stage,
        depth=shape.depth,
        bring=_indented(bring_a + bring_b, 12),
        band=band,
        width=width,
        parts=parts,
        keep=_indented(keep, 8),
        vectors=warp_rows * band * across // vector,
        row_vectors=across // vector,
        vector=vector,
        output="".join(f", y_{p}" for p in output.parameters),
        epilogue="".join(f", {p}" for p in epilogue.arrays + epilogue.scalars),
        read=f"load4(shared, staged * {width} + c)" if vectors else f"shared[staged * {width} + c]",
    )
    left, right = (
        (n + PAD, 4 * m, groups) for n, m, groups in zip((down, across), shape.lanes, shape.groups, strict=True)
    )
    scope = {
        "jit": jit,
        "cuda": cuda,
        "np": np,
        "REAL": real,
        "ELEMENTS": max(shape.stages * stage, warp_rows * band * width),
        "ZEROS": (real(0),) * (16 * parts * pieces),
        "tile_order": tile_order,
        "load4": load4,
        "store4": store4,
        "multiply_slice": slice_product(shape.depth, left, right),
        "copy_a": copy_chunk if chunks_a else copy_element,
        "copy_b": copy_chunk if chunks_b else copy_element,
        "commit_copies": commit_copies,
        "wait_copies": waiting(shape.stages - 2),
        "output_place": output.place,
        "finish": epilogue.finish4 if vectors else epilogue.finish1,
    }
    for side, operand in (("a", a), ("b", b)):
        scope |= {f"{side}_begin": operand.begin, f"{side}_line": operand.line, f"{side}_place": operand.place}
    exec(compile(source, f"<tile_fma {a.name} {b.name} {output.name} {epilogue.name}>", "exec"), scope)
    return scope["tile_fma"]
