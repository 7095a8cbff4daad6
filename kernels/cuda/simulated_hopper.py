"""The instructions of ptx_hopper.py where Numba's simulator runs device code: the same bytes in the same places.

Whatever works behind the threads' backs is as unkind as it may be: a copy spoils what it will overwrite when it is
asked for, and arrives when somebody waits for it. Products are in simulated_products.py.
"""

import threading

import numpy as np

GROUP, ROW_BYTES, SWIZZLE_BYTES = 128, 128, 1024
# where the window of a block's shared memory begins: not where tiles may lie, so that kernels must see to that
BEGIN = 128
# a waiting thread looks whether another has failed, and gives up
PATIENCE, DEADLINE = 0.2, 120

# (kind, pointer, shape, strides, box) by number: the simulator's maps, see tensor_map.py
described: list = []


def describe(*description):
    described.append(description)
    return np.uint64(len(described) - 1)


# one cluster of blocks runs at a time
changed = threading.Condition()


class _Block:
    """What a block's threads share, beyond its memory."""

    def __init__(self):
        self.barriers, self.meetings, self.products, self.memory = {}, {}, {}, None


_making = threading.Lock()


def this_block(manager=None):
    manager = manager or threading.current_thread()._manager
    with _making:
        return manager.__dict__.setdefault("hopper", _Block())


def _cluster():
    """The blocks of this thread's cluster; tests/simulator.py runs those of one together."""
    manager = threading.current_thread()._manager
    return [this_block(m) for m in getattr(manager, "cluster", [manager])]


def in_clusters(blocks):
    def mark():
        assert len(_cluster()) == blocks, "the simulator runs this block without its cluster"

    return mark


def _bytes(address, count):
    memory = this_block().memory
    assert BEGIN <= address <= address + count <= BEGIN + memory.size, f"shared memory has no bytes at {address}"
    return memory[address - BEGIN : address - BEGIN + count]


def swizzled(address):
    """Where the byte at an address of a swizzled tile lies."""
    return address ^ (address >> 3 & 0x70)


def shared_address(array):
    block, size = this_block(), np.asarray(array).nbytes
    with _making:
        # each block of a cluster has its own
        if block.memory is None:
            block.memory = np.full(size, 0xFF, np.uint8)
    return BEGIN


def load_shared4(address):
    assert address % 16 == 0
    return tuple(_bytes(address, 16).view(np.float32))


def store_shared2(address, a, b):
    assert address % 8 == 0
    _bytes(address, 8).view(np.float32)[:] = a, b


# ---- barriers


class _Barrier:
    def __init__(self, count):
        self.count = self.missing = count
        self.phase = self.expected = 0
        self.copies: list = []

    def turn(self):
        """The phase ends when all have arrived and all bytes have."""
        if self.missing == 0 and self.expected == 0:
            self.phase, self.missing = self.phase ^ 1, self.count


def barrier_init(address, count):
    this_block().barriers[int(address)] = _Barrier(count)


def barrier_expect(address, count):
    block = this_block()
    with changed:
        block.barriers[int(address)].expected += count
    barrier_arrive(address)


def barrier_arrive(address):
    _arrive(this_block(), address)


def barrier_arrive_at(address, rank):
    _arrive(_cluster()[rank], address)


def _arrive(block, address):
    with changed:
        barrier = block.barriers[int(address)]
        assert barrier.missing > 0, "more threads arrive at a barrier than it waits for"
        barrier.missing -= 1
        barrier.turn()
        changed.notify_all()


def barrier_wait(address, parity):
    block = this_block()
    barrier = block.barriers[int(address)]
    for _ in range(int(DEADLINE / PATIENCE)):
        with changed:
            while barrier.copies and barrier.phase == parity:
                barrier.expected -= barrier.copies.pop(0)()
                barrier.turn()
                changed.notify_all()
            if barrier.phase != parity or (changed.wait(PATIENCE) and barrier.phase != parity):
                return
        if getattr(threading.current_thread(), "barrier", None) and threading.current_thread().barrier.failed:
            raise RuntimeError("another thread of the block has failed")
    raise RuntimeError(f"a thread waits at barrier {address} for ever")


def fence_barriers():
    pass


def acquire_map(number):
    pass


def group_barrier(number):
    meet(("group", int(number)), GROUP)


def cluster_barrier():
    blocks = _cluster()
    meet("cluster", len(blocks) * int(np.prod(threading.current_thread()._manager._block_dim)), blocks[0])


def meet(name, threads, block=None):
    block = block or this_block()
    with changed:
        barrier = block.meetings.get(name) or block.meetings.setdefault(name, threading.Barrier(threads))
    try:
        barrier.wait(DEADLINE)
    except threading.BrokenBarrierError:
        raise RuntimeError("another thread of the block has failed") from None


# ---- copies


class _Memory:
    def __init__(self, pointer, shape, strides, typestr):
        self.__array_interface__ = {
            "data": (pointer, False),
            "shape": shape,
            "strides": strides,
            "typestr": typestr,
            "version": 3,
        }


def rounded_to_tf32(x):
    """The nearest number of ten bits behind the point; halves away from zero."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def high_half(x):
    return rounded_to_tf32(np.array([x]))[0]


def copy_tile(address, number, barrier, x, y, z):
    """The box of the map at (x, y, z), innermost first, to `address` on; rows of 128 bytes, swizzled."""
    _copy([this_block()], address, number, barrier, x, y, z)


def copy_tile_to(address, number, barrier, x, y, z, blocks):
    _copy([b for i, b in enumerate(_cluster()) if blocks >> i & 1], address, number, barrier, x, y, z)


def _copy(blocks, address, number, barrier, x, y, z):
    kind, pointer, shape, strides, (lines, inner) = described[int(number)]
    size = ROW_BYTES // inner
    assert address % SWIZZLE_BYTES == 0
    assert pointer % 16 == 0 and all(s % 16 == 0 for s in strides)
    there = np.asarray(_Memory(pointer, shape, (*strides, size), f"<u{size}"))
    at = swizzled(address + np.arange(lines * ROW_BYTES)) - BEGIN

    def arriving(memory):
        def arrive():
            box = np.zeros((lines, inner), there.dtype)
            part = there[z, y : y + lines, x : x + inner]
            box[: part.shape[0], : part.shape[1]] = part
            if kind == "float32":
                box = rounded_to_tf32(box.view(np.float32)).view(np.uint32)
            memory[at] = box.view(np.uint8).ravel()
            return lines * ROW_BYTES

        return arrive

    with changed:
        for block in blocks:
            block.memory[at] = 0xFF
            block.barriers[int(barrier)].copies.append(arriving(block.memory))
        changed.notify_all()
