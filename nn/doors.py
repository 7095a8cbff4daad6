"""The two doors to the machine: memory comes from `empty`, arithmetic is done by `call`.

Layers, operators, losses and optimizers do nothing to numbers but through these; between them they only make views.
So the same layer runs on every backend, and a step is a list of kernel calls. The rest of this file serves the edges
of the library, where data comes from Python and the host and goes back there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import device_of
from .pool import LASTING, POOL

__all__ = [
    "absent",
    "adopt",
    "call",
    "contiguous",
    "copy_into",
    "device_of",
    "empty",
    "from_host",
    "host_array",
    "lasting",
    "one",
    "overlap",
    "refuse_while_recording",
    "spread",
    "to_host",
]

# by the type of the first array, then by name
_kernels: dict[type, dict[str, Callable]] = {}
_absent: dict[Any, list[np.ndarray]] = {}
_on_device = False  # whether an array on a device was ever seen: until then no call looks for one

_pool_empty = POOL.empty


def empty(shape, dtype, device: str = "cpu"):
    """An array of undefined contents, from recycled memory."""
    if device == "cpu":
        return _pool_empty(shape, dtype)
    return _cuda(device).empty(shape, dtype)


def lasting(shape, dtype, device: str = "cpu"):
    """As `empty`, and aligned to 64 bytes however small it is: for memory that is used again and again."""
    return LASTING.empty(shape, dtype) if device == "cpu" else empty(shape, dtype, device)


def absent(dtype, device: str = "cpu", dims: int = 1):
    """The size-0 array that stands for an optional array that is not there. `call` moves it to the others' device.

    A kernel takes any; one of as many dimensions as it expects, up to 4, spares it a reshape.
    """
    if device != "cpu":
        return empty((0,) * dims, dtype, device)
    arrays = _absent.get(dtype)
    if arrays is None:
        arrays = _absent[dtype] = [np.empty((0,) * n, dtype) for n in range(1, 5)]
    return arrays[dims - 1]


def call(name: str, *args) -> None:
    """Run a kernel, named `module.kernel`, on the backend where the first array lives."""
    if _on_device:
        args = _together(name, args)
    try:
        kernel = _kernels[type(args[0])][name]
    except KeyError:
        kernel = _resolve(name, args[0])
    kernel(*args)


def _resolve(name: str, first) -> Callable:
    global _on_device
    try:
        device = device_of(first)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    _on_device = _on_device or device != "cpu"
    module, _, function = name.partition(".")
    place = f"{__package__.rpartition('.')[0]}.kernels.{device}"
    try:
        kernel = getattr(importlib.import_module(f"{place}.{module}"), function)
    except ModuleNotFoundError as error:
        if error.name != f"{place}.{module}":
            raise
        raise NotImplementedError(f"{name}: the {device} backend has no such kernel (no module {module})") from None
    except AttributeError:
        raise NotImplementedError(f"{name}: the {device} backend has no such kernel") from None
    _kernels.setdefault(type(first), {})[name] = kernel
    return kernel


def _together(name: str, args: tuple) -> tuple:
    """The arguments with absent arrays moved to where the others are; raises when those are not all in one place."""
    found: dict[str, Any] = {}
    for array in args:
        if hasattr(array, "dtype") and hasattr(array, "ndim" if isinstance(array, np.ndarray) else "shape"):
            device = device_of(array)
            if device != "cpu" or array.size:
                found.setdefault(device, array)
    if len(found) > 1:
        what = " and ".join(f"{device} {array.dtype} {tuple(array.shape)}" for device, array in found.items())
        raise ValueError(f"{name}: expected all arrays on one device, got {what}; to(device) moves a tensor or model")
    if "cuda" not in found:
        return args
    return tuple(empty((0,), a.dtype, "cuda") if isinstance(a, np.ndarray) else a for a in args)


def _cuda(device: str):
    global _on_device
    if device != "cuda":
        raise ValueError(f"expected the device 'cpu' or 'cuda', got {device!r}")
    backend = importlib.import_module("..kernels.cuda", __package__)
    if not _on_device and not backend.is_available():
        raise RuntimeError("expected numba-cuda and a CUDA device, found none; `python -m hotloop doctor` says more")
    _on_device = True
    return backend


def refuse_while_recording(what: str) -> None:
    """Raise where this thread records a step (hotloop.cuda.graph) and `what` would not happen again in a replay."""
    if _on_device:
        _cuda("cuda").target.refuse_while_recording(what)


# ---- arrays of any strides


def overlap(a, b) -> bool:
    """Whether two arrays may look at the same memory: whether the ranges do in which their elements lie."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and np.may_share_memory(a, b)
    if a.owner is not b.owner:
        return False
    (low, high), (bottom, top) = _range(a), _range(b)
    return low < top and bottom < high


def _range(array) -> tuple[int, int]:
    """The addresses in which a device array lies."""
    spans = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)] if array.size else []
    low = array.pointer + sum(s for s in spans if s < 0)
    return low, low + sum(map(abs, spans)) + (array.itemsize if array.size else 0)


def spread(x, shape):
    """The array broadcast to a shape, by strides of 0: for kernels to read."""
    view = np.broadcast_to(x, shape)
    if type(view) is np.ndarray and x.flags.writeable:
        # nobody writes to it, but an array that says so is a type of its own to Numba, and takes the long way in
        view.flags.writeable = True
    return view


def contiguous(array):
    """The array itself when it is C-contiguous, else a copy that is."""
    if array.flags.c_contiguous:
        return array
    copy = empty(array.shape, array.dtype, device_of(array))
    copy_into(copy, array)
    return copy


def copy_into(y, x) -> None:
    """y = x, cast to y's dtype; x of the same shape or one that broadcasts to it; any strides, no shared memory."""
    if (y.dtype.kind == "V" or x.dtype.kind == "V") and type(y) is type(x) is np.ndarray:
        # bfloat16 is storage for CUDA: on the host it comes and goes, and no kernel knows it
        y[...] = x
        return
    if y.shape == x.shape and y.flags.c_contiguous and x.flags.c_contiguous:
        call("elementwise.copy_forward", y, x)
        return
    if y.shape != x.shape:
        x = spread(x, y.shape)
    # the kernel has four axes: more are walked here
    if y.ndim > 4:
        for i in range(y.shape[0]):
            copy_into(y[i], x[i])
        return
    shape = (1,) * (4 - y.ndim) + y.shape
    call("elementwise.assign_forward", y.reshape(shape), x.reshape(shape))


# ---- where data comes in from Python and goes back


def host_array(data, dtype=None, copy: bool | None = None) -> np.ndarray:
    """`data` as a plain NumPy array in this machine's byte order; `copy` as in numpy.array. Errors name the dtype."""
    array = np.array(data, dtype=dtype, copy=copy)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise TypeError(f"expected numbers or booleans, got {type(data).__name__} of dtype {array.dtype}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def host_linspace(start: float, end: float, steps: int, dtype) -> np.ndarray:
    return np.linspace(start, end, steps).astype(dtype)


def host_eye(n: int, m: int, dtype) -> np.ndarray:
    return np.eye(n, m, dtype=dtype)


def host_waves(rows: int, width: int, base: float, dtype) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of p base^(-2 i / width) in row p and column i, (rows, width / 2 rounded up) each."""
    angles = np.arange(rows)[:, None] * base ** (-np.arange(0, width, 2) / max(width, 1))
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


def one(shape, dtype, device: str = "cpu"):
    """An array of the number 1, with a single element: what backward begins with."""
    array = empty(shape, dtype, device)
    if device == "cpu":
        array.fill(1)
    else:
        call("elementwise.fill_forward", array, 1.0)
    return array


def from_host(array: np.ndarray, device: str = "cpu"):
    """A host array on `device`."""
    return array if device == "cpu" else _cuda(device).to_device(array)


def adopt(array):
    """A device array of any library as the backend's own, over the same memory; TypeError for what is no array."""
    return _cuda(same_device(array)).adopt(array)


def to_host(array) -> np.ndarray:
    """The array in host memory: itself when it is there."""
    return array if isinstance(array, np.ndarray) else _cuda("cuda").to_host(array)


def same_device(array) -> str:
    """Like `device_of`; also remembers that devices are in use, so that `call` begins to look for them."""
    global _on_device
    device = device_of(array)
    if device != "cpu":
        _on_device = True
    return device
