"""The instructions of ptx.py where Numba's simulator runs device code: the same results, in plain Python.

A shuffle lets every thread of a block show a value to the others; so every thread of the block must come, as the real
instruction wants every thread of its warp.
"""

import threading

import numpy as np

from .half import BFLOAT16
from .target import WARP


def wide(x):
    if isinstance(x, np.float16):
        return np.float32(x)
    return np.array(x).view(BFLOAT16).astype(np.float32)[()] if isinstance(x, np.uint16) else x


def narrow(array, x):
    with np.errstate(over="ignore"):
        if array.dtype == np.uint16:
            return np.float32(x).astype(BFLOAT16).view(np.uint16)
        return array.dtype.type(x)


def load4(array, i):
    return tuple(wide(array[i + k]) for k in range(4))


def store4(array, i, values):
    for k in range(4):
        array[i + k] = narrow(array, values[k])


def on_boundary(array):
    # on a device vectors are no larger than 16 bytes; here where memory begins is NumPy's affair
    return array._item._ary.ctypes.data % min(4 * array.dtype.itemsize, 16) == 0


def quotient(a, b):
    return int(a) // int(b)


def reciprocal_product(a, b, shift):
    return np.uint32(int(a) * int(b) >> 32 + int(shift))


def floor_divide(a, b):
    with np.errstate(all="ignore"):
        return a // b


def remainder(a, b):
    with np.errstate(all="ignore"):
        return a % b


def rounded_product(a, b):
    return a * b


def exchange(value, lanes=WARP):
    """(what each thread of this warp gave, by its number in the block; this thread's number)."""
    thread = threading.current_thread()
    shown = thread._manager.__dict__.setdefault("shown", {})
    shown[thread.thread_id] = value
    # Numba's own simulator knows no barrier of a warp
    wait = getattr(thread, "syncwarp", lambda lanes: thread.syncthreads())
    wait(lanes)
    first = thread.thread_id - thread.thread_id % lanes
    everyone = {i: shown[i] for i in range(first, first + lanes) if i in shown}
    wait(lanes)
    return everyone, thread.thread_id


def shuffle_xor(value, lane):
    everyone, me = exchange(value)
    # as on the device, a partner beyond the warp or one that is not there gives one's own value back
    partner = me ^ lane
    return everyone.get(partner, value) if partner // WARP == me // WARP else value
