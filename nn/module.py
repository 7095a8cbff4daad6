"""The base class of every layer and model: calling with hooks, modes, conversion, state, and how it prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from . import hooks
from .device import as_device, cuda_device
from .dtypes import as_dtype, bfloat16, is_floating
from .lazy import is_lazy
from .members import MODULE, Members
from .sparse import SparseGradient
from .state_dict import IncompatibleKeys, collect
from .state_dict import load as load_state
from .tensor import Tensor

__all__ = ["Module"]


class Module(Members):
    """Base class of layers and models; attributes, methods and messages as torch.nn.Module.

    Assigning a Parameter or a Module to an attribute registers it; `forward` does the work.

    >>> from hotloop import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.out = nn.Linear(8, 2)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> net = Net()
    >>> net
    Net(
      (hidden): Linear(in_features=4, out_features=8, bias=True)
      (out): Linear(in_features=8, out_features=2, bias=True)
    )
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool
    # a class attribute until the first hook is registered, so that a call without hooks pays one look at it
    _hooks: hooks.Hooks | None = None

    def __init__(self) -> None:
        self.__dict__["training"] = True
        self.__dict__["_members"] = {}

    # ---- calling

    def __call__(self, *args, **kwargs):
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def _hook_tables(self) -> hooks.Hooks:
        tables = self._hooks
        if tables is None:
            tables = self.__dict__["_hooks"] = hooks.Hooks()
        return tables

    def register_forward_pre_hook(self, hook: Callable, *, prepend=False, with_kwargs=False) -> hooks.RemovableHandle:
        """Call `hook(module, args)` before every forward; what it returns, if anything, replaces the arguments.

        With `with_kwargs`, `hook(module, args, kwargs)` returns None or the pair (args, kwargs).
        """
        return hooks.add(self._hook_tables().before, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable, *, prepend=False, with_kwargs=False, always_call=False
    ) -> hooks.RemovableHandle:
        """Call `hook(module, args, output)` after every forward; what it returns, if anything, replaces the output.

        With `always_call` it is also called, with the output None, when forward raises.
        """
        return hooks.add(self._hook_tables().after, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(self, hook: Callable, prepend=False) -> hooks.RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` (tuples of arrays) when the inputs' gradients are known.

        What it returns, if anything, replaces grad_input.
        """
        return hooks.add(self._hook_tables().backward, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend=False) -> hooks.RemovableHandle:
        """Call `hook(module, grad_output)` before the backward of this module; what it returns replaces grad_output."""
        return hooks.add(self._hook_tables().backward_before, hook, prepend)

    # ---- changing every part

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children first, this one last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training mode (or, with False, evaluation mode) for this module and all below it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, *args, **kwargs) -> Self:
        """Move and cast in place: to(device), to(dtype), to(device, dtype), to(tensor).

        Only floating-point parameters and buffers are cast.
        """
        device, dtype = _destination(*args, **kwargs)
        return self._convert(device, dtype)

    def float(self) -> Self:
        """Floating-point parameters and buffers to float32."""
        return self._convert(None, np.dtype(np.float32))

    def double(self) -> Self:
        """Floating-point parameters and buffers to float64."""
        return self._convert(None, np.dtype(np.float64))

    def half(self) -> Self:
        """Floating-point parameters and buffers to float16, which only CUDA computes with."""
        return self._convert(None, np.dtype(np.float16))

    def bfloat16(self) -> Self:
        """Floating-point parameters and buffers to bfloat16, which only CUDA computes with."""
        return self._convert(None, bfloat16())

    def cpu(self) -> Self:
        return self._convert("cpu", None)

    def cuda(self, device: Any = "cuda") -> Self:
        return self._convert(cuda_device(device), None)

    def _convert(self, device: str | None, dtype: np.dtype | None) -> Self:
        for tensor in (*self.parameters(), *self.buffers()):
            if is_lazy(tensor):
                tensor.place(device, dtype)
                continue
            gradient = tensor.grad
            tensor.data = _converted(tensor.data, device, dtype)
            if gradient is not None:
                tensor.grad = _converted(gradient, device, dtype)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or with `set_to_none=False` fill those that exist with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            else:
                parameter._zero_gradient()

    # ---- state

    def state_dict(self, *, destination=None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, sharing memory with the module."""
        return collect(self, destination, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy Tensors, NumPy arrays or torch tensors by name into this module's storage, all of them or none.

        Returns the names that were missing and unexpected. With `strict`, and for a wrong shape or dtype always, raises
        an error that is both a RuntimeError and a ValueError and names each key with what was expected and what came.
        """
        return load_state(self, state_dict, strict)

    # ---- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What a layer prints between its parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._own(MODULE)]
        if not children and len(lines) == 1:
            return f"{self._get_name()}({lines[0]})"
        body = "\n  " + "\n  ".join(lines + children) + "\n" if lines + children else ""
        return f"{self._get_name()}({body})"


def _destination(*args, **kwargs) -> tuple[str | None, np.dtype | None]:
    """(device, dtype) of the arguments of Module.to."""
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    kwargs.pop("non_blocking", None)
    if kwargs:
        raise TypeError(f"to: unexpected arguments {sorted(kwargs)}")
    for value in args:
        if isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, str) and value.partition(":")[0] in ("cpu", "cuda"):
            device = value
        elif type(value) is int:
            device = cuda_device(value)
        elif value is not None and not isinstance(value, bool):
            dtype = value
    dtype = as_dtype(dtype)
    if dtype is not None and not is_floating(dtype):
        raise TypeError(f"to: expected float32 or float64, or 16-bit floats for CUDA, got {dtype}")
    return as_device(device), dtype


def _converted(array, device: str | None, dtype: np.dtype | None):
    """`array` on `device`, and of `dtype` when it is of a floating one; itself when it is that already."""
    if type(array) is SparseGradient:
        return array.to(device, dtype)
    return Tensor(array).to(device=device, dtype=dtype if is_floating(array.dtype) else None).data
