"""The device code of hopper.py: a block that stays, and multiplies tile after tile.

A tile has 128 x `width` results. One thread asks for copies of slices of both operands, 128 bytes along K, into a ring
of stages in shared memory (ptx_hopper.copy_tile); two groups of 128 threads wait for them and multiply 64 rows each,
the sums in registers. Two barriers a stage, `full` and `empty`, keep copies and products apart; the ring runs on from
tile to tile, so that the next one's slices arrive while this one's results are written. The thread that asks is one of
those that multiply: a warp of its own would cost all others a third of their registers.

In a cluster of two blocks, whose tiles lie below each other, each brings half of the columns' operand to both: what
the second-level cache must give is what limits tiles of this size. A stage is then free when both blocks say so.

Results go through a piece of shared memory of each group's own, 64 columns at a time: there a loop adds the bias and
what was there, keeps z, applies the activation and writes whole lines.
"""

import functools
from itertools import product

import numpy as np

from .. import scalar
from . import ptx_hopper
from .functions import formulas
from .ptx import load4, quotient, store4
from .ptx_hopper import GROUP, GROUP_ROWS, ROW_BYTES, SWIZZLE_BYTES, descriptor_bits
from .target import SIMULATOR, cuda, device, jit

# groups that multiply, and the rows of a tile
GROUPS = 2
TILE_ROWS = GROUPS * GROUP_ROWS
BLOCK = GROUPS * GROUP
WARPS = BLOCK // 32
# columns of results that a group writes at a time, and float32 numbers of the memory it does it through
CHUNK = 64
STAGING = GROUP_ROWS * CHUNK * 4
# tiles below each other that are taken before those beside them
BAND = 2 if SIMULATOR else 16
# shared memory of a block, and what of it is no stage: alignment and barriers
SHARED = 227 * 1024
SPARE = SWIZZLE_BYTES + 256
STAGES = 3 if SIMULATOR else 6

activate = formulas["activate"]
# exact division is a call, and no call may stand in a kernel whose products are under way: these are compiled with
# one that errs by two units
DIVIDES = {scalar.SIGMOID, scalar.GELU_TANH, scalar.SILU}


def slice_of(kind):
    """Elements of a row of a slice along K."""
    return ROW_BYTES // (4 if kind == "float32" else 2)


def stage_bytes(width, passes):
    # of three products both halves of the numbers
    return (TILE_ROWS + width) * ROW_BYTES * (2 if passes == 3 else 1)


def stages(width, passes):
    return min(STAGES, (SHARED - SPARE - GROUPS * STAGING) // stage_bytes(width, passes))


def shared_bytes(width, passes):
    return stages(width, passes) * stage_bytes(width, passes) + GROUPS * STAGING + SPARE


@device
def place(tile, tall, wide):
    """(matrix, row, column) of a tile among tall x wide in each matrix."""
    matrix = np.int64(quotient(tile, tall * wide))
    tile -= matrix * (tall * wide)
    band = np.int64(quotient(tile, BAND * wide))
    tile -= band * (BAND * wide)
    height = min(BAND, tall - band * BAND)
    column = np.int64(quotient(tile, height))
    return matrix, band * BAND + tile - column * height, column


@device
def descriptor(bits, address):
    return bits | np.uint64(address) >> np.uint64(4)


SOURCE = """
@device
def ask(
    ring, map_a, map_b, rank, tall, wide, depth, matrices, stacks, per,
    tile, g, begin, top, left, k, stage, phase,
):
    '''Ask for one more slice, as soon as its stage is free; gives where the next one lies; k < 0: in a new tile.'''
    if tile < tall * wide * stacks:
        if k < 0:
            g, top, left = place(tile, tall, wide)
            split = np.int64(quotient(g, matrices))
            g, begin = g - split * matrices, split * per
            top, left = (top * {cluster} + rank) * TILE_ROWS, left * {width}
            k = begin
        at, arrived = ring + stage * {stage_bytes}, ring + {full} + 8 * stage
        barrier_wait(ring + {empty} + 8 * stage, phase ^ 1)
        barrier_expect(arrived, {stage_bytes})
        {copies}
        stage += 1
        if stage == {stages}:
            stage, phase = 0, phase ^ 1
        k += {slice}
        if k >= min(depth, begin + per):
            k, tile = -1, tile + cuda.gridDim.x // {cluster}
    return tile, g, begin, top, left, k, stage, phase


@device
def write(y, z, bias, at, column, values, accumulate):
    '''The epilogue of four neighbours of a row: y and z from element `at` on.'''
    v0, v1, v2, v3 = values
    if accumulate:
        o0, o1, o2, o3 = load4(y, at)
        v0, v1, v2, v3 = v0 + o0, v1 + o1, v2 + o2, v3 + o3
    if bias.size > 0:
        o0, o1, o2, o3 = load4(bias, column)
        v0, v1, v2, v3 = v0 + o0, v1 + o1, v2 + o2, v3 + o3
    if z.size > 0:
        store4(z, at, (v0, v1, v2, v3))
    v0, v1 = activate({activation}, v0), activate({activation}, v1)
    v2, v3 = activate({activation}, v2), activate({activation}, v3)
    store4(y, at, (v0, v1, v2, v3))


@jit(launch_bounds=(BLOCK, 1), fastmath={fast})
def hopper_core(y, z, bias, map_a, map_b, rows, columns, depth, matrices, stacks, per, accumulate):
    ring = (shared_address(cuda.shared.array(0, np.uint8)) + SWIZZLE_BYTES - 1) & -SWIZZLE_BYTES
    full, empty = ring + {full}, ring + {empty}
    thread = cuda.threadIdx.x
    group, lane = thread // GROUP, thread % GROUP
    # of the blocks of a cluster each takes as many rows, and brings its share of the columns' operand to all
    rank, block, blocks = cuda.blockIdx.x % {cluster}, cuda.blockIdx.x // {cluster}, cuda.gridDim.x // {cluster}
    tall = (rows + {cluster} * TILE_ROWS - 1) // ({cluster} * TILE_ROWS)
    wide = (columns + {width} - 1) // {width}
    # what to ask for next: see `ask`
    ahead, g, b, t, l, k, far, turn = block, 0, 0, 0, 0, -1, 0, 0
    if thread == 0:
        acquire_map(map_a)
        acquire_map(map_b)
        for i in range({stages}):
            barrier_init(full + 8 * i, 1)
            barrier_init(empty + 8 * i, {cluster} * WARPS)
        fence_barriers()
    {everybody}
    if thread == 0:
        for i in range({ahead}):
            ahead, g, b, t, l, k, far, turn = ask(
                ring, map_a, map_b, rank, tall, wide, depth, matrices, stacks, per,
                ahead, g, b, t, l, k, far, turn,
            )
    # of this thread among the sums: d[4 * j] and the next lie in row `row`, columns 8 * j + 2 * (thread % 4) and the
    # next, d[4 * j + 2] and the next eight rows below. The pieces of 8 columns in a row of shared memory are permuted
    # by `swap`, so that neither writing nor reading meets a bank twice
    staging = ring + {staging} + group * STAGING
    row = lane // 32 * 16 + lane % 32 // 4
    mine, swap = staging + row * CHUNK * 4 + lane % 4 * 8, (row & 3) * 32
    stage, phase = 0, 0
    tile = block
    while tile < tall * wide * stacks:
        matrix, i, j = place(tile, tall, wide)
        top, left = (i * {cluster} + rank) * TILE_ROWS + group * GROUP_ROWS, j * {width}
        slices = (min(per, depth - np.int64(quotient(matrix, matrices)) * per) + {slice} - 1) // {slice}
        sums, last = zeros, 0
{begun}        for s in range(slices):
            barrier_wait(full + 8 * stage, phase)
            at = ring + stage * {stage_bytes}
            tile_a = descriptor(np.uint64({a_bits}), at + group * GROUP_ROWS * ROW_BYTES)
            tile_b = descriptor(np.uint64({b_bits}), at + {b_at})
            {products}
            # into the stage of the slice before last, which both groups are through with, or soon will be
            if thread == 0:
                ahead, g, b, t, l, k, far, turn = ask(
                    ring, map_a, map_b, rank, tall, wide, depth, matrices, stacks, per,
                    ahead, g, b, t, l, k, far, turn,
                )
            # the last slice's products are through: its stage is free
            wait()
            if s > 0 and lane % 32 < {cluster}:
                {released}
            last = stage
            stage += 1
            if stage == {stages}:
                stage, phase = 0, phase ^ 1
{promoted}        sums = {result}
        if lane % 32 < {cluster}:
            {released}
        for chunk in range(min({width} // CHUNK, (columns - left + CHUNK - 1) // CHUNK)):
            group_barrier(1 + group)
            {stores}
            group_barrier(1 + group)
            for e in range(lane, GROUP_ROWS * CHUNK // 4, GROUP):
                r, c = e // (CHUNK // 4), e % (CHUNK // 4) * 4
                i, j = top + r, left + chunk * CHUNK + c
                if i < rows and j < columns:
                    values = load_shared4(staging + r * CHUNK * 4 + (c * 4 ^ (r & 3) * 32))
                    write(y, z, bias, (matrix * rows + i) * columns + j, j, values, accumulate)
        tile += blocks
    # others of the cluster may still bring something, or let this block know
    {leaving}
"""


def _copies(operand, tile, along, offset, first, slice, halves, cluster):
    """Lines that ask for one operand's slice: one box along K, or one for every 128 bytes along the other axis.

    halves   whether for the high halves of its numbers, then the low ones
    cluster  blocks that have the same slice, of which each asks for a share, for all
    """
    instruction, to, share, lines = "copy_tile", "", tile // cluster, []
    if cluster > 1:
        instruction, to = "copy_tile_to", f", {(1 << cluster) - 1}"
        first = f"{first} + rank * {share}"
    for half in range(2 if halves else 1):
        at = f"at + {offset + half * tile * ROW_BYTES}" + (f" + rank * {share * ROW_BYTES}" if cluster > 1 else "")
        stack = f"2 * g + {half}" if halves else "g"
        if along:
            lines.append(f"{instruction}({at}, map_{operand}, arrived, k, {first}, {stack}{to})")
            continue
        for i in range(0, share, slice):
            lines.append(
                f"{instruction}({at} + {i * ROW_BYTES}, map_{operand}, arrived, {first} + {i}, k, {stack}{to})"
            )
    return lines


def _products(width, passes):
    """Lines that multiply a slice; of three products the small ones first."""
    if passes == 1:
        return ["sums = multiply(sums, tile_a, tile_b)"]
    low_a, low_b = (
        f"{tile} + np.uint64({n * ROW_BYTES >> 4})" for tile, n in (("tile_a", TILE_ROWS), ("tile_b", width))
    )
    pairs = (low_a, "tile_b"), ("tile_a", low_b), ("tile_a", "tile_b")
    return [f"sums = multiply(sums, {left}, {right})" for left, right in pairs]


def _stores(width):
    """Lines that bring each chunk's sums to shared memory; the sums' numbers must be constants to be registers."""
    lines = []
    for chunk in range(width // CHUNK):
        lines.append(f"{'elif' if chunk else 'if'} chunk == {chunk}:")
        for j, below in product(range(CHUNK // 8), range(2)):
            d = chunk * CHUNK // 2 + 4 * j + 2 * below
            at = f"mine + {8 * below * CHUNK * 4} + ({32 * j} ^ swap)"
            lines.append(f"    store_shared2({at}, sums[{d}], sums[{d + 1}])")
    return lines


# slices after which sums are added to others by ordinary units, where they are to be almost float32's: tensor cores
# round theirs towards zero. A power of two
PROMOTED = 2
PROMOTE = f"""            if s & {PROMOTED - 1} == {PROMOTED - 1}:
                total = added(total, finish(sums))
                sums = zeros
"""


@functools.cache
def core(kind, width, a_along, b_along, activation, passes, cluster):
    """The device code for operands of this type that lie this way."""
    slice, ring = slice_of(kind), stages(width, passes) * stage_bytes(width, passes)
    barriers = ring + GROUPS * STAGING
    halves = passes == 3
    b_at = TILE_ROWS * ROW_BYTES * (2 if halves else 1)
    copies = [
        *_copies("a", TILE_ROWS, a_along, 0, "top", slice, halves, 1),
        *_copies("b", width, b_along, b_at, "left", slice, halves, cluster),
    ]
    source = SOURCE.format(
        width=width,
        activation=activation,
        b_at=b_at,
        products=("\n" + 12 * " ").join(_products(width, passes)),
        cluster=cluster,
        everybody="in_clusters()\n    cluster_barrier()" if cluster > 1 else "cuda.syncthreads()",
        released="barrier_arrive_at(empty + 8 * last, lane % 32)"
        if cluster > 1
        else "barrier_arrive(empty + 8 * last)",
        leaving="cluster_barrier()" if cluster > 1 else "",
        fast=activation in DIVIDES,
        stages=stages(width, passes),
        stage_bytes=stage_bytes(width, passes),
        ahead=stages(width, passes) - 2,
        staging=ring,
        full=barriers,
        empty=barriers + 8 * stages(width, passes),
        slice=slice,
        a_bits=descriptor_bits(a_along, slice * ROW_BYTES),
        b_bits=descriptor_bits(b_along, slice * ROW_BYTES),
        copies=("\n" + 8 * " ").join(copies),
        stores=("\n" + 12 * " ").join(_stores(width)),
        begun="        total = zeros\n" if passes == 3 else "",
        promoted=PROMOTE if passes == 3 else "",
        result="added(total, finish(sums))" if passes == 3 else "finish(sums)",
    )
    scope = vars(ptx_hopper) | globals()
    scope |= {"cuda": cuda, "jit": jit, "load4": load4, "store4": store4, "zeros": (np.float32(0),) * (width // 2)}
    scope["multiply"] = ptx_hopper.multiply(kind, width, a_along, b_along)
    scope["wait"] = ptx_hopper.wait_for_products(passes)
    scope["in_clusters"] = ptx_hopper.in_clusters(cluster)
    scope["finish"] = ptx_hopper.finish(width)
    ways = f"{'k' if a_along else 'm'}{'k' if b_along else 'n'}"
    exec(compile(source, f"<hopper {kind} {width} {ways} {activation} {passes} {cluster}>", "exec"), scope)
    kernel = scope["hopper_core"]
    if SIMULATOR:
        # for tests/simulator.py
        kernel.fn.cluster = cluster
    return kernel
