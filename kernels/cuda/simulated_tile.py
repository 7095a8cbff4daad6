"""The instructions of ptx_tile.py where Numba's simulator runs device code.

Copies arrive as late as they may: when the thread waits for their group, so that a wait too few is seen.
"""

import functools
import threading

import numpy as np

from .half import BFLOAT16
from .simulated import exchange


def _copies():
    """[groups of copies of this thread that are committed and not arrived, those not committed]"""
    return threading.current_thread().__dict__.setdefault("copies", [[], []])


def _copy(shared, at, array, base, offset, count):
    _copies()[1].append((shared, at, array, int(base) + int(offset) if offset >= 0 else -1, count))


def copy_element(shared, at, array, base, offset):
    """shared[at] = array[base + offset], or 0 where offset < 0, once it is waited for."""
    _copy(shared, at, array, base, offset, 1)


def copy_chunk(shared, at, array, base, offset):
    """The same for 16 bytes."""
    _copy(shared, at, array, base, offset, 16 // array.dtype.itemsize)


def copy_element_if(shared, at, array, base, offset, inside):
    """The same with a condition in the place of a sign."""
    copy_element(shared, at, array, base, offset if inside else -1)


def copy_chunk_if(shared, at, array, base, offset, inside):
    copy_chunk(shared, at, array, base, offset if inside else -1)


def commit_copies():
    groups, fresh = _copies()
    groups.append(list(fresh))
    fresh.clear()


@functools.cache
def waiting(groups):
    def wait():
        under_way = _copies()[0]
        while len(under_way) > groups:
            for shared, at, array, offset, count in under_way.pop(0):
                for i in range(count):
                    shared[at + i] = array[offset + i] if offset >= 0 else array.dtype.type(0)

    return wait


def slice_product(depth, left, right):
    def lines(shared, at, k, width, apart, groups):
        return np.array([shared[at + k * width + apart * group + i] for group in range(groups) for i in range(4)])

    def multiply(sums, shared, at_left, at_right):
        total = np.array(sums).reshape(4 * left[2], 4 * right[2])
        for k in range(depth):
            total = total + np.outer(lines(shared, at_left, k, *left), lines(shared, at_right, k, *right))
        return tuple(total.ravel())

    return multiply


# ---- a warp's fragments: 32 lanes, whatever a warp is elsewhere in the simulator

LANES = 32


def _of_warp(value):
    """(what each lane of this warp gave, this lane)."""
    everyone, me = exchange(value, LANES)
    first = me // LANES * LANES
    return [everyone[first + lane] for lane in range(LANES)], me - first


def _words(values):
    """Elements of 16 or 32 bits as registers."""
    return tuple(np.ascontiguousarray(values).view(np.uint32))


@functools.cache
def fragment_loads(turned):
    def load(shared, indices):
        everyone, lane = _of_warp(indices)
        g, t, out = lane // 4, lane % 4, []
        for f in range(len(indices)):
            for quarter in range(4):
                rows = [everyone[8 * quarter + row][f] for row in range(8)]
                count = 4 // shared.dtype.itemsize
                where = range(count * t, count * t + count)
                assert all(row * shared.dtype.itemsize % 16 == 0 for row in rows), "rows begin at 16 bytes"
                out.append([shared[rows[k] + g] for k in where] if turned else [shared[rows[g] + k] for k in where])
        return _words(np.array(out).ravel())

    return load


def word_loads(shared, indices):
    return _words(np.array([shared[i] for i in indices]))


def _rounded(x):
    """float32 to TF32, half away from zero."""
    return ((x.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def _cut(x):
    """float32 as a TF32 instruction takes it."""
    return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def _lines(everyone, count, dtype, rows):
    """Fragments of a warp, of rows or columns, as a matrix (16 * count, depth of a step), from all lanes' registers."""
    registers = np.array(everyone, np.uint32).reshape(8, 4, count, 4)
    elements = registers.view(dtype).reshape(8, 4, count, 2, 2, -1)
    # (g, t, fragment, half of the depth, half of the lines, element) -> (fragment, half, g; half of depth, t, element)
    # of columns, halves of the depth come before those of the lines
    return elements.transpose((2, 4, 0, 3, 1, 5) if rows else (2, 3, 0, 4, 1, 5)).reshape(16 * count, -1)


@functools.cache
def tensor_product(kind, down, across):
    dtype = {"bf16": BFLOAT16, "f16": np.float16}.get(kind, np.float32)

    def multiply(sums, left, right):
        everyone, lane = _of_warp((left, right))
        a = _lines([both[0] for both in everyone], down, dtype, True).astype(np.float32)
        b = _lines([both[1] for both in everyone], across, dtype, False).astype(np.float32)
        if kind == "tf32x3":
            big_a, big_b = _rounded(a), _rounded(b)
            small_a, small_b = _cut(a - big_a), _cut(b - big_b)
            tile = small_a @ big_b.T + big_a @ small_b.T + big_a @ big_b.T
        else:
            tile = _rounded(a) @ _rounded(b).T if kind == "tf32" else a @ b.T
        g, t = lane // 4, lane % 4
        own = [
            tile[16 * m + 8 * low + g, 8 * n + 2 * t + i]
            for m in range(down)
            for n in range(2 * across)
            for low in (0, 1)
            for i in (0, 1)
        ]
        return tuple(np.array(sums) + np.array(own))

    return multiply


@functools.cache
def fragment_stores(part, across, width):
    def store(results, at, sums):
        for n in range(2 * across):
            for low in (0, 1):
                for i in (0, 1):
                    results[at + 8 * low * width + 8 * n + i] = sums[4 * (part * 2 * across + n) + 2 * low + i]

    return store
