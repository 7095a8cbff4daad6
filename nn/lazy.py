"""Parameters and buffers whose shape the first input decides, and the layers that have them."""

from __future__ import annotations

from typing import Any, ClassVar, TypeGuard

from .device import as_device
from .doors import empty
from .factory import float_dtype
from .members import Members
from .parameter import Parameter
from .tensor import Tensor

__all__ = ["LazyModule", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


class _Uninitialized(Tensor):
    """Knows dtype, device and requires_grad, and has neither shape nor numbers until `materialize`."""

    __slots__ = ()
    become: ClassVar[type]

    def materialize(self, shape: tuple[int, ...], device=None, dtype=None) -> None:
        """Become an ordinary Parameter or Tensor of this shape, in place; the numbers are yet to be drawn."""
        device = as_device(device) or self.device
        self._data = empty(shape, self._data.dtype if dtype is None else float_dtype(dtype), device)
        this: Any = self
        this.__class__ = self.become

    def place(self, device, dtype) -> None:
        """Change what `materialize` will make."""
        self._data = empty((0,), dtype or self._data.dtype, device or self.device)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict) -> Any:
        cls, arguments = self.__reduce_ex__(4)
        memo[id(self)] = twin = cls(*arguments)
        return twin

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return type(self), (self._requires_grad, self.device, self._data.dtype)


def _refuse(self, *args: Any) -> Any:
    raise RuntimeError(
        "an uninitialized parameter has no shape and no numbers; run the module on an input or load a state first"
    )


for _name in ("shape", "data"):
    setattr(_Uninitialized, _name, property(_refuse, _refuse))
for _name in ("__array__", "clone", "copy_", "detach", "fill_", "item", "numel", "numpy", "size", "tolist", "zero_"):
    setattr(_Uninitialized, _name, _refuse)


class UninitializedParameter(_Uninitialized, Parameter):
    """A Parameter without a shape yet, as torch.nn.UninitializedParameter."""

    __slots__ = ()
    become = Parameter

    def __init__(self, requires_grad: bool = True, device=None, dtype=None) -> None:
        Parameter.__init__(self, empty((0,), float_dtype(dtype), as_device(device) or "cpu"), requires_grad)


class UninitializedBuffer(_Uninitialized):
    """A buffer without a shape yet, as torch.nn.UninitializedBuffer."""

    __slots__ = ()
    become = Tensor

    def __init__(self, requires_grad: bool = False, device=None, dtype=None) -> None:
        array = empty((0,), float_dtype(dtype), as_device(device) or "cpu")
        Tensor.__init__(self, array, requires_grad)


def is_lazy(value: Any) -> TypeGuard[_Uninitialized]:
    """Whether `value` is a parameter or buffer without a shape."""
    return isinstance(value, _Uninitialized)


class LazyModule(Members):
    """Mixed into a layer before its class: the first call initializes it, and it is `cls_to_become` from then on.

    A subclass defines `initialize_parameters(*args, **kwargs)`, which gets what the call got.
    """

    cls_to_become: ClassVar[type]

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this layer still waits for its shape."""
        return any(is_lazy(value) for value in (*self._parameters.values(), *self._buffers.values()))

    def initialize_parameters(self, *args, **kwargs) -> None:
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.initialize_parameters(*args, **kwargs)
        this: Any = self
        this.__class__ = self.cls_to_become
        return this(*args, **kwargs)
