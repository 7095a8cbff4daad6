"""Tensors from data, and filled with a value or a sequence, by torch's names and arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import doors, dtypes
from .device import as_device
from .doors import call, copy_into, from_host, host_array, same_device
from .tensor import Tensor, as_array, as_tensor

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor over a copy of `data`: floats become float32, ints int64, bools bool; arrays keep their dtype."""
    source = as_array(data)
    dtype = dtypes.as_dtype(dtype) or source.dtype
    here = same_device(source)
    copy = doors.empty(source.shape, dtype, here)
    copy_into(copy, source)
    return Tensor(_on(copy, as_device(device) or here), requires_grad)


def from_numpy(array: Any) -> Tensor:
    """A tensor over the memory of a NumPy array."""
    if same_device(array) != "cpu":
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return Tensor(array)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of undefined contents."""
    array = doors.empty(_shape(size), dtypes.as_dtype(dtype) or dtypes.float32, as_device(device) or "cpu")
    return Tensor(array, requires_grad)


def full(size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value, by default of the value's dtype."""
    dtype = dtypes.as_dtype(dtype) or as_array(fill_value).dtype
    out = empty(_shape((size,)), dtype=dtype, device=device, requires_grad=requires_grad)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    if dtype.kind in "iu" and abs(value) > 1 << 53:
        # past what the kernel's float64 argument holds exactly
        copy_into(out._data, from_host(host_array(int(value), dtype), out.device))
    else:
        call("elementwise.fill_forward", out._data, float(value))
    return out


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return full(_shape(size), 0.0, dtype or dtypes.float32, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return full(_shape(size), 1.0, dtype or dtypes.float32, device, requires_grad)


def empty_like(x: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    array = as_array(x)
    return empty(
        array.shape, dtype=dtype or array.dtype, device=device or same_device(array), requires_grad=requires_grad
    )


def full_like(x: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    array = as_array(x)
    return full(array.shape, fill_value, dtype or array.dtype, device or same_device(array), requires_grad)


def zeros_like(x: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return full_like(x, 0.0, dtype, device, requires_grad)


def ones_like(x: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return full_like(x, 1.0, dtype, device, requires_grad)


def arange(
    start: float, end: float | None = None, step: float = 1, dtype: Any = None, device: Any = None, requires_grad=False
) -> Tensor:
    """start, start + step, ... below `end`: int64 from integers, else float32. `arange(end)` begins at 0."""
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if not all(math.isfinite(x) for x in (start, end, step)):
        raise ValueError(f"arange: expected finite numbers, got {start}, {end}, {step}")
    if step == 0:
        raise ValueError("arange: expected a step other than 0")
    if (end - start) * step < 0:
        raise ValueError(f"arange: expected a step from {start} towards {end}, got {step}")
    floating = any(isinstance(x, float) for x in (start, end, step))
    dtype = dtypes.as_dtype(dtype) or (dtypes.float32 if floating else dtypes.int64)
    out = empty(math.ceil((end - start) / step), dtype=dtype, device=device, requires_grad=requires_grad)
    call("elementwise.arange_forward", out._data, float(start), float(step))
    return out


def linspace(
    start: float, end: float, steps: int, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` values from `start` to `end`, both included."""
    dtype = dtypes.as_dtype(dtype) or dtypes.float32
    array = from_host(doors.host_linspace(start, end, steps, dtype), as_device(device) or "cpu")
    return Tensor(array, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    array = doors.host_eye(n, n if m is None else m, dtypes.as_dtype(dtype) or dtypes.float32)
    return Tensor(from_host(array, as_device(device) or "cpu"), requires_grad)


def _shape(size: tuple) -> tuple[int, ...]:
    """A shape given as one sequence or as its entries."""
    if len(size) == 1 and isinstance(size[0], Sequence):
        size = tuple(size[0])
    for n in size:
        if not hasattr(n, "__index__"):
            raise TypeError(f"expected sizes as integers, got {n!r}")
    shape = tuple(int(n) for n in size)
    if any(n < 0 for n in shape):
        raise ValueError(f"expected a shape without negative sizes, got {shape}")
    return shape


def _on(array: Any, device: str) -> Any:
    if same_device(array) == device:
        return array
    return from_host(doors.to_host(array), device)
