"""What a tensor says of its array: shape, dtype, device, layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import DEVICES, device
from .doors import same_device
from .dtypes import is_floating

__all__ = ["Described"]


class Described:
    """The part of Tensor that asks and changes nothing."""

    __slots__ = ()

    _data: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> device:
        """Where the array lives: "cpu" or "cuda"."""
        return DEVICES["cpu" if type(self._data) is np.ndarray else same_device(self._data)]

    @property
    def is_cuda(self) -> bool:
        return type(self._data) is not np.ndarray

    @property
    def ndim(self) -> int:
        return len(self._data.shape)

    def dim(self) -> int:
        return len(self._data.shape)

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry at `dim`."""
        return self._data.shape if dim is None else self._data.shape[dim]

    def numel(self) -> int:
        return self._data.size

    nelement = numel

    def element_size(self) -> int:
        return self._data.dtype.itemsize

    @property
    def itemsize(self) -> int:
        return self._data.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self._data.size * self._data.dtype.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Elements (not bytes) from one entry to the next along each dimension, or along `dim`."""
        strides = tuple(s // self._data.dtype.itemsize for s in self._data.strides)
        return strides if dim is None else strides[dim]

    def is_contiguous(self) -> bool:
        return bool(self._data.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        return is_floating(self._data.dtype)

    def data_ptr(self) -> int:
        """The address of the first element, on the CPU."""
        if not isinstance(self._data, np.ndarray):
            raise TypeError("data_ptr(): expected a tensor on the CPU, got one on cuda")
        return self._data.__array_interface__["data"][0]
