"""Arrays in, arrays out. `backend(array)` is the package of kernels that runs where the array lives."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["backend", "device_of"]


# DLPack's number of the kind of device
DLPACK_CUDA = 2


def submodules(package: str) -> Callable[[str], ModuleType]:
    """The `__getattr__` of a package whose submodules are attributes, loaded when they are first named."""

    def load(name: str) -> ModuleType:
        path = f"{package}.{name}"
        # underscored names are what Python asks modules for by itself
        if not name.startswith("_"):
            try:
                return importlib.import_module(path)
            except ModuleNotFoundError as error:
                if error.name != path:
                    raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load


__getattr__ = submodules(__name__)


def device_of(array: Any) -> str:
    """Where an array lives: "cpu" or "cuda". Imports nothing to find out."""
    if isinstance(array, np.ndarray):
        return "cpu"
    kind = type(array)
    # the simulator's arrays do not have the interface that real device arrays have
    if hasattr(array, "__cuda_array_interface__") or kind.__name__ == "FakeCUDAArray":
        return "cuda"
    if hasattr(array, "__dlpack_device__") and array.__dlpack_device__()[0] == DLPACK_CUDA:
        return "cuda"
    raise TypeError(f"expected a NumPy array or a CUDA array, got {kind.__module__}.{kind.__qualname__}")


def backend(array: Any) -> ModuleType:
    """`hotloop.kernels.cpu` for a NumPy array, `hotloop.kernels.cuda` for a CUDA array."""
    return importlib.import_module(f".{device_of(array)}", __name__)
