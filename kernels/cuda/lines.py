"""Lines of an array (O, R, I): how threads share the R elements of each, hold them in registers and reduce over them.

Line number `line` is x[o, :, i] with line = o * I + i; arrays come flat. A line that is contiguous (I = 1) belongs to a
power of two of neighbouring threads: part of a warp, a warp, or a block. Other lines lie side by side: neighbouring
threads take neighbouring lines, and the elements of each are dealt out over the rows of threads of a block. Either way
a thread holds `slots` elements at a time, a *chunk* of the line is what its threads hold together, and a line of one
chunk is read once. Where a contiguous line allows it, four elements go in one access.

A kernel is made for a number of slots and for vectors of one element or four (`versions`), and gets (lines, length,
stride, code): stride is I, and `code` packs what `lay` chose. In it:

    v = cuda.local.array(slots, x.dtype)
    lane, width, line, there, first, last, step = place(vector, cuda.blockIdx.x, lines, length, stride, code)
    for chunk in range(chunks_of(code)):
        at, left = reach(first, last, step, slots // vector, chunk)
        take(vector, v, x, at, left, step, fill)

`place` never gives a line that is not there: threads without one read the last line again, and write nothing. Inside a
chunk distances are int32, which saves half of the registers and instructions that addresses would take.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .lanes import WARPS, group_max, group_sum
from .ptx import VECTOR, aligned, load4, store4
from .target import SHARED_BYTES, SIMULATOR, WARP, cuda, device, shared_limit

# elements that a thread holds, in vectors; one by one it is half of that, since each has an address of its own. Kernels
# that hold several arrays ask for HALF
LONG = 8 if SIMULATOR else 16
HALF = LONG // 2
# threads of a block of short lines; of a block that has one line, at most; rows of threads of lines side by side
THREADS = 8 if SIMULATOR else 128
MOST = 8 if SIMULATOR else 512
ACROSS = 8 if SIMULATOR else 256
DEEPEST = 2 if SIMULATOR else 16
# words of shared memory that the reductions below need, in the type of the value
PARTS = max(ACROSS, WARPS)
# distances inside a chunk are less
FAR = 2**31 - 1
# blocks that keep a device busy, for what a shape allows to be cut into pieces
BUSY = 4 if SIMULATOR else 528


class Lay(NamedTuple):
    """How lines are laid out over threads; `shape` is what the kernel is given of it."""

    shape: tuple
    grid: int
    block: int
    slots: int
    vector: int
    chunks: int

    def of(self, versions):
        """The kernel among `versions` that works on these lines."""
        return versions[self.slots, self.vector]


def _power(n):
    """The smallest power of two that is n or more."""
    return 1 << max(0, int(n) - 1).bit_length()


@lru_cache(maxsize=4096)
def _lay(lines, length, stride, vectors, most, hold):
    # vectors of lines that fill a thread
    vector = VECTOR if vectors and stride == 1 and length % VECTOR == 0 and length >= hold else 1
    slots = hold if vector > 1 else hold // 2
    if stride > 1:
        width = min(DEEPEST, _power(-(-length // slots)))
        if slots * width * stride > FAR // 2:
            width = 1
        block = ACROSS
        shift, grid = (block // width).bit_length() - 1, -(-lines // (block // width))
    else:
        width = min(most, _power(-(-length // slots)))
        block = max(THREADS, width) if width <= WARP else width
        shift, grid = width.bit_length() - 1, -(-lines * width // block)
    if slots * width * stride > FAR:
        raise ValueError(f"expected elements of a line closer together, got {stride} elements from one to the next")
    chunks = -(-length // (width * slots))
    return Lay((lines, length, stride, chunks << 8 | shift), grid, block, slots, vector, chunks)


def lay(lines, length, stride, *arrays, hold=LONG):
    """The Lay of `lines` lines; arrays: those whose elements are taken and put along them, absent ones too."""
    # float64 takes twice the registers
    most = MOST if arrays[0].itemsize <= 4 else MOST // 2
    return _lay(lines, length, stride, aligned(*(a for a in arrays if a.size)), most, hold)


@lru_cache(maxsize=4096)
def pieces(length, blocks, least=MOST * LONG):
    """How many pieces of equal size, `least` elements or more, to cut lines of this length into, where they make only
    so many blocks and a device waits for more."""
    most = min(-(-BUSY // max(blocks, 1)), max(1, length // least))
    # pieces of whole vectors if there are any
    for unit in (VECTOR, 1):
        for n in range(most, 1, -1):
            if length % (n * unit) == 0:
                return n
    return 1


def versions(make, hold=LONG):
    """What Lay.of looks into, for lines laid with the same `hold`: the kernels that make(slots, vector) gives."""
    return {(hold // 2, 1): make(hold // 2, 1), (hold, VECTOR): make(hold, VECTOR)}


@device
def chunks_of(code):
    return code >> 8


@device
def place(vector, block, lines, length, stride, code):
    """(lane, width, line, there, first, last, step) of this thread in block number `block`.

    lane, width   its number among the threads of its line, and how many those are
    line, there   the line, and whether it is this thread's: False for those that are left over
    first, last   where the thread's first vector of the line lies, and where the line's last one does
    step          from one vector of a thread to its next, int32
    """
    shift, thread = code & 255, cuda.threadIdx.x
    if stride > 1:
        line = (np.int64(block) << shift) + (thread & ((1 << shift) - 1))
        lane, width = thread >> shift, cuda.blockDim.x >> shift
    else:
        line = (np.int64(block) * cuda.blockDim.x + thread) >> shift
        lane, width = thread & ((1 << shift) - 1), 1 << shift
    there = line < lines
    line = min(line, lines - 1)
    begin = line * length
    if stride > 1:
        o = np.int64(np.uint32(line) // np.uint32(stride))
        begin = o * length * stride + (line - o * stride)
    first, last = begin + lane * vector * stride, begin + (length - vector) * stride
    return lane, width, line, there, first, last, np.int32(width * vector * stride)


@device
def reach(first, last, step, vectors, chunk):
    """(where a thread's part of a chunk begins; from there to the line's last vector, negative behind it)."""
    at = first + np.int64(step) * vectors * chunk
    return at, np.int32(min(last - at, FAR))


@device
def take(vector, v, x, at, left, step, fill):
    """v = the thread's elements of a chunk, `fill` where the line has ended."""
    # what lies behind the end is not branched around: the last one is read again
    if vector > 1:
        for k in range(v.size // vector):
            ahead, k = np.int32(k * step), vector * k
            a, b, c, d = load4(x, at + min(ahead, left))
            there = ahead <= left
            v[k], v[k + 1] = a if there else fill, b if there else fill
            v[k + 2], v[k + 3] = c if there else fill, d if there else fill
    else:
        for k in range(v.size):
            ahead = np.int32(k * step)
            value = x[np.uint64(at + min(ahead, left))]
            v[k] = value if ahead <= left else fill


@device
def put(vector, y, v, at, left, step, there):
    """The way back, for threads that have a line."""
    left = left if there else np.int32(-1)
    if vector > 1:
        for k in range(v.size // vector):
            ahead, k = np.int32(k * step), vector * k
            if ahead <= left:
                store4(y, at + ahead, (v[k], v[k + 1], v[k + 2], v[k + 3]))
    else:
        for k in range(v.size):
            ahead = np.int32(k * step)
            if ahead <= left:
                y[np.uint64(at + ahead)] = v[k]


@device
def ahead_of(vector, k, step):
    """How far element k of a thread lies from the first one of the chunk."""
    return np.int32(k // vector * step + k % vector)


@device
def inside(vector, k, left, step):
    """Whether the line has an element k of this thread."""
    return np.int32(k // vector * step) <= left


@device
def line_sum(parts, value, stride, code):
    """The sum over the threads of a line, for all of them. parts: (PARTS,) shared, of the type of `value`."""
    shift = code & 255
    if stride == 1:
        return group_sum(parts, value, 1 << shift)
    thread = cuda.threadIdx.x
    cuda.syncthreads()
    parts[thread] = value
    cuda.syncthreads()
    total, k = parts.dtype.type(0), thread & ((1 << shift) - 1)
    while k < cuda.blockDim.x:
        total += parts[k]
        k += 1 << shift
    return total


@device
def line_max(parts, value, stride, code):
    """The largest of the threads of a line, for all of them; a NaN may be passed over."""
    shift = code & 255
    if stride == 1:
        return group_max(parts, value, 1 << shift)
    thread = cuda.threadIdx.x
    cuda.syncthreads()
    parts[thread] = value
    cuda.syncthreads()
    k = thread & ((1 << shift) - 1)
    while k < cuda.blockDim.x:
        value = parts[k] if parts[k] > value else value
        k += 1 << shift
    return value


# ---- lines of several chunks, kept in shared memory as far as there is room


# bytes of shared memory that are PARTS of reductions
_RESERVED = 3072


def room(found, dtype):
    """(chunks of a line to keep, the bytes they take): the first ones; those behind come from memory once more."""
    if found.chunks < 2:
        return 0, 0
    size = found.block * found.slots * dtype.itemsize
    most = 2 * size if SIMULATOR else shared_limit() - _RESERVED
    kept = min(found.chunks, most // size)
    shared = kept * size
    # with what is reserved it may be more than a block has without asking
    return kept, SHARED_BYTES + 1 if SHARED_BYTES - _RESERVED < shared <= SHARED_BYTES else shared


@device
def keep(cache, v, chunk):
    """Every thread keeps its own elements."""
    at = chunk * v.size * cuda.blockDim.x + cuda.threadIdx.x
    for k in range(v.size):
        cache[at + k * cuda.blockDim.x] = v[k]


@device
def recall(v, cache, chunk):
    at = chunk * v.size * cuda.blockDim.x + cuda.threadIdx.x
    for k in range(v.size):
        v[k] = cache[at + k * cuda.blockDim.x]
