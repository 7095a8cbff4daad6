"""What operators accept: tensors, arrays and numbers, brought to one dtype as torch.result_type says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import is_floating, result_type
from ..tensor import Tensor, as_tensor

__all__ = [
    "as_float",
    "dimension",
    "dimensions",
    "inferred",
    "is_number",
    "is_operand",
    "number_with",
    "pair",
    "shape_of",
]

_NUMBERS = (float, int)


def is_number(x: Any) -> bool:
    """A Python or NumPy number; exact types first, they are the common case."""
    kind = type(x)
    return kind is not Tensor and (kind in _NUMBERS or isinstance(x, (bool, int, float, np.generic)))


def is_operand(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, list, tuple)) or is_number(x) or hasattr(x, "__cuda_array_interface__")


def pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two operands as tensors of one dtype."""
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a._data.dtype is b._data.dtype:
        return a, b
    if is_number(b) and isinstance(a, Tensor):
        b = _filled(a, b)
    elif is_number(a) and isinstance(b, Tensor):
        a = _filled(b, a)
    a, b = as_tensor(a), as_tensor(b)
    if a._data.dtype is b._data.dtype:
        return a, b
    dtype = result_type(a._data, b._data)
    return a.to(dtype), b.to(dtype)


def _filled(like: Tensor, number: Any) -> Tensor:
    """A number as a tensor without dimensions, of the dtype that the two will have."""
    from ..creation import full

    number = number.item() if isinstance(number, np.generic) else number
    return full((), number, dtype=result_type(like._data, number), device=like.device)


def number_with(x: Tensor, number: Any) -> tuple[Tensor, float]:
    """x in the dtype that it has together with a Python number, and the number as a kernel takes it."""
    if type(number) is float and is_floating(x._data.dtype):
        return x, number
    if isinstance(number, np.generic):
        number = number.item()
    dtype = result_type(x._data, number)
    if dtype.kind in "iu" and abs(number) > 1 << 53:
        raise OverflowError(f"expected an integer of at most 53 bits beside an integer tensor, got {number}")
    return x if x._data.dtype is dtype else x.to(dtype), float(number)


def as_float(x: Any) -> Tensor:
    """A tensor for a function of real numbers: integers and bools become float32."""
    x = as_tensor(x)
    return x if is_floating(x._data.dtype) else x.to(dtypes.float32)


def dimension(dim: Any, ndim: int, what: str) -> int:
    """A dimension counted from the front."""
    if not hasattr(dim, "__index__"):
        raise TypeError(f"{what}: expected dim to be an integer, got {dim!r}")
    dim, count = dim.__index__(), max(ndim, 1)
    if not -count <= dim < count:
        raise IndexError(f"{what}: expected dim in {-count} .. {count - 1}, got {dim}")
    return dim % count


def dimensions(dim: Any, ndim: int, what: str) -> tuple[int, ...]:
    """One dimension, several, or None for all, as sorted positions from the front."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        return (dimension(dim, ndim, what),) if ndim else ()
    dims = [dimension(d, ndim, what) for d in dim]
    if len(set(dims)) != len(dims):
        raise ValueError(f"{what}: expected each dimension once, got dim {dim}")
    return tuple(sorted(dims)) if ndim else ()


def shape_of(sizes: tuple, what: str) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for n in sizes:
        if not hasattr(n, "__index__"):
            raise TypeError(f"{what}: expected sizes as integers, got {n!r}")
    return tuple(n.__index__() for n in sizes)


def inferred(sizes: tuple[int, ...], numel: int, what: str) -> tuple[int, ...]:
    """The shape with its -1 replaced."""
    if sizes.count(-1) > 1:
        raise ValueError(f"{what}: expected at most one size of -1, got {sizes}")
    if -1 in sizes:
        known = math.prod(n for n in sizes if n != -1)
        if known <= 0 or numel % known:
            raise ValueError(f"{what}: {numel} elements do not fill a shape {sizes}")
        sizes = tuple(numel // known if n == -1 else n for n in sizes)
    if math.prod(sizes) != numel or min(sizes, default=0) < 0:
        raise ValueError(f"{what}: expected a shape of {numel} elements, got {sizes}")
    return sizes
