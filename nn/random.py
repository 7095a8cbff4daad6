"""Tensors of random numbers, by torch's names. They depend on `manual_seed` alone, not on threads or the device."""

from __future__ import annotations

import numpy as np

from .doors import call, empty
from .rng import next_state
from .tensor import Tensor, as_tensor

__all__ = ["rand", "rand_like", "randint", "randn", "randn_like", "randperm"]

_INT64 = np.dtype(np.int64)


def _shape(size):
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        size = size[0]
    shape = tuple(int(n) for n in size)
    if any(n < 0 for n in shape):
        raise ValueError(f"expected sizes of 0 or more, got {shape}")
    return shape


def _filled(kernel, shape, dtype, device, *args):
    array = empty(shape, np.dtype(dtype), str(device))
    call(f"random.{kernel}_forward", array, next_state(array.size, str(device)), *args)
    return array


def rand(*size, dtype=np.float32, device="cpu", requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1)."""
    return Tensor(_filled("uniform", _shape(size), dtype, device, 0.0, 1.0), requires_grad)


def randn(*size, dtype=np.float32, device="cpu", requires_grad: bool = False) -> Tensor:
    """Standard normal."""
    return Tensor(_filled("normal", _shape(size), dtype, device, 0.0, 1.0), requires_grad)


def rand_like(input, requires_grad: bool = False) -> Tensor:
    """`rand` of input's shape, dtype and device."""
    x = as_tensor(input)
    return rand(x.shape, dtype=x.dtype, device=x.device, requires_grad=requires_grad)


def randn_like(input, requires_grad: bool = False) -> Tensor:
    """`randn` of input's shape, dtype and device."""
    x = as_tensor(input)
    return randn(x.shape, dtype=x.dtype, device=x.device, requires_grad=requires_grad)


def randint(low: int, high=None, size=None, *, dtype=_INT64, device="cpu") -> Tensor:
    """Integers in [low, high); with one bound, in [0, low). As in torch, `size` may take the place of `high`."""
    if size is None and high is not None and not isinstance(high, (int, np.integer)):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint: expected randint(high, size) or randint(low, high, size)")
    if high <= low:
        raise ValueError(f"randint: expected low < high, got low {low}, high {high}")
    drawn = Tensor(_filled("randint", _shape((size,)), _INT64, device, int(low), int(high)))
    return drawn if np.dtype(dtype) == _INT64 else drawn.to(dtype)


def randperm(n: int, *, dtype=_INT64, device="cpu") -> Tensor:
    """A random order of 0 .. n - 1."""
    order = Tensor(_filled("permutation", _shape((n,)), _INT64, device))
    return order if np.dtype(dtype) == _INT64 else order.to(dtype)
