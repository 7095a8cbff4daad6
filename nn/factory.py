"""What every layer needs to make and to train a parameter."""

from __future__ import annotations

import numpy as np

from .device import as_device
from .doors import call, empty
from .dtypes import as_dtype
from .parameter import Parameter

FLOAT32 = np.dtype(np.float32)
FLOATS = (FLOAT32, np.dtype(np.float64))


def float_dtype(dtype) -> np.dtype:
    """`dtype=` of a layer as a NumPy dtype; None is float32."""
    chosen = FLOAT32 if dtype is None else as_dtype(dtype)
    if chosen not in FLOATS:
        raise TypeError(f"expected a dtype of float32 or float64, got {chosen}")
    return chosen


def new_parameter(shape: tuple[int, ...], device=None, dtype=None) -> Parameter:
    """A parameter whose values are yet to be drawn."""
    for size in shape:
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise TypeError(f"expected sizes as integers, got {size!r}")
        if size < 0:
            raise ValueError(f"expected sizes of 0 or more, got {shape}")
    return Parameter(empty(shape, float_dtype(dtype), as_device(device) or "cpu"))


def gradients_into(ctx, *indices: int) -> tuple:
    """Where the gradients of these arguments go (see `ctx.grad_into`), and then whether a kernel shall add to them."""
    arrays, holding = zip(*map(ctx.grad_into, indices), strict=True)
    accumulate = True in holding
    if accumulate and False in holding:
        # kernels have one flag for all: what holds nothing yet begins with zeros
        for array, holds in zip(arrays, holding, strict=True):
            if not holds:
                call("elementwise.fill_forward", array, 0.0)
    return *arrays, accumulate
