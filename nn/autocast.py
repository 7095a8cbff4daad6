"""Mixed precision: products in 16 bits, what needs range or exact sums in float32, decided operation by operation.

An operation (a Function) says by its attribute `autocast` what becomes of its floating arguments inside `autocast`:

    "half"   cast to the 16-bit dtype: products, in which the time goes
    "float"  16-bit arguments cast to float32: losses, softmax, norms, sums
    None     as they come

Parameters stay float32 and get float32 gradients: each cast is an operation on the tape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dtypes
from .doors import device_of
from .mode import mode

__all__ = ["autocast", "is_autocast_enabled"]


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether operations on such a device are cast in this thread."""
    return device_type == "cuda" and mode.autocast is not None


class autocast:
    """Inside, products run in 16 bits and the rest as is good for them: a context manager, and a decorator.

    device_type  "cuda": the CPU's kernels have no 16-bit floats
    dtype        float16 (the default; train with a GradScaler) or bfloat16
    enabled      False: no casts inside, also within another autocast

    Backward runs outside, in the dtypes of forward. As torch.autocast.
    """

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True) -> None:
        if device_type != "cuda":
            raise ValueError(f"autocast: expected device_type 'cuda', got {device_type!r}: 16-bit floats are CUDA's")
        chosen = dtypes.as_dtype(dtype) or dtypes.float16
        if not dtypes.is_floating(chosen) or chosen.itemsize != 2:
            raise ValueError(f"autocast: expected dtype float16 or bfloat16, got {chosen}")
        self._to = chosen if enabled else None
        self._before: list = []

    def __enter__(self) -> None:
        self._before.append(mode.autocast)
        mode.autocast = self._to

    def __exit__(self, *exc) -> None:
        mode.autocast = self._before.pop()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return run


def cast(function: Any, args: tuple) -> tuple:
    """The arguments of a Function as it wants them in this thread's autocast."""
    wanted = function.autocast
    if wanted is None:
        return args
    target = mode.autocast if wanted == "half" else dtypes.float32
    return tuple([_cast(value, target, wanted == "half") for value in args])


def dtype_of_16_bits(arrays: list) -> np.dtype | None:
    """The 16-bit float among the dtypes of arrays, if there is one."""
    for array in arrays:
        dtype = getattr(array, "dtype", None)
        if dtype is not None and dtype.itemsize == 2 and dtypes.is_floating(dtype):
            return dtype
    return None


def in_float32(function: Any, args: tuple, dtype: np.dtype) -> Any:
    """What a Function gives for its 16-bit arguments in float32: results of float32 are brought back to `dtype`."""
    from .cast import Cast

    results = function.apply(*[_cast(value, dtypes.float32, False) for value in args])
    many = results if type(results) is tuple else (results,)
    many = tuple([Cast.apply(y, dtype) if y.dtype == dtypes.float32 else y for y in many])
    return many if type(results) is tuple else many[0]


def _cast(value: Any, target: np.dtype, all_floats: bool) -> Any:
    from .cast import Cast

    array = getattr(value, "_data", value)
    dtype = getattr(array, "dtype", None)
    # float64 was asked for; it stays
    if dtype is None or dtype == target or not dtypes.is_floating(dtype) or dtype.itemsize > 4:
        return value
    if (not all_floats and dtype.itemsize > 2) or device_of(array) != "cuda":
        return value
    return Cast.apply(value, target)
