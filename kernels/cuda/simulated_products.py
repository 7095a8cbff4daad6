"""Products of ptx_hopper.py where Numba's simulator runs device code: operands by their descriptors, sums by lanes.

A product reads its operands as late as it may: when somebody waits for it.
"""

import functools
import threading

import numpy as np

from .half import BFLOAT16
from .simulated_hopper import BEGIN, GROUP, ROW_BYTES, changed, meet, swizzled, this_block

GROUP_ROWS, STEPS, STEP_BYTES = 64, 4, 32
# threads of a warp here as on a device
WARP = 32


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
    at = swizzled(at)[..., None] + np.arange(size) - BEGIN
    type_ = {"float32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": BFLOAT16}[kind]
    return np.ascontiguousarray(this_block().memory[at]).view(type_)[..., 0].astype(np.float32)


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
    block, thread, under_way = this_block(), threading.current_thread().threadIdx.x, _state()[1]
    group, lane = divmod(thread, GROUP)
    row = lane // 32 * 16 + lane % 32 // 4
    while len(under_way) > left:
        sums, computed, number, a, b = under_way.pop(0)
        with changed:
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
    meet(("warp", thread // WARP), WARP)


@functools.cache
def wait_for_products(left):
    return lambda: _settle(left)


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
