"""Functions a user attaches to a module: before and after forward, before and after backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .handle import RemovableHandle
from .tape import Function, is_grad_enabled
from .tensor import Tensor


def add(table: dict[float, Any], entry: Any, prepend: bool) -> RemovableHandle:
    """Put `entry` at the end of `table` (at its beginning with `prepend`)."""
    handle = RemovableHandle(table, entry)
    if prepend:
        for key in list(table)[:-1]:
            table[key] = table.pop(key)
    return handle


class Hooks:
    """The four hook tables of one module, and a call that goes through them."""

    def __init__(self) -> None:
        self.before: dict[float, tuple[Callable, bool]] = {}
        self.after: dict[float, tuple[Callable, bool, bool]] = {}
        self.backward: dict[float, Callable] = {}
        self.backward_before: dict[float, Callable] = {}

    def call(self, module, args: tuple, kwargs: dict):
        called: set[float] = set()
        try:
            return self._call(module, args, kwargs, called)
        except Exception:
            for key, (hook, with_kwargs, always) in list(self.after.items()):
                if always and key not in called:
                    hook(module, args, kwargs, None) if with_kwargs else hook(module, args, None)
            raise

    def _call(self, module, args: tuple, kwargs: dict, called: set[float]):
        for hook, with_kwargs in list(self.before.values()):
            if with_kwargs:
                result = hook(module, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"forward pre-hook must return None or a tuple of (args, kwargs), got {result}"
                        )
                    args, kwargs = result
            else:
                result = hook(module, args)
                if result is not None:
                    args = result if isinstance(result, tuple) else (result,)
        watch = None
        if (self.backward or self.backward_before) and is_grad_enabled():
            watch = _Watch(module, list(self.backward.values()), list(self.backward_before.values()))
            args = watch.inputs(args)
        output = module.forward(*args, **kwargs)
        for key, (hook, with_kwargs, _) in list(self.after.items()):
            called.add(key)
            result = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            if result is not None:
                output = result
        return watch.outputs(output) if watch is not None else output


class _Watch:
    """One forward call whose backward is reported: knows which arguments were tensors and what came out."""

    def __init__(self, module, after: list[Callable], before: list[Callable]) -> None:
        self.module, self.after, self.before = module, after, before
        self.n_inputs = 0
        self.input_places: list[int] | None = None
        self.output_places: list[int] = []
        self.grad_output: tuple | None = None

    def inputs(self, args: tuple) -> tuple:
        self.n_inputs = len(args)
        places = [i for i, value in enumerate(args) if isinstance(value, Tensor)]
        if not any(args[i].requires_grad for i in places):
            return args
        self.input_places = places
        return _replaced(args, places, _InputGate.apply(self, *(args[i] for i in places)))

    def outputs(self, output):
        values = output if isinstance(output, tuple) else (output,)
        self.output_places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
        if not any(values[i].requires_grad for i in self.output_places):
            return output
        self.n_outputs = len(values)
        values = _replaced(
            values, self.output_places, _OutputGate.apply(self, *(values[i] for i in self.output_places))
        )
        if not isinstance(output, tuple):
            return values[0]
        # a named tuple, such as a PackedSequence, stays one
        return output._make(values) if hasattr(output, "_make") else values

    def at_outputs(self, grads: tuple) -> tuple:
        grad_output = _spread(self.n_outputs, self.output_places, grads)
        for hook in self.before:
            grad_output = _checked(hook(self.module, grad_output), grad_output, "pre hook", "grad_output")
        self.grad_output = grad_output
        if self.input_places is None:
            # no gate waits at the inputs: report here, with nothing to replace
            for hook in self.after:
                hook(self.module, (None,) * self.n_inputs, grad_output)
        return tuple(grad_output[i] for i in self.output_places)

    def at_inputs(self, grads: tuple) -> tuple:
        assert self.input_places is not None
        grad_input = _spread(self.n_inputs, self.input_places, grads)
        for hook in self.after:
            grad_input = _checked(hook(self.module, grad_input, self.grad_output), grad_input, "hook", "grad_input")
        return tuple(grad_input[i] for i in self.input_places)


class _InputGate(Function):
    """The identity; its backward runs when all gradients that leave the module through its inputs are there."""

    strided = True

    @staticmethod
    def forward(ctx, watch, *arrays):
        ctx.watch = watch
        return arrays

    @staticmethod
    def backward(ctx, *grads):
        return None, *ctx.watch.at_inputs(grads)


class _OutputGate(Function):
    """The identity; its backward runs when the gradients of the module's outputs are there."""

    strided = True

    @staticmethod
    def forward(ctx, watch, *arrays):
        ctx.watch = watch
        return arrays

    @staticmethod
    def backward(ctx, *grads):
        return None, *ctx.watch.at_outputs(grads)


def _replaced(values: tuple, places: list[int], new) -> tuple:
    out = list(values)
    for place, value in zip(places, new if isinstance(new, tuple) else (new,), strict=True):
        out[place] = value
    return tuple(out)


def _spread(n: int, places: list[int], values) -> tuple:
    out: list[Any] = [None] * n
    for place, value in zip(places, values, strict=True):
        out[place] = value
    return tuple(out)


def _checked(new, old: tuple, hook: str, what: str) -> tuple:
    if new is None:
        return old
    new = new if isinstance(new, tuple) else (new,)
    if len(new) != len(old):
        raise RuntimeError(f"backward {hook} returned {len(new)} values for {what}, expected {len(old)}")
    return tuple(value.data if isinstance(value, Tensor) else value for value in new)
