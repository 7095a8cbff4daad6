"""A view of device memory that behaves as a NumPy array does when it is not computed with: shape, strides, slices.

Layers make views between kernel calls and must not care where an array lives, so this class has NumPy's words for
views, and nothing that would touch an element. It costs no call into the driver: a view is a few Python integers.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .half import stored_as

NO_ARITHMETIC = (
    "a CUDA array is memory, nothing computes with it: hotloop.as_tensor(array) is a Tensor over that memory"
)


class Flags(NamedTuple):
    """The flags that layers and checks ask for, by NumPy's names."""

    c_contiguous: bool
    writeable: bool = True
    aligned: bool = True


class Array:
    """Memory at `pointer` that `owner` keeps alive."""

    __slots__ = ("__weakref__", "_native", "dtype", "ndim", "owner", "pointer", "shape", "size", "strides")
    # NumPy's operators and functions stay away
    __array_ufunc__ = None

    def __init__(self, owner: Any, pointer: int, shape: tuple, dtype, strides: tuple | None = None, native=None):
        self.owner, self.pointer, self.shape, self.dtype = owner, pointer, tuple(shape), np.dtype(dtype)
        self.strides = _packed(self.shape, self.dtype.itemsize) if strides is None else tuple(strides)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        # what Numba launches with, made at the first launch
        self._native = native

    @property
    def __cuda_array_interface__(self) -> dict:
        strides = None if self.flags.c_contiguous else self.strides
        pointer = self.pointer if self.size else 0
        return {
            "shape": self.shape,
            "strides": strides,
            "typestr": self.dtype.str,
            "data": (pointer, False),
            "version": 3,
        }

    @property
    def numba_interface(self) -> dict:
        """The interface with a dtype that Numba knows: bfloat16 as uint16."""
        return self.__cuda_array_interface__ | {"typestr": stored_as(self.dtype).str}

    def __dlpack__(self, *, stream=None, **options):
        from . import dlpack

        return dlpack.export(self, stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        from . import dlpack

        return dlpack.device_of()

    def __array__(self, *args, **kwargs):
        raise TypeError("a CUDA array is no NumPy array: kernels.cuda.to_host or Tensor.cpu() copies it to the host")

    def __array_function__(self, function, types, args, kwargs):
        if function is np.broadcast_to:
            return _broadcast_to(*args, **kwargs)
        raise TypeError(f"numpy.{function.__name__} does not work on a CUDA array")

    def __repr__(self) -> str:
        return f"<CUDA array {self.dtype} {self.shape}>"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    @property
    def flags(self) -> Flags:
        packed = _packed(self.shape, self.dtype.itemsize)
        fits = all(n <= 1 or s == p for n, s, p in zip(self.shape, self.strides, packed, strict=True))
        return Flags(fits or self.size == 0)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def T(self) -> "Array":
        return self.transpose()

    def view_at(self, shape, strides, offset: int = 0) -> "Array":
        """Another view: strides, and the distance from this one's first element, in bytes."""
        return Array(self.owner, self.pointer + offset, shape, self.dtype, strides)

    def view(self, dtype) -> "Array":
        """The same bytes as another dtype of the same size."""
        dtype = np.dtype(dtype)
        if dtype.itemsize != self.dtype.itemsize:
            raise ValueError(f"expected a dtype of {self.dtype.itemsize} bytes, got {dtype}")
        return Array(self.owner, self.pointer, self.shape, dtype, self.strides)

    def reshape(self, *shape) -> "Array":
        """A view of another shape; ValueError where there is none, since nothing is copied here."""
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
            shape = tuple(shape[0])
        if -1 in shape:
            rest = math.prod(n for n in shape if n != -1)
            shape = tuple((self.size // rest if rest else 0) if n == -1 else n for n in shape)
        if math.prod(shape) != self.size:
            raise ValueError(f"cannot reshape an array of size {self.size} into shape {shape}")
        if self.flags.c_contiguous:
            return Array(self.owner, self.pointer, shape, self.dtype)
        # axes of size 1 come and go at any strides
        long = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        if [n for n, _ in long] != [n for n in shape if n != 1]:
            raise ValueError(f"a CUDA array with strides {self.strides} has no view of shape {shape}: copy it first")
        rest = iter(s for _, s in long)
        return self.view_at(shape, [0 if n == 1 else next(rest) for n in shape])

    def ravel(self) -> "Array":
        return self.reshape(-1)

    def transpose(self, *axes) -> "Array":
        if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
            axes = tuple(axes[0])
        axes = tuple(a % self.ndim for a in axes) or tuple(reversed(range(self.ndim)))
        if sorted(axes) != list(range(self.ndim)):
            raise ValueError(f"axes {axes} do not fit an array of {self.ndim} dimensions")
        return self.view_at([self.shape[a] for a in axes], [self.strides[a] for a in axes])

    def swapaxes(self, a: int, b: int) -> "Array":
        axes = list(range(self.ndim))
        axes[a], axes[b] = axes[b], axes[a]
        return self.transpose(axes)

    def squeeze(self, axis=None) -> "Array":
        if axis is None:
            gone = [i for i, n in enumerate(self.shape) if n == 1]
        else:
            gone = [a % self.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
        if any(self.shape[i] != 1 for i in gone):
            raise ValueError(f"cannot squeeze axes {gone} of shape {self.shape}: their size is not 1")
        kept = [i for i in range(self.ndim) if i not in gone]
        return self.view_at([self.shape[i] for i in kept], [self.strides[i] for i in kept])

    def __getitem__(self, index) -> "Array":
        """Integers, slices, None and `...`: views. An element comes as an array without dimensions."""
        index = index if isinstance(index, tuple) else (index,)
        taken = sum(i is not None and i is not Ellipsis for i in index)
        if taken > self.ndim:
            raise IndexError(f"too many indices: {taken} for an array of {self.ndim} dimensions")
        where = next((k for k, i in enumerate(index) if i is Ellipsis), len(index))
        index = index[:where] + (slice(None),) * (self.ndim - taken) + index[where + 1 :]
        shape, strides, offset, axis = [], [], 0, 0
        for i in index:
            if i is None:
                shape.append(1)
                strides.append(0)
                continue
            n, stride = self.shape[axis], self.strides[axis]
            axis += 1
            if isinstance(i, slice):
                begin, end, step = i.indices(n)
                count = len(range(begin, end, step))
                shape.append(count)
                strides.append(stride * step)
                offset += begin * stride if count else 0
            elif isinstance(i, (int, np.integer)) and not isinstance(i, bool):
                if not -n <= i < n:
                    raise IndexError(f"index {i} is out of bounds for an axis of size {n}")
                offset += int(i) % n * stride
            else:
                raise TypeError(f"a CUDA array takes integers, slices, None and ..., got {type(i).__name__}")
        return self.view_at(shape, strides, offset)

    def __setitem__(self, index, value) -> None:
        raise TypeError(NO_ARITHMETIC)


def _refused(self, other=None):
    # a Tensor on the other side computes
    if other is not None and not isinstance(other, (Array, np.ndarray, np.generic, int, float)):
        return NotImplemented
    raise TypeError(NO_ARITHMETIC)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Array, f"__{_name}__", _refused)
    setattr(Array, f"__r{_name}__", _refused)
for _name in ("neg", "abs"):
    setattr(Array, f"__{_name}__", _refused)


def _packed(shape, itemsize):
    strides = []
    for n in reversed(shape):
        strides.append(itemsize)
        itemsize *= max(n, 1)
    return tuple(reversed(strides))


def _broadcast_to(array, shape, subok=False):
    shape = tuple(shape)
    lead = len(shape) - array.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(array.shape, shape[lead:], strict=True)):
        raise ValueError(f"shape {array.shape} does not broadcast to {shape}")
    strides = [0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True)]
    return array.view_at(shape, [0] * lead + strides)
