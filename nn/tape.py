"""The tape: one node an operation, made by `Function.apply`, walked by the engine (engine.py).

A node holds what backward needs: the arrays it saved, and for each argument where its gradient goes: to the node that
made the argument, or to the tensor itself when nothing made it (a leaf). Nodes point to earlier nodes and never to the
tensors they made, so a graph has no cycles and goes away with the last tensor that needs it.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .autocast import cast, dtype_of_16_bits, in_float32
from .doors import absent, adopt, contiguous, empty, same_device
from .mode import enable_grad, inference_mode, is_grad_enabled, mode, no_grad, set_grad_enabled
from .tensor import Tensor, fresh, version_of, wrap

__all__ = [
    "Context",
    "Function",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

_ndarray = np.ndarray
_PLAIN = frozenset({bool, float, int, str, tuple, type(None)})
_count = itertools.count(0, -1)


class Context:
    """A node of the tape, and the `ctx` that forward and backward of its Function share.

    needs    for each argument whether it needs a gradient
    device   where the arrays live, for `empty`
    saved    the arrays given to `save`

    Forward may set any other attribute for backward to find.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "device",
        "edges",
        "function",
        "grads",
        "handed",
        "hooks",
        "needs",
        "order",
        "outputs",
        "retained",
        "saved",
        "unit",
        "versions",
    )

    function: type[Function]
    device: str
    needs: list[bool]
    saved: Any
    # for each argument None, the leaf, or (the node that made it, as which of its outputs); None once let go
    edges: Any
    # later nodes have lower numbers
    order: int
    # (shape, dtype) of each, and while backward runs the gradients of each
    outputs: tuple
    grads: Any
    # (counter, value) of the tensors whose memory was saved
    versions: Any
    # of gradients of outputs, by the output's number
    hooks: dict | None
    # in backward: whether it may come again, and so whether what forward left must stay as it is; whether the gradient
    # of the first output is the number 1 that backward begins with; the leaves whose gradients grad_into has handed
    # out, None where it may not
    retained: bool
    unit: bool
    handed: set[Tensor] | None

    def save(self, *arrays) -> None:
        """Keep arrays for backward. Changing the tensors they belong to before that is an error there."""
        self.saved = arrays

    # torch's names
    save_for_backward = save

    @property
    def saved_tensors(self) -> tuple:
        return self.saved

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        return tuple(self.needs)

    def grad_into(self, i: int) -> tuple[Any, bool]:
        """Where backward shall write the gradient of argument `i`, and whether to add to what is there.

        For a leaf that is its own gradient, so that nothing is copied afterwards; else a fresh array. Backward returns
        the array in the argument's place. An argument that needs no gradient gets the absent array.
        """
        if not self.needs[i]:
            return absent(self.outputs[0][1]), False
        edge = self.edges[i]
        if type(edge) is tuple:
            node, index = edge
            shape, dtype = node.outputs[index]
            return empty(shape, dtype, self.device), False
        handed = self.handed
        # the same leaf may be several arguments: only the first may write into it
        if handed is None or edge in handed or edge._hooks:
            return empty(edge._data.shape, edge._data.dtype, self.device), False
        handed.add(edge)
        buffer = edge._grad_buffer
        return buffer if type(buffer) is _ndarray else edge._gradient(), edge._has_grad

    def name(self) -> str:
        return self.function.__name__


class Function:
    """A differentiable operation: subclass it with `forward` and `backward`, and call `apply`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> from hotloop.nn.doors import call, empty
    >>> class Double(nn.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = empty(x.shape, x.dtype, ctx.device)
    ...         call("elementwise.add_forward", y, x, x)
    ...         return y
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         dx = empty(dy.shape, dy.dtype, ctx.device)
    ...         call("elementwise.add_forward", dx, dy, dy)
    ...         return dx
    >>> x = nn.Tensor(np.ones(3, np.float32), requires_grad=True)
    >>> y = Double.apply(x)
    >>> y.backward(np.ones(3, np.float32))
    >>> x.grad
    array([2., 2., 2.], dtype=float32)

    Forward gets arrays (of tensors and as given) and plain values, and returns an array or a tuple of arrays. Backward
    gets the gradient of each output, contiguous, or None for an output that nothing used, and returns a gradient
    (or None) for every argument of forward. Both get arrays that nobody else may change, and must not change them.
    """

    # what becomes of floating arguments in mixed precision: "half", "float" or None, see autocast.py
    autocast: str | None = None
    # its kernels know no 16-bit floats: it runs in float32, and gives what it got
    wide = False
    # whether forward takes arrays of any strides; otherwise they are copied when they are not contiguous
    strided = False
    # whether backward takes gradients of any strides, likewise
    strided_backward = False

    @staticmethod
    def forward(ctx: Context, *args) -> Any:
        raise NotImplementedError("a Function defines forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Context, *grads) -> Any:
        raise NotImplementedError("a Function defines backward(ctx, ...)")

    @classmethod
    def apply(cls, *args) -> Any:
        """Run forward on tensors, arrays and values; record the node when an argument needs a gradient."""
        if mode.autocast is not None:
            args = cast(cls, args)
        if not mode.enabled:
            return cls._unrecorded(args)
        edges: list[Any] = [None] * len(args)
        arrays: list[Any] = []
        tensors, needs = [], [False] * len(args)
        device, recording, strided = "cpu", False, cls.strided
        for value in args:
            if isinstance(value, Tensor):
                tensors.append(value)
                if value._requires_grad:
                    i, node = len(arrays), value._node
                    recording = needs[i] = True
                    edges[i] = value if node is None else (node, value._index)
                if value._dense:
                    value = value._data
                else:
                    value, device = _array(value, strided, device)
            elif type(value) not in _PLAIN:
                value, device = _array(value, strided, device)
            arrays.append(value)
        if device != "cpu" and cls.wide and (dtype := dtype_of_16_bits(arrays)):
            return in_float32(cls, args, dtype)
        ctx = Context()
        ctx.function = cls
        ctx.device = device
        ctx.needs = needs
        ctx.edges = edges
        ctx.saved = ()
        result = cls.forward(ctx, *arrays)
        results = result if type(result) is tuple else (result,)
        node = ctx if recording else None
        outputs = tuple([wrap(y, node, i, tensors) for i, y in enumerate(results)])
        if recording:
            ctx.outputs = tuple([(y.shape, y.dtype) for y in results])
            ctx.order = next(_count)
            ctx.grads = ctx.hooks = None
            ctx.versions = _versions(ctx.saved, (*tensors, *outputs))
        return outputs if results is result else outputs[0]

    @classmethod
    def _unrecorded(cls, args: tuple) -> Any:
        """What `apply` does within no_grad: the same but for what only backward would read. Small layers feel it."""
        arrays: list[Any] = []
        device, strided = "cpu", cls.strided
        for value in args:
            if isinstance(value, Tensor):
                if value._dense:
                    value = value._data
                else:
                    value, device = _array(value, strided, device)
            elif type(value) not in _PLAIN:
                value, device = _array(value, strided, device)
            arrays.append(value)
        if device != "cpu" and cls.wide and (dtype := dtype_of_16_bits(arrays)):
            return in_float32(cls, args, dtype)
        ctx = Context()
        ctx.function = cls
        ctx.device = device
        ctx.needs = [False] * len(args)
        ctx.saved = ()
        result = cls.forward(ctx, *arrays)
        results = result if type(result) is tuple else (result,)
        outputs = []
        for array in results:
            # fresh memory, the usual case, is told from that of an argument at little cost
            own = type(array) is _ndarray and array.base is None
            for other in arrays:
                if other is array:
                    own = False
            if own:
                outputs.append(fresh(array))
            else:
                outputs.append(wrap(array, None, 0, [value for value in args if isinstance(value, Tensor)]))
        return tuple(outputs) if results is result else outputs[0]


def _array(value: Any, strided: bool, device: str) -> tuple[Any, str]:
    """A tensor or array as forward gets it, and where arrays live for all that is known now."""
    array = value._data if isinstance(value, Tensor) else value
    if type(array) is _ndarray:
        if not array.flags.c_contiguous:
            array = array if strided else contiguous(array)
        elif array is not value:
            value._dense = True
    elif isinstance(array, _ndarray):
        # a memory map, say
        array = array if strided else contiguous(array.view(_ndarray))
    elif hasattr(array, "__cuda_array_interface__"):
        array = adopt(array)
        device = same_device(array)
        array = array if strided else contiguous(array)
    return array, device


def _versions(saved: tuple, tensors: tuple) -> list:
    """The version counters of the tensors whose memory was saved, with their present values."""
    found, known = [], {id(tensor._data): tensor._version for tensor in reversed(tensors)}
    for array in saved:
        version = known.get(id(array))
        # memory of its own is nobody's; else it may be a view of some tensor's
        if version is None and not (type(array) is _ndarray and array.base is None):
            version = version_of(array, tensors)
        if version is not None:
            found.append((version, version[0]))
    return found
