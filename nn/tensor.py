"""Tensor: an array, its gradient, and its place on the tape. The operators are attached by the package `ops`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from .attached import Attached
from .convert import Conversions
from .described import Described
from .doors import adopt, call, contiguous, copy_into, empty, from_host, host_array, overlap, same_device, to_host
from .dtypes import is_floating
from .handle import RemovableHandle
from .mode import mode
from .pool import Block
from .sparse import SparseGradient

__all__ = ["Tensor", "as_array", "as_tensor", "fresh", "version_of", "wrap"]

_ndarray = np.ndarray
_new = object.__new__


class Tensor(Described, Conversions, Attached):
    """An n-dimensional array that remembers how it was made, so that gradients can flow back through it.

    `Tensor(array, requires_grad=False)` wraps a NumPy or CUDA array without copying; lists become float32.

    data           the array
    grad           the gradient that backward accumulated, an array (or a SparseGradient), or None; assignable
    requires_grad  whether operations on it are recorded

    `x += y` writes into x, but where a gradient flows through the result it makes a new tensor, `x = x + y`.
    """

    # _version: one counter for all tensors over the same memory; _node, _index: what made it, as which output
    # _dense: whether the array is known as a plain ndarray that is contiguous, found out when an operation asks first
    # _grad_buffer holds the gradient, or room for it; _has_grad says which
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_data",
        "_dense",
        "_grad_buffer",
        "_has_grad",
        "_hooks",
        "_index",
        "_loose",
        "_node",
        "_requires_grad",
        "_version",
    )

    _hooks: dict[float, Callable] | None  # of a leaf
    _loose: Any  # the gradient buffer when it was made here, and not handed over by an optimizer
    # rare: kept in the instance's dictionary when set
    _retained: Any = None

    # what backward runs: engine.py, which builds on this file, puts it here
    _engine: ClassVar[Callable[..., None]]

    # NumPy leaves `array * tensor` to the tensor
    __array_priority__ = 1000

    __hash__ = object.__hash__

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data._data
        elif type(data) is not _ndarray:
            data = as_array(data)
        elif (data.dtype.kind not in "biuf" and not is_floating(data.dtype)) or not data.dtype.isnative:
            data = host_array(data)
        self._data = data
        self._requires_grad = False
        self._node = None
        self._index = 0
        self._grad_buffer = self._loose = self._hooks = None
        self._has_grad = False
        self._version = [0]
        self._dense = False
        if requires_grad:
            self.requires_grad = True

    # ---- the array

    @property
    def data(self) -> Any:
        """The array. Assigning replaces it (a Parameter copies into its memory where shape, dtype and device agree)."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        array = value._data if isinstance(value, Tensor) else as_array(value)
        if array is not self._data:
            self._replace(array)

    def _replace(self, array) -> None:
        if self._requires_grad and not is_floating(array.dtype):
            raise TypeError(f"data: expected a floating dtype, since the tensor requires grad, got {array.dtype}")
        old = self._data
        if array.shape != old.shape or array.dtype != old.dtype or type(array) is not type(old):
            # the gradient does not fit any more
            self._grad_buffer, self._has_grad, self._loose = None, False, None
        self._data = array
        self._dense = False
        self._version = [0]

    # ---- gradients

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and not is_floating(self._data.dtype):
            raise TypeError(f"only tensors of floating dtype can require gradients, got {self._data.dtype}")
        if not value and self._node is not None:
            raise RuntimeError("only leaf tensors can stop requiring gradients; detach() the results of operations")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The node that made this tensor; None for a leaf."""
        return self._node

    @property
    def grad(self) -> Any:
        return self._grad_buffer if self._has_grad else None

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None:
            self._has_grad = False
            # whoever holds the old gradient may keep it; an optimizer's buffer stays
            if self._grad_buffer is self._loose:
                self._grad_buffer = self._loose = None
            return
        array = value._data if isinstance(value, Tensor) else value if type(value) is _ndarray else _as_gradient(value)
        data, buffer = self._data, self._grad_buffer
        if array.shape != data.shape:
            raise ValueError(f"grad: expected the tensor's shape {data.shape}, got {array.shape}")
        if array.dtype != data.dtype:
            raise TypeError(f"grad: expected the tensor's dtype {data.dtype}, got {array.dtype}; cast it first")
        given = array.values if type(array) is SparseGradient else array
        if (type(given) is _ndarray) != (type(data) is _ndarray):
            raise ValueError(f"grad: expected an array on {self.device}, got one on {same_device(given)}")
        if given is not array:
            self._grad_buffer = self._loose = array
        elif array is not buffer:
            if buffer is None or buffer is self._loose:
                self._grad_buffer = self._loose = contiguous(array)
            else:
                copy_into(buffer, array)
        self._has_grad = True

    def _gradient(self) -> Any:
        """The buffer for the gradient, made at first use; rows that are there go into it."""
        buffer = self._grad_buffer
        if buffer is None:
            data = self._data
            buffer = self._grad_buffer = self._loose = empty(data.shape, data.dtype, self.device)
        elif type(buffer) is SparseGradient:
            buffer = self._grad_buffer = self._loose = buffer.to_dense()
        return buffer

    def _zero_gradient(self) -> None:
        """Fill the gradient, where there is one, with zeros; one of few rows has none then."""
        if self._has_grad:
            if type(self._grad_buffer) is SparseGradient:
                self._grad_buffer.zero_()
            else:
                call("elementwise.fill_forward", self._grad_buffer, 0.0)

    def _add_rows(self, rows: SparseGradient) -> None:
        """Accumulate a gradient of few rows. It stays one until a gradient of all rows comes."""
        buffer = self._grad_buffer
        if not self._has_grad:
            self._grad_buffer = self._loose = rows
        elif type(buffer) is SparseGradient:
            self._grad_buffer = self._loose = buffer.plus(rows)
        else:
            rows.add_to(buffer)
        self._has_grad = True

    def backward(
        self, grad: Any = None, retain_graph: bool = False, create_graph: bool = False, *, gradient: Any = None
    ) -> None:
        """Accumulate this tensor's gradient into `.grad` of every leaf.

        `grad` weighs its elements; a scalar needs none. torch's name for it, `gradient`, is taken as well.
        """
        Tensor._engine((self,), (gradient if grad is None else grad,), retain_graph, create_graph)

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook(grad)` with the whole gradient (an array) when backward knows it; what it returns replaces it."""
        if not self._requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        return RemovableHandle(self._hook_table(), hook)

    def _hook_table(self) -> dict[float, Callable]:
        """Where the hooks are kept: by a leaf itself, else by the node that made the tensor."""
        if self._node is None:
            if self._hooks is None:
                self._hooks = {}
            return self._hooks
        if self._node.hooks is None:
            self._node.hooks = {}
        return self._node.hooks.setdefault(self._index, {})

    def retain_grad(self) -> None:
        """Keep `.grad` of a tensor that is not a leaf, too."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad: the tensor does not require a gradient")
        if self._node is not None and self._retained is None:
            from .engine import Retain

            self._retained = RemovableHandle(self._hook_table(), Retain(self), last=True)

    @property
    def retains_grad(self) -> bool:
        return self._retained is not None

    def detach(self) -> Tensor:
        """The same memory, off the tape."""
        out = Tensor(self._data)
        out._version = self._version
        return out

    def detach_(self) -> Self:
        self._node, self._index, self._requires_grad = None, 0, False
        return self

    # ---- changing in place

    def _writable(self, *operands: Any) -> Any:
        """The array, about to be changed in place: counted; refused where the tape would have to record it."""
        if mode.enabled:
            if self._requires_grad:
                if self._node is None:
                    raise RuntimeError(
                        "in-place change of a leaf that requires grad: wrap it in no_grad(), or write x = x + y"
                    )
                raise RuntimeError(
                    "in-place change of a result that requires grad: wrap it in no_grad(), or make a new tensor: "
                    "x = x + y for x.add_(y), where() or cat() for x[i] = y"
                )
            if any(isinstance(x, Tensor) and x._requires_grad for x in operands):
                raise RuntimeError(
                    "in-place change by a tensor that requires grad: detach it, or make a new tensor: "
                    "x = x + y for x.add_(y); for x[i] = y in a loop collect the y in a list, then stack() or cat() it"
                )
        self._version[0] += 1
        return self._data

    def copy_(self, source: Any) -> Self:
        """Overwrite with `source`, cast and broadcast."""
        array = source._data if isinstance(source, Tensor) else as_array(source)
        target = self._writable(source)
        if np.broadcast_shapes(array.shape, target.shape) != target.shape:
            raise ValueError(f"copy_: expected a shape that broadcasts to {target.shape}, got {array.shape}")
        if type(array) is not type(target):
            array = from_host(contiguous(to_host(array)), self.device)
        copy_into(target, array)
        return self

    def zero_(self) -> Self:
        return self.fill_(0.0)

    def fill_(self, value: float) -> Self:
        array = self._writable(value)
        number = float(value)
        if array.flags.c_contiguous:
            call("elementwise.fill_forward", array, number)
        else:
            one = empty((), array.dtype, self.device)
            call("elementwise.fill_forward", one, number)
            copy_into(array, one)
        return self


def wrap(array, node, index: int, sources=()) -> Tensor:
    """A tensor for output `index` of `node`; it shares the version counter of the source whose memory it looks at."""
    out = _new(Tensor)
    out._data = array
    if node is None or not is_floating(array.dtype):
        out._node = None
        out._requires_grad = False
    else:
        out._node = node
        out._requires_grad = True
    out._index = index
    out._grad_buffer = out._loose = out._hooks = None
    out._has_grad = out._dense = False
    out._version = version_of(array, sources) or [0]
    return out


def fresh(array) -> Tensor:
    """A tensor that no node made, over memory that no other tensor looks at."""
    out = _new(Tensor)
    out._data = array
    out._node = out._grad_buffer = out._loose = out._hooks = None
    out._requires_grad = out._has_grad = out._dense = False
    out._index = 0
    out._version = [0]
    return out


def version_of(array: Any, tensors: Sequence[Tensor]) -> list[int] | None:
    """The version counter of the tensor whose memory `array` looks at; None where it is memory of its own."""
    for tensor in tensors:
        if tensor._data is array:
            return tensor._version
    if type(array) is _ndarray:
        # the common cases first: memory of its own, then a view of the whole array, then slices of one buffer
        base = array.base
        if base is not None and type(base) is not Block:
            for tensor in tensors:
                if base is tensor._data or overlap(array, tensor._data):
                    return tensor._version
    elif array is not None:
        for tensor in tensors:
            if overlap(array, tensor._data):
                return tensor._version
    return None


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without copying where it can be: a tensor of that dtype and device comes back itself."""
    out = data if isinstance(data, Tensor) else Tensor(data)
    return out if dtype is None and device is None else out.to(dtype=dtype, device=device)


def _as_gradient(value: Any) -> Any:
    return value if type(value) is SparseGradient else as_array(value)


def as_array(data: Any) -> Any:
    """Data from anywhere as an array: CUDA arrays over the same memory, Python floats as float32."""
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, np.ndarray | np.generic):
        return host_array(data)
    try:
        return adopt(data)
    except TypeError:
        pass
    array = host_array(data)
    return host_array(array, np.float32) if array.dtype == np.float64 and not hasattr(data, "__array__") else array
