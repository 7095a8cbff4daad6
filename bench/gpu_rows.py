"""What a row of `make gpu-check` is, and how its arrays are made.

A row is made when its turn comes: `make()` gives a Workload. Bytes and operations are counted, not measured.
"""

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gpu_timing import torch_or_none


class Workload(NamedTuple):
    ours: Callable[[], Any]
    peer: Callable[[], Any] | None = None
    # () -> the error of ours beside the peer's in float64, or None
    check: Callable[[], float] | None = None
    # each array counted once, those that are read and written twice; 0: not counted
    bytes: int = 0
    operations: int = 0


class Row(NamedTuple):
    name: str
    make: Callable[[], Workload]
    # which of the matrix peaks operations are seen against
    unit: str = "float32"
    # the ratio aimed at, to the "peer" or to the "copy" bandwidth
    target: float = 0.0
    against: str = ""


@functools.cache
def device(shape, dtype=np.float32):
    """Normal numbers on the device, to be read alone: drawing and copying take longer than timing, so rows share them.

    Some ten thousand of them, over and over.
    """
    from hotloop.kernels import cuda

    numbers = np.random.default_rng(sum(shape)).standard_normal(min(math.prod(shape), 65_521), np.float32)
    return cuda.to_device(np.resize(numbers, shape).astype(dtype))


@functools.cache
def shares(shape, dtype=np.float32):
    """Numbers between 0.1 and 0.9, which every formula takes; to be read alone."""
    from hotloop.kernels import cuda

    numbers = np.random.default_rng(sum(shape)).uniform(0.1, 0.9, min(math.prod(shape), 65_521))
    return cuda.to_device(np.resize(numbers, shape).astype(dtype))


@functools.cache
def whole(shape, below, dtype=np.int64):
    """Whole numbers of 0 .. below - 1, to be read alone."""
    from hotloop.kernels import cuda

    return cuda.to_device(np.random.default_rng(sum(shape)).integers(0, max(below, 1), shape).astype(dtype))


def copied(array):
    """An array of its own, for what is updated."""
    copy = empty(array.shape, array.dtype)
    kernel("elementwise.copy_forward")(copy, array)
    return copy


def empty(shape, dtype=np.float32):
    from hotloop.kernels import cuda

    return cuda.empty(shape, dtype)


def tensor(array):
    """The same memory as a torch tensor; None without torch."""
    torch = torch_or_none()
    return None if torch is None else torch.from_dlpack(array)


def kernel(path):
    module, name = path.split(".")
    return getattr(importlib.import_module(f"hotloop.kernels.cuda.{module}"), name)
