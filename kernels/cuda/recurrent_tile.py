"""The product of one step, for units that are too many to stay with their block: a tile of it, and who adds it up.

A block makes the sums of `rows` samples and some units: of all gates of ACROSS units, so that their cells can be
computed from them, or of one sum of more units. Steps have few samples and a long depth; so each warp makes the whole
tile from slabs of its own, every so many of the depth, which it brings to shared memory asynchronously, a slab ahead,
and waits for no other warp. Then all warps' tiles are added up, in order.
"""

import functools

from ..template import define
from .ptx import VECTOR
from .ptx_recurrent import tile_products
from .ptx_tile import commit_copies, copy_chunk, copy_element, waiting
from .target import SIMULATOR, WARP, cuda, device

# threads of a warp along samples and along units; the depth of a slab, and the distance of its rows in shared memory,
# which keeps the loads of a warp on different banks
DOWN, ACROSS = (2, 2) if SIMULATOR else (4, 8)
SLAB = 4 if SIMULATOR else 8
PITCH = SLAB + VECTOR
CHUNK_BYTES = 16
# results of a thread along samples: where many, and where few blocks would come of it
TALL, SHORT = (2, 1) if SIMULATOR else (8, 4)
# blocks that are enough: one for each multiprocessor of an H100
ENOUGH = 3 if SIMULATOR else 128

wait_for_all, wait_for_all_but_one = waiting(0), waiting(1)

__all__ = ["commit_copies", "copy_chunk", "copy_element"]  # what the source below uses


def warps_of_block(itemsize):
    return 2 if SIMULATOR else 32 // itemsize


def threads_of_tile(itemsize):
    return warps_of_block(itemsize) * WARP


def height(samples, units, units_of_block):
    """Results of a thread along samples."""
    tall = -(-samples // (DOWN * TALL)) * -(-units // units_of_block)
    return TALL if tall >= ENOUGH else SHORT


def grid(samples, units, down, units_of_block):
    return -(-samples // (DOWN * down)), -(-units // units_of_block)


@device
def meet():
    """The threads of a warp; every warp of a block has as many slabs, so that in the simulator the block can."""
    if SIMULATOR:
        cuda.syncthreads()
    else:
        cuda.syncwarp()


SOURCE = '''
@device
def _bring(shared, base, a, begin, top, samples, w, left, units, start, depth, whole, lane):
    """A slab of both operands; zeros for what there is not. whole: in chunks of 16 bytes."""
    if whole:
        for e in range(lane, {rows} * ({slab} // {chunk}), WARP):
            row, k = e // ({slab} // {chunk}), e % ({slab} // {chunk}) * {chunk}
            there = top + row < samples and start + k < depth
            copy_chunk(shared, base + row * PITCH + k, a, begin, (top + row) * depth + start + k if there else -1)
        for e in range(lane, {columns} * ({slab} // {chunk}), WARP):
            column, k = e // ({slab} // {chunk}), e % ({slab} // {chunk}) * {chunk}
            g, unit = {place}
            there = unit < units and start + k < depth
            at = base + ({rows} + column) * PITCH + k
            copy_chunk(shared, at, w, 0, (g * units + unit) * depth + start + k if there else -1)
    else:
        for e in range(lane, {rows} * {slab}, WARP):
            row, k = e // {slab}, e % {slab}
            there = top + row < samples and start + k < depth
            copy_element(shared, base + row * PITCH + k, a, begin, (top + row) * depth + start + k if there else -1)
        for e in range(lane, {columns} * {slab}, WARP):
            column, k = e // {slab}, e % {slab}
            g, unit = {place}
            there = unit < units and start + k < depth
            at = base + ({rows} + column) * PITCH + k
            copy_element(shared, at, w, 0, (g * units + unit) * depth + start + k if there else -1)
    commit_copies()


@device
def make_tile(shared, a, begin, top, samples, w, left, units, depth, whole):
    """sums of samples top .. and units left ..: a (samples, depth), from a[begin] on, times rows of w."""
    thread = cuda.threadIdx.x
    warp, lane = thread // WARP, thread % WARP
    ty, tx = lane // ACROSS, lane % ACROSS
    zero = shared.dtype.type(0)
    sums = ({zeros},)
    base = warp * {stage} * 2
    slabs = (depth + {slab} * {warps} - 1) // ({slab} * {warps})
    for i in range(slabs + 1):
        # the slab after the last one is empty
        start = (i * {warps} + warp) * {slab}
        _bring(shared, base + i % 2 * {stage}, a, begin, top, samples, w, left, units, start, depth, whole, lane)
        if i > 0:
            wait_for_all_but_one()
            meet()
            here = base + (i - 1) % 2 * {stage}
            for q in range(0, {slab}, VECTOR):
                sums = multiply(sums, shared, here + ty * PITCH + q, here + ({rows} + tx) * PITCH + q)
            meet()
    wait_for_all()
    cuda.syncthreads()
{stores}
    cuda.syncthreads()


@device
def total(shared, row, column):
    """What all warps have found."""
    value = shared[row * {wide} + column]
    for warp in range(1, {warps}):
        value += shared[(warp * {rows} + row) * {wide} + column]
    return value
'''


@functools.cache
def tile(down, across, gated, itemsize):
    """(make_tile, total, rows, units, elements): device functions of a tile of down x across results a thread, its
    samples and units, and its elements of shared memory.

    gated: `across` sums of ACROSS units, whose rows of w lie `units` apart; otherwise one sum of across * ACROSS.
    """
    rows, columns, warps = DOWN * down, ACROSS * across, warps_of_block(itemsize)
    # rows of results begin 8 or 24 banks apart
    wide = columns if across % 2 else columns + ACROSS
    stage = (rows + columns) * PITCH
    stores = [
        f"    shared[(warp * {rows} + ty + {r * DOWN}) * {wide} + tx + {c * ACROSS}] = sums[{r * across + c}]"
        for r in range(down)
        for c in range(across)
    ]
    namespace = globals() | {"multiply": tile_products(down, across, DOWN * PITCH, ACROSS * PITCH)}
    define(
        namespace, SOURCE, rows=rows, columns=columns, slab=SLAB, warps=warps, wide=wide, stage=stage,
        chunk=CHUNK_BYTES // itemsize, zeros=", ".join(["zero"] * (down * across)),
        place="column // ACROSS, left + column % ACROSS" if gated else "0, left + column",
        stores="\n".join(stores),
    )  # fmt: skip
    elements = max(2 * stage * warps, warps * rows * wide)
    return namespace["make_tile"], namespace["total"], rows, ACROSS if gated else columns, elements
