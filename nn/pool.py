"""The recycling pool behind `empty`: a block of memory returns when the last array over it dies.

Fresh memory costs a page fault for every 4 KB; memory that was used a moment ago is in the cache. Blocks come in size
classes, eight to a power of two (at most an eighth is wasted), aligned to a cache line and a 512-bit vector. Small
arrays are NumPy's own: malloc recycles those as well, and in a quarter of the time that the bookkeeping here takes.

How a block notices: the array handed out has the block as its base, and the block is not a plain `ndarray`, so NumPy
makes every view of that array (and every view of a view) hold the array itself. A weak reference to the array
therefore fires exactly when nothing looks at the memory any more.
"""

from __future__ import annotations

import math
import os
import threading
import weakref

import numpy as np

ALIGNMENT = 64
SMALL = 1 << 14  # bytes up to which memory is malloc's
_empty = np.empty
_PLANS = 4096  # shapes remembered before they are forgotten together


class Block(np.ndarray):
    """Bytes that the pool owns. `start`: the first aligned one; `home`: its size class; `lease`: its present user."""

    __slots__ = ("home", "lease", "start")

    home: _Home
    lease: _Lease | None
    start: int


class _Lease(weakref.ref):
    """The weak reference to an array that uses a block."""

    __slots__ = ("block",)

    block: Block


class _Home:
    """A size class: the blocks of `nbytes` bytes that nobody uses, and when one was last asked for."""

    __slots__ = ("free", "nbytes", "pool", "used")

    def __init__(self, pool: Pool, nbytes: int) -> None:
        self.pool, self.nbytes = pool, nbytes
        self.free: list[Block] = []
        self.used = 0


def size_class(nbytes: int) -> int:
    """The size of the block that serves `nbytes`: a multiple of 64, with three significant bits after the first."""
    step = max(ALIGNMENT, 1 << max(0, (nbytes - 1).bit_length() - 4))
    return -(-nbytes // step) * step


class Pool:
    """Arrays over recycled memory. Any thread may ask, and any thread may let the last view die.

    `limit` bounds the bytes that are held and unused; past it the size classes go that were asked for least recently.
    Arrays of up to `small` bytes are not the pool's.
    """

    def __init__(self, limit: int, small: int = 0) -> None:
        self.limit, self.small = limit, small
        self.idle = 0  # bytes held and unused
        self._clock = 0
        self._homes: dict[int, _Home] = {}
        self._plans: dict = {}
        self._trimming = threading.Lock()

    def empty(self, shape, dtype) -> np.ndarray:
        """A C-contiguous array whose contents are undefined."""
        try:
            home = self._plans[shape, dtype]
        except (KeyError, TypeError):
            home, shape, dtype = self._plan(shape, dtype)
        if home is None:
            return _empty(shape, dtype)
        home.used = self._clock
        try:
            block = home.free.pop()
            self.idle -= home.nbytes
        except IndexError:
            block = self._grow(home)
        array = np.ndarray(shape, dtype, block, block.start)
        block.lease = lease = _Lease(array, _recycle)
        lease.block = block
        return array

    def clear(self) -> None:
        """Give back all memory that nobody uses."""
        self._trim(0)

    def _plan(self, shape, dtype):
        """Which size class serves a shape; None where NumPy does."""
        dtype = np.dtype(dtype)
        shape = (int(shape),) if not hasattr(shape, "__len__") else tuple(int(n) for n in shape)
        if any(n < 0 for n in shape):
            raise ValueError(f"expected a shape without negative sizes, got {shape}")
        nbytes = math.prod(shape) * dtype.itemsize
        home = None
        if nbytes > self.small:
            size = size_class(nbytes)
            home = self._homes.get(size) or self._homes.setdefault(size, _Home(self, size))
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[shape, dtype] = home
        return home, shape, dtype

    def _grow(self, home: _Home) -> Block:
        self._clock += 1
        try:
            block = np.ndarray.__new__(Block, (home.nbytes + ALIGNMENT,), np.uint8)
        except MemoryError:
            self.clear()
            block = np.ndarray.__new__(Block, (home.nbytes + ALIGNMENT,), np.uint8)
        block.home = home
        block.start = -block.__array_interface__["data"][0] % ALIGNMENT
        return block

    def _trim(self, limit: int) -> None:
        # blocks also come back while this runs, even from inside it (the collector): those wait for the next time
        if not self._trimming.acquire(blocking=False):
            return
        try:
            self._clock += 1
            homes = sorted(self._homes.values(), key=lambda home: (home.used, -home.nbytes))
            # counted anew: an update of `idle` may have been lost between threads
            idle = sum(len(home.free) * home.nbytes for home in homes)
            for home in homes:
                while idle > limit and home.free:
                    try:
                        home.free.pop(0).lease = None
                    except IndexError:
                        break
                    idle -= home.nbytes
            self.idle = idle
        finally:
            self._trimming.release()


def _recycle(lease: _Lease) -> None:
    # no globals: this also runs while the interpreter shuts down
    block = lease.block
    home = block.home
    pool = home.pool
    home.free.append(block)
    pool.idle += home.nbytes
    if pool.idle > pool.limit:
        pool._trim(pool.limit * 3 // 4)


def _default_limit() -> int:
    """A quarter of the machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (AttributeError, ValueError, OSError):
        return 1 << 30


POOL = Pool(_default_limit(), SMALL)
# of memory that stays: aligned however small it is
LASTING = Pool(_default_limit())
