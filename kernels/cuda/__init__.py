"""Kernels for NVIDIA GPUs: the twins of kernels/cpu, and the memory they work on.

Importing this package imports no Numba and needs no GPU; the first use of it does. Submodules are attributes, loaded
when they are first named. Arrays never travel between host and device but by `to_device` and `to_host`.
"""

import importlib


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    path = f"{__name__}.{name}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise AttributeError(f"kernels.cuda has no {name}") from None


def is_available() -> bool:
    """Whether kernels can run here: numba-cuda is installed, and there is a device or the simulator. Never raises."""
    try:
        from .target import cuda

        return bool(cuda.is_available())
    except Exception:
        # no numba-cuda, no driver, a driver that does not answer: whatever it is, the answer is no
        return False


def empty(shape, dtype):
    """A fresh C-contiguous array on the current device; contents undefined."""
    from . import memory

    return memory.empty(shape, dtype)


def adopt(array):
    """A CUDA array of any library (`__cuda_array_interface__`) over the same memory, with NumPy's words for views."""
    from . import target

    return target.adopt(array)


def to_device(array):
    """A copy of a NumPy array on the current device."""
    from . import copies

    return copies.to_device(array)


def to_host(array):
    """A copy of a CUDA array as a NumPy array. Waits for the kernels before it, and raises what they found wrong."""
    from . import copies

    return copies.to_host(array)


def synchronize():
    """Wait for every kernel of the current device, and raise what they found wrong."""
    from . import copies

    copies.synchronize()
