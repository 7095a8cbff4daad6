"""Sums and maxima over the threads of a warp and of a block, always in the same order: the same bits every time.

A butterfly of shuffles in each warp; then every warp reduces what the warps found. All threads of the block call these,
and all get the result. Blocks are one-dimensional, of whole warps, and of WARP warps at most.
"""

from .ptx import shuffle_xor
from .target import WARP, cuda, device

# words of shared memory that a reduction over a block needs, in the type of the value
WARPS = WARP


@device
def warp_sum(value):
    lane = WARP // 2
    while lane > 0:
        value += shuffle_xor(value, lane)
        lane //= 2
    return value


@device
def warp_max(value):
    """The largest; a NaN anywhere is not lost."""
    lane = WARP // 2
    while lane > 0:
        other = shuffle_xor(value, lane)
        # other is NaN, or larger
        if not other <= value:
            value = other if value == value else value
        lane //= 2
    return value


@device
def block_sum(parts, value):
    """parts  (WARPS,) shared array of the type of `value`; used again only behind the barriers in here."""
    thread = cuda.threadIdx.x
    value = warp_sum(value)
    cuda.syncthreads()
    if thread % WARP == 0:
        parts[thread // WARP] = value
    cuda.syncthreads()
    lane = thread % WARP
    return warp_sum(parts[lane] if lane < (cuda.blockDim.x + WARP - 1) // WARP else parts.dtype.type(0))


@device
def group_sum(parts, value, width):
    """The sum over each `width` neighbouring threads, a power of two: of part of a warp or, beyond, of the block."""
    if width > WARP:
        return block_sum(parts, value)
    lane = width // 2
    while lane > 0:
        value += shuffle_xor(value, lane)
        lane //= 2
    return value


@device
def block_max(parts, value):
    """As block_sum; parts[0], the first warp's, stands in for warps that are not there."""
    thread = cuda.threadIdx.x
    value = warp_max(value)
    cuda.syncthreads()
    if thread % WARP == 0:
        parts[thread // WARP] = value
    cuda.syncthreads()
    lane = thread % WARP
    return warp_max(parts[lane] if lane < (cuda.blockDim.x + WARP - 1) // WARP else parts[0])


@device
def warp_scan(value):
    """(sum of the values before this thread's, sum of all)"""
    prefix, lane = type(value)(0), 1
    while lane < WARP:
        other = shuffle_xor(value, lane)
        # the partner below holds the sum of all lanes just before this half
        if cuda.threadIdx.x & lane:
            prefix += other
        value += other
        lane *= 2
    return prefix, value


@device
def block_scan(parts, value):
    """(sum of the values before this thread's, sum of all), for blocks of whole warps; parts as in block_sum."""
    thread = cuda.threadIdx.x
    prefix, total = warp_scan(value)
    cuda.syncthreads()
    if thread % WARP == 0:
        parts[thread // WARP] = total
    cuda.syncthreads()
    total = type(value)(0)
    for warp in range(cuda.blockDim.x // WARP):
        if warp == thread // WARP:
            prefix += total
        total += parts[warp]
    return prefix, total


@device
def group_max(parts, value, width):
    """As group_sum."""
    if width > WARP:
        return block_max(parts, value)
    lane = width // 2
    while lane > 0:
        other = shuffle_xor(value, lane)
        value = other if other > value or value != value else value
        lane //= 2
    return value
