"""The instructions of ptx_tile.py where Numba's simulator runs device code.

Copies arrive as late as they may: when the thread waits for their group, so that a wait too few is seen.
"""

import functools
import threading

import numpy as np


def _copies():
    """[groups of copies of this thread that are committed and not arrived, those not committed]"""
    return threading.current_thread().__dict__.setdefault("copies", [[], []])


def _copy(shared, at, array, base, offset, count):
    _copies()[1].append((shared, at, array, base + offset if offset >= 0 else -1, count))


def copy_element(shared, at, array, base, offset):
    """shared[at] = array[base + offset], or 0 where offset < 0, once it is waited for."""
    _copy(shared, at, array, base, offset, 1)


def copy_chunk(shared, at, array, base, offset):
    """The same for 16 bytes."""
    _copy(shared, at, array, base, offset, 16 // array.dtype.itemsize)


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
