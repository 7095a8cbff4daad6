"""Memory of the device, taken from the driver once and used again.

What an Array gives back waits in its stream's pool for the next one of about its size: work of one stream is in order,
so that memory may be used again while kernels that read it are still to run. `take` is the one place that asks the
driver; while a graph is captured, a pool of the graph's own serves it (graph.py).
"""

import math
import threading
from contextlib import contextmanager

import numpy as np

from .array import Array
from .target import SIMULATOR, cuda, current_stream

# the smallest block; and the steps between two powers of two, of which a larger one is a multiple
SMALLEST = 512
STEPS = 8

if SIMULATOR:

    def take(size):
        """(address, what keeps it): `size` bytes from the driver."""
        # as the driver does it: on the boundary of 256 bytes
        memory = np.empty(size + 256, np.uint8)
        return memory.ctypes.data + -memory.ctypes.data % 256, memory
else:

    def take(size):
        """(address, what keeps it): `size` bytes from the driver."""
        memory = cuda.current_context().memalloc(size)
        return int(memory.device_ctypes_pointer.value), memory


def rounded(size):
    """The size of the block that serves `size` bytes: at most an eighth more, for sizes of more than a few KB."""
    if size <= SMALLEST:
        return SMALLEST
    step = max(SMALLEST, (1 << (size - 1).bit_length()) // (2 * STEPS))
    return -(-size // step) * step


class Block:
    """Memory of the device; goes back to its pool when nothing refers to it any more."""

    __slots__ = ("__weakref__", "keeper", "pointer", "pool", "size", "stream")

    def __init__(self, pool, stream, size, pointer, keeper):
        self.pool, self.stream, self.size, self.pointer, self.keeper = pool, stream, size, pointer, keeper

    def __del__(self):
        self.pool.give_back(self)


class Pool:
    """Free blocks by stream and size."""

    def __init__(self):
        self.free: dict = {}
        # one that its holder may take again: the collector may drop arrays at any time
        self.lock = threading.RLock()
        # bytes in arrays, and bytes waiting here
        self.used = self.cached = 0

    def block(self, size):
        stream, size = current_stream(), rounded(size)
        with self.lock:
            waiting = self.free.get((stream, size))
            found = waiting.pop() if waiting else None
            if found:
                self.cached -= size
        pointer, keeper = found or self._take(size)
        with self.lock:
            self.used += size
        return Block(self, stream, size, pointer, keeper)

    def give_back(self, block):
        with self.lock:
            self.free.setdefault((block.stream, block.size), []).append((block.pointer, block.keeper))
            self.used -= block.size
            self.cached += block.size

    def release(self):
        """Give what waits here back to the driver."""
        with self.lock:
            self.free.clear()
            self.cached = 0

    def _take(self, size):
        try:
            return take(size)
        except Exception as error:
            if not _out_of_memory(error):
                raise
        self.release()
        try:
            return take(size)
        except Exception as error:
            if not _out_of_memory(error):
                raise
            raise MemoryError(
                f"CUDA out of memory: asked for {_words(size)}, arrays of this library hold {_words(self.used)}, "
                "and the driver has no more to give"
            ) from None


def _out_of_memory(error):
    return isinstance(error, MemoryError) or "OUT_OF_MEMORY" in str(error)


def _words(size):
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.2f} GiB"


_default = Pool()


class _Here(threading.local):
    pool = _default


_here = _Here()


@contextmanager
def pool_of_its_own():
    """Arrays that this thread makes in the block come from a Pool of their own, which is given."""
    before, _here.pool = _here.pool, Pool()
    try:
        yield _here.pool
    finally:
        _here.pool = before


def empty(shape, dtype):
    """A fresh C-contiguous Array on the current device; contents undefined."""
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    dtype = np.dtype(dtype)
    block = _here.pool.block(math.prod(shape) * dtype.itemsize)
    return Array(block, block.pointer, shape, dtype)


def memory_allocated() -> int:
    """Bytes of device memory in arrays."""
    return _default.used


def memory_cached() -> int:
    """Bytes of device memory that wait for the next array."""
    return _default.cached


def empty_cache() -> None:
    """Give device memory that waits for the next array back to the driver."""
    _default.release()
