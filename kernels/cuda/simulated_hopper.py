"""The instructions of ptx_hopper.py where Numba's simulator runs device code: the same bytes in the same places.

Whatever works behind the threads' backs is as unkind as it may be: a copy spoils what it will overwrite when it is
asked for, and arrives when somebody waits for it; a product reads its operands when somebody waits for it.
"""

import functools
import threading

import numpy as np

from .half import BFLOAT16

# threads of a warp here as on a device
WARP = 32
GROUP, GROUP_ROWS, ROW_BYTES, SWIZZLE_BYTES, STEPS, STEP_BYTES = 128, 64, 128, 1024, 4, 32
# where the window of a block's shared memory begins: not where tiles may lie, so that kernels must see to that
BEGIN = 128
# a waiting thread looks whether another has failed, and gives up
PATIENCE, DEADLINE = 0.2, 120

# (kind, pointer, shape, strides, box) by number: the simulator's maps, see tensor_map.py
described: list = []


def describe(*description):
    described.append(description)
    return np.uint64(len(described) - 1)


class _Block:
    """What a block's threads share, beyond its memory."""

    def __init__(self):
        self.changed, self.barriers, self.groups, self.products = threading.Condition(), {}, {}, {}
        self.memory = None


_making = threading.Lock()


def _block():
    thread = threading.current_thread()
    with _making:
        return thread._manager.__dict__.setdefault("hopper", _Block())


def _bytes(address, count):
    memory = _block().memory
    assert BEGIN <= address <= address + count <= BEGIN + memory.size, f"shared memory has no bytes at {address}"
    return memory[address - BEGIN : address - BEGIN + count]


def _swizzled(address):
    """Where the byte at an address of a swizzled tile lies."""
    return address ^ (address >> 3 & 0x70)


def shared_address(array):
    _block().memory = np.asarray(array).view(np.uint8)
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
    _block().barriers[int(address)] = _Barrier(count)


def barrier_expect(address, count):
    block = _block()
    with block.changed:
        block.barriers[int(address)].expected += count
    barrier_arrive(address)


def barrier_arrive(address):
    block = _block()
    with block.changed:
        barrier = block.barriers[int(address)]
        assert barrier.missing > 0, "more threads arrive at a barrier than it waits for"
        barrier.missing -= 1
        barrier.turn()
        block.changed.notify_all()


def barrier_wait(address, parity):
    block = _block()
    barrier = block.barriers[int(address)]
    for _ in range(int(DEADLINE / PATIENCE)):
        with block.changed:
            while barrier.copies and barrier.phase == parity:
                barrier.expected -= barrier.copies.pop(0)()
                barrier.turn()
                block.changed.notify_all()
            if barrier.phase != parity or (block.changed.wait(PATIENCE) and barrier.phase != parity):
                return
        if getattr(threading.current_thread(), "barrier", None) and threading.current_thread().barrier.failed:
            raise RuntimeError("another thread of the block has failed")
    raise RuntimeError(f"a thread waits at barrier {address} for ever")


def fence_barriers():
    pass


def acquire_map(number):
    pass


def group_barrier(number):
    _meet(("group", int(number)), GROUP)


def _meet(name, threads):
    block = _block()
    with block.changed:
        barrier = block.groups.get(name) or block.groups.setdefault(name, threading.Barrier(threads))
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
    kind, pointer, shape, strides, (lines, inner) = described[int(number)]
    size = ROW_BYTES // inner
    assert address % SWIZZLE_BYTES == 0
    assert pointer % 16 == 0 and all(s % 16 == 0 for s in strides)
    there = np.asarray(_Memory(pointer, shape, (*strides, size), f"<u{size}"))
    to = address + np.arange(lines * ROW_BYTES)
    memory = _block().memory
    at = _swizzled(to) - BEGIN
    memory[at] = 0xFF

    def arrive():
        box = np.zeros((lines, inner), there.dtype)
        part = there[z, y : y + lines, x : x + inner]
        box[: part.shape[0], : part.shape[1]] = part
        if kind == "float32":
            box = rounded_to_tf32(box.view(np.float32)).view(np.uint32)
        memory[at] = box.view(np.uint8).ravel()
        return lines * ROW_BYTES

    block = _block()
    with block.changed:
        block.barriers[int(barrier)].copies.append(arrive)
        block.changed.notify_all()


# ---- products


def _operand(kind, descriptor, lines, step, along_k):
    """lines x depth numbers that a descriptor tells of, moved on by `step` steps along K."""
    descriptor, size = int(descriptor), 4 if kind == "float32" else 2
    assert descriptor >> 62 == 1, "the swizzle of 128 bytes"
    start, leading, stride = (descriptor >> at << 4 & 0x3FFFF for at in (0, 16, 32))
    i, k = np.arange(lines)[:, None], np.arange(STEP_BYTES // size)[None, :]
    if along_k:
        at = start + step * STEP_BYTES + i // 8 * stride + i % 8 * ROW_BYTES + k * size
    else:
        # blocks of 64 along the other axis
        across = ROW_BYTES // size
        start += step * k.size * ROW_BYTES
        at = start + i // across * leading + i % across * size + k // 8 * stride + k % 8 * ROW_BYTES
    at = _swizzled(at)[..., None] + np.arange(size) - BEGIN
    type_ = {"float32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": BFLOAT16}[kind]
    return np.ascontiguousarray(_block().memory[at]).view(type_)[..., 0].astype(np.float32)


class _Sums:
    """Sums in registers that products may still be under way to."""

    def __init__(self, values):
        self.values = np.array(values, np.float32)


def _state():
    """[number of the next product, products under way] of this thread."""
    return threading.current_thread().__dict__.setdefault("under_way", [0, []])


@functools.cache
def multiply(kind, columns, a_along_k, b_along_k):
    def computed(a, b):
        total = np.zeros((GROUP_ROWS, columns), np.float32)
        for step in range(STEPS):
            left = _operand(kind, a, GROUP_ROWS, step, a_along_k)
            total += left @ _operand(kind, b, columns, step, b_along_k).T
        return total

    def start(sums, a, b):
        sums = sums if isinstance(sums, _Sums) else _Sums(sums)
        state = _state()
        state[1].append((sums, computed, state[0], a, b))
        state[0] += 1
        return sums

    return start


def _settle(left):
    """Let all products of this thread but the last `left` happen."""
    block, thread, under_way = _block(), threading.current_thread().threadIdx.x, _state()[1]
    group, lane = divmod(thread, GROUP)
    row = lane // 32 * 16 + lane % 32 // 4
    while len(under_way) > left:
        sums, computed, number, a, b = under_way.pop(0)
        with block.changed:
            entry = block.products.setdefault((group, number), [None, 0])
            if entry[0] is None:
                entry[0] = computed(a, b)
            entry[1] += 1
            if entry[1] == GROUP:
                del block.products[group, number]
        total = entry[0]
        # pairs of columns of the two rows of this thread
        pairs = total.reshape(GROUP_ROWS, -1, 4, 2)[:, :, lane % 4]
        sums.values += np.stack([pairs[row], pairs[row + 8]], axis=1).ravel()
    # the threads of a warp go on together
    _meet(("warp", thread // WARP), WARP)


def wait_for_products():
    _settle(1)


@functools.cache
def finish(columns):
    def finished(sums):
        _settle(0)
        sums = sums.values if isinstance(sums, _Sums) else sums
        assert len(sums) == columns // 2
        return tuple(sums)

    return finished


def added(total, sums):
    return tuple(np.add(total, sums, dtype=np.float32))
