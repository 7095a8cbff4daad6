"""The state of the random numbers, one generator a Python thread.

A generator is (seed, offset): the key and the next counter of `kernels/ref/random.py`. Every use takes the counters it
needs by a kernel call, so that a recorded step that is replayed draws new numbers. On each device the same numbers
come: a model on CUDA sees the masks that it would see on the CPU.

`manual_seed` seeds the thread that calls it. A thread that never called it draws from a stream of its own under the
seed that was set last in the process (or, if none was, one from the operating system): streams are numbered in the
order of their first use, and begin 2**48 counters apart. For numbers that do not depend on which thread comes first,
call `manual_seed` in each.
"""

import itertools
import operator
import os
import threading

import numpy as np

from .doors import call, empty

STREAM = 1 << 48
LIMIT = 1 << 64


class _Process:
    """What a thread starts from that has not called manual_seed."""

    def __init__(self):
        self.seed_with(int.from_bytes(os.urandom(8), "little"))
        self.streams = itertools.count()  # before any manual_seed the first thread has stream 0

    def seed_with(self, seed):
        self.seed, self.streams = seed, itertools.count(1)


class _Thread(threading.local):
    """A thread's generators, one a device; made at first use. `start` is what a new one begins with."""

    def __init__(self):
        self.generators = {}
        self.start = (_process.seed, next(_process.streams) * STREAM % LIMIT)

    def seed_with(self, seed, offset=0):
        self.start = (seed, offset)
        self.generators.clear()

    def generator(self, device):
        generator = self.generators.get(device)
        if generator is None:
            generator = self.generators[device] = _on_device(np.array(self.start, np.uint64), device)
        return generator


_process = _Process()
_thread = _Thread()


def _on_device(array, device):
    if device == "cpu":
        return array
    from ..kernels import cuda

    return cuda.to_device(array)


def _on_host(array, device):
    if device == "cpu":
        return array.copy()
    from ..kernels import cuda

    return cuda.to_host(array)


def manual_seed(seed: int) -> None:
    """Begin this thread's random numbers anew, on every device. Negative seeds count down from 2**64, as in torch."""
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"manual_seed: expected an integer, got {type(seed).__name__} {seed!r}") from None
    if not -(1 << 63) <= seed < LIMIT:
        raise ValueError(f"manual_seed: expected a seed of -2**63 .. 2**64 - 1, got {seed}")
    _process.seed_with(seed % LIMIT)
    _thread.seed_with(seed % LIMIT)


def seed() -> int:
    """Seed this thread from the operating system's entropy; gives the seed."""
    fresh = int.from_bytes(os.urandom(8), "little")
    manual_seed(fresh)
    return fresh


def initial_seed() -> int:
    """The seed this thread's random numbers come from."""
    return _thread.start[0]


def get_rng_state(device: str = "cpu") -> np.ndarray:
    """A copy of this thread's generator on a device: (seed, offset), uint64."""
    return _on_host(_thread.generator(device), device)


def set_rng_state(state, device: str = "cpu") -> None:
    """Go on from a state that `get_rng_state` gave."""
    state = np.asarray(state)
    if state.shape != (2,) or state.dtype != np.uint64:
        raise TypeError(
            f"set_rng_state: expected (seed, offset) as uint64 of shape (2,), got {state.dtype} {state.shape}"
        )
    _thread.generators[device] = _on_device(state.copy(), device)


def next_state(count: int, device: str = "cpu", generator=None):
    """The state for one fill of `count` elements, a fresh (2,) uint64 array on the device; the generator moves on.

    generator  this thread's where None is given
    """
    state = empty((2,), np.dtype(np.uint64), device)
    generator = _thread.generator(device) if generator is None else generator
    call("random.state_forward", state, generator, (int(count) + 3) // 4)
    return state
