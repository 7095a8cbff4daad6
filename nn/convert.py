"""A tensor's ways to other dtypes, devices and types: NumPy, DLPack, Python numbers, text, copies and pickles."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from . import dtypes
from .device import as_device, cuda_device
from .doors import copy_into, empty, from_host, same_device, to_host
from .sparse import SparseGradient

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Conversions"]

# in the class some of these names are methods
Text: TypeAlias = str
Flag: TypeAlias = bool
Real: TypeAlias = float
Whole: TypeAlias = int
# what an instance's dictionary holds besides a user's attributes
_INTERNAL = ("_place", "_retained")


class Conversions:
    """The part of Tensor that leads out of it."""

    __slots__ = ()

    _data: Any
    _node: Any
    _requires_grad: Flag
    _has_grad: Flag
    _grad_buffer: Any
    __dict__: dict[Text, Any]

    # ---- to another dtype or device; the gradient comes back the same way

    def to(self, *args: Any, dtype: Any = None, device: Any = None, copy: Flag = False, non_blocking=False) -> Any:
        """to(dtype), to(device), to(device, dtype), to(tensor): itself when nothing changes, unless `copy`."""
        from .cast import Cast, Move

        for arg in args:
            if isinstance(arg, Conversions):
                device, dtype = same_device(arg._data), arg._data.dtype
            elif isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda"):
                device = arg
            elif type(arg) is int:
                device = cuda_device(arg)
            elif not isinstance(arg, Flag):
                dtype = arg
        dtype, device = dtypes.as_dtype(dtype), as_device(device)
        out: Any = self
        if device is not None and device != same_device(self._data):
            out = Move.apply(out, device)
        if (dtype is not None and dtype != self._data.dtype) or (copy and out is self):
            out = Cast.apply(out, dtype or self._data.dtype)
        return out

    def clone(self) -> Any:
        """A copy in memory of its own, on the tape."""
        return self.to(copy=True)

    def contiguous(self) -> Any:
        """Itself when its elements lie in order, else a copy."""
        return self if self._data.flags.c_contiguous else self.clone()

    def type_as(self, other: Tensor) -> Any:
        if not isinstance(other, Conversions):
            raise TypeError(f"type_as: expected a Tensor, got {type(other).__name__}")
        return self.to(other._data.dtype)

    def float(self) -> Any:
        return self.to(dtypes.float32)

    def double(self) -> Any:
        return self.to(dtypes.float64)

    def half(self) -> Any:
        """In float16, which only CUDA computes with."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Any:
        """In bfloat16, which only CUDA computes with."""
        return self.to(dtypes.bfloat16())

    def int(self) -> Any:
        return self.to(dtypes.int32)

    def long(self) -> Any:
        return self.to(dtypes.int64)

    def bool(self) -> Any:
        return self.to(dtypes.bool_)

    def cpu(self) -> Any:
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> Any:
        """On the device; 0 and None are names of it, too."""
        return self.to(device=cuda_device(device))

    # ---- to NumPy and other libraries

    def numpy(self) -> np.ndarray:
        """The tensor's own array, gradient or not."""
        if not isinstance(self._data, np.ndarray):
            raise TypeError("numpy(): expected a tensor on the CPU, got one on cuda; call cpu() first")
        return self._data

    def __array__(self, dtype: Any = None, copy: Flag | None = None) -> np.ndarray:
        array = self.numpy()
        if not copy and (dtype is None or dtype == array.dtype):
            return array
        return np.array(array, dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        # as few options as were given: NumPy 2.0 takes `stream` alone
        return self._exporter("__dlpack__")(**{name: value for name, value in options.items() if value is not None})

    def __dlpack_device__(self) -> Any:
        return self._exporter("__dlpack_device__")()

    def _exporter(self, name: Text) -> Any:
        method = getattr(self._data, name, None)
        if method is None:
            raise TypeError(f"{name}: arrays of type {type(self._data).__name__} do not offer DLPack")
        return method

    @property
    def __cuda_array_interface__(self) -> dict:
        if isinstance(self._data, np.ndarray):
            raise AttributeError("__cuda_array_interface__: the tensor is not on cuda")
        return self._data.__cuda_array_interface__

    # ---- to Python

    def item(self) -> Any:
        """The only element as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"item(): expected a tensor with one element, got shape {self._data.shape}")
        return to_host(self._data).item()

    def tolist(self) -> Any:
        return to_host(self._data).tolist()

    def __float__(self) -> Real:
        return Real(self.item())

    def __int__(self) -> Whole:
        return Whole(self.item())

    def __index__(self) -> Whole:
        if self._data.dtype.kind not in "biu":
            raise TypeError(f"expected an integer tensor as an index, got {self._data.dtype}")
        return Whole(self.item())

    def __bool__(self) -> Flag:
        if self._data.size != 1:
            raise ValueError(f"the truth of a tensor of shape {self._data.shape} is ambiguous: use any() or all()")
        return Flag(self.item())

    def __len__(self) -> Whole:
        if not self._data.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self._data.shape[0]

    def __repr__(self) -> Text:
        array = to_host(self._data)
        parts = [np.array2string(array, separator=", ", prefix="tensor(")]
        if array.size == 0 and array.shape != (0,):
            parts.append(f"size={array.shape}")
        if array.dtype not in (dtypes.float32, dtypes.int64, dtypes.bool_):
            parts.append(f"dtype={array.dtype}")
        if not isinstance(self._data, np.ndarray):
            parts.append("device='cuda'")
        if self._node is not None:
            parts.append(f"grad_fn=<{self._node.name()}>")
        elif self._requires_grad:
            parts.append("requires_grad=True")
        return f"tensor({', '.join(parts)})"

    def __format__(self, spec: Text) -> Text:
        return format(self.item(), spec) if not self._data.shape else format(repr(self), spec)

    # ---- copies and pickles

    def _only_leaves(self, what: Text) -> None:
        if self._node is not None:
            raise RuntimeError(f"{what}: expected a leaf tensor, got a result on the tape; detach() it first")

    def _attributes(self) -> dict[Text, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _INTERNAL}

    def __deepcopy__(self, memo: dict) -> Self:
        self._only_leaves("deepcopy")
        array = empty(self._data.shape, self._data.dtype, same_device(self._data))
        copy_into(array, self._data)
        out: Any = rebuild(type(self), array, self._requires_grad, "cpu", {})
        memo[id(self)] = out
        out.__dict__.update(copy.deepcopy(self._attributes(), memo))
        if self._has_grad:
            gradient = self._grad_buffer
            if type(gradient) is SparseGradient:
                out.grad = gradient.to(None, None)
            else:
                copy_into(out._gradient(), gradient)
                out._has_grad = True
        return out

    def __reduce_ex__(self, protocol: Any) -> tuple:
        self._only_leaves("pickle")
        device = same_device(self._data)
        return rebuild, (type(self), to_host(self._data), self._requires_grad, device, self._attributes())


def rebuild(cls: type, array: np.ndarray, requires_grad: bool, device: str, attributes: dict) -> Any:
    """A tensor of class `cls` as it was pickled."""
    from .tensor import Tensor

    out: Any = object.__new__(cls)
    Tensor.__init__(out, from_host(array, device), requires_grad)
    out.__dict__.update(attributes)
    return out
