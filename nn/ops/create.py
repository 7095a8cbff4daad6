"""New tensors of a tensor's dtype and device, and random numbers: written in place, or drawn by a tensor's numbers."""

from __future__ import annotations

from typing import Any

from .. import creation, dtypes, init, sampling
from ..tensor import Tensor


def new_tensor(self: Tensor, data: Any, dtype: Any = None, device: Any = None, requires_grad=False) -> Tensor:
    """A copy of `data`"""
    like = dtypes.as_dtype(dtype) or self.dtype
    return creation.tensor(data, like, device or self.device, requires_grad)


def new_empty(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad=False) -> Tensor:
    """Of undefined contents"""
    return creation.empty(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def new_zeros(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad=False) -> Tensor:
    """Filled with zeros"""
    return creation.zeros(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def new_ones(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad=False) -> Tensor:
    """Filled with ones"""
    return creation.ones(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def new_full(
    self: Tensor, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad=False
) -> Tensor:
    """Filled with `fill_value`"""
    return creation.full(size, fill_value, dtype or self.dtype, device or self.device, requires_grad)


def normal_(self: Tensor, mean: float = 0, std: float = 1) -> Tensor:
    """Overwrite with normal random numbers"""
    self._writable()
    return init.normal_(self, mean, std)


def uniform_(self: Tensor, from_: float = 0, to: float = 1) -> Tensor:
    """Overwrite with random numbers uniform on [from_, to)"""
    self._writable()
    return init.uniform_(self, from_, to)


def attach(cls: Any) -> None:
    new = (new_tensor, new_empty, new_zeros, new_ones, new_full)
    for function in (*new, normal_, uniform_, sampling.bernoulli, sampling.multinomial):
        setattr(cls, function.__name__, function)
