"""The backward engine: nodes run from the latest to the earliest, and are let go as they are done."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

import numpy as np

from .doors import call, contiguous, copy_into, empty, one, same_device
from .mode import mode
from .pool import Block
from .sparse import SparseGradient
from .tape import Context
from .tensor import Tensor

__all__ = ["backward", "grad"]

_ndarray = np.ndarray


def backward(outputs: Sequence[Tensor], grads: Sequence[Any], retain_graph=False, create_graph=False) -> None:
    """Accumulate into the leaves the gradient of the sum of `outputs`, each weighted by its entry of `grads`."""
    if create_graph:
        raise NotImplementedError("create_graph=True: gradients of gradients are not supported")
    seeds = [(t, _seed(t, g)) for t, g in zip(outputs, grads, strict=True)]
    _run(seeds, bool(retain_graph), seeds[0][1] if grads[0] is None else None)


Tensor._engine = backward


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple:
    """The gradients (arrays) of `outputs` with respect to `inputs`, leaving every `.grad` as it is.

    Only what lies between the two is computed and, unless `retain_graph`, let go. An input that the outputs do not
    depend on is an error, or None with `allow_unused`.
    """
    if create_graph:
        raise NotImplementedError("create_graph=True: gradients of gradients are not supported")
    outputs, inputs = _tensors("outputs", outputs), _tensors("inputs", inputs)
    if grad_outputs is None:
        grad_outputs = (None,) * len(outputs)
    elif not isinstance(grad_outputs, tuple | list):
        grad_outputs = (grad_outputs,)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: expected {len(outputs)} grad_outputs, one an output, got {len(grad_outputs)}")
    for i, tensor in enumerate(inputs):
        if not tensor._requires_grad:
            raise RuntimeError(f"grad: input {i} does not require a gradient")
    seeds = [(t, _seed(t, g)) for t, g in zip(outputs, grad_outputs, strict=True)]
    found: dict = {_place(t): None for t in inputs}
    _run(seeds, bool(retain_graph), None, found, _between(outputs, found))
    results = [found[_place(t)] for t in inputs]
    # nobody else shall know them
    found.clear()
    for i in range(len(results)):
        if results[i] is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {i}; allow_unused=True gives None for it")
        # one reference is the list's, one the function's: of an array of its own memory, no view is about either
        if getrefcount(results[i]) > 2 or not _is_whole(results[i]):
            results[i] = _copy(results[i])
    return tuple(results)


def _is_whole(array: Any) -> bool:
    """Whether an array is no view of another: those of the pool have a Block as their base."""
    return type(array) is _ndarray and (array.base is None or type(array.base) is Block)


def _copy(array: Any) -> Any:
    """An array of the caller's own: two gradients may look at the same memory."""
    if array is None or type(array) is SparseGradient:
        return array
    copy = empty(array.shape, array.dtype, same_device(array))
    copy_into(copy, array)
    return copy


def _tensors(what: str, value: Any) -> tuple[Tensor, ...]:
    tensors = (value,) if isinstance(value, Tensor) else tuple(value) if isinstance(value, Iterable) else (value,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"grad: expected tensors as {what}, got {type(tensor).__name__}")
    if not tensors:
        raise ValueError(f"grad: expected at least one tensor as {what}, got none")
    return tensors


def _seed(tensor: Tensor, grad: Any) -> Any:
    """The gradient that backward starts from."""
    data = tensor._data
    if not tensor._requires_grad:
        raise RuntimeError("backward: the tensor does not require a gradient and nothing that made it does")
    if grad is None:
        if data.size != 1:
            raise RuntimeError(f"backward: expected grad= for an output of shape {data.shape} (no scalar), got none")
        return one(data.shape, data.dtype, tensor.device)
    array = (grad if isinstance(grad, Tensor) else Tensor(grad))._data
    if array.shape != data.shape:
        raise ValueError(f"backward: expected grad of the output's shape {data.shape}, got {array.shape}")
    return _cast(array, data.dtype)


def _run(seeds: list, retain: bool, unit: Any, found: dict | None = None, between: Any = ()) -> None:
    """Run the nodes behind the seeds. With `found`, collect gradients there by place and leave the leaves alone.

    unit  a seed that is known to be the number 1, or None
    """
    heap: list[tuple[int, Context]] = []
    # gradients of leaves that are handed on when they are complete: those with hooks, or that `found` asks for
    late: dict[Tensor, Any] = {}
    enabled = mode.enabled
    mode.enabled = False
    try:
        for tensor, seed in seeds:
            if tensor._node is None:
                if found is None or (tensor, 0) in found:
                    _to_leaf(tensor, seed, late, found)
            else:
                _to_node(heap, tensor._node, tensor._index, seed)
        while heap:
            node = heappop(heap)[1]
            grads, node.grads = node.grads, None
            edges = node.edges
            if edges is None:
                raise RuntimeError(
                    f"backward through {node.name()} a second time: its saved arrays are gone; "
                    "call backward(retain_graph=True) the first time, or detach() what is carried on from there"
                )
            if node.hooks is not None:
                _run_hooks(node.hooks, grads, found is None)
                # a hook may have changed it
                unit = None
            node.unit = unit is not None and grads[0] is unit
            for i, dy in enumerate(grads):
                if dy is not None and not dy.flags.c_contiguous and not node.function.strided_backward:
                    grads[i] = contiguous(dy)
            for version, then in node.versions:
                if version[0] != then:
                    raise _changed(node, then, version[0])
            node.retained = retain
            if found is None:
                node.handed = set()
                results = node.function.backward(node, *grads)
            else:
                for i, dy in enumerate(grads):
                    if (node, i) in found:
                        found[node, i] = dy
                if node not in between:
                    continue
                results = _narrowed(node, grads, found, between)
            # let go of what is used up: its memory serves the next node
            grads = dy = None
            if type(results) is not tuple:
                results = (results,)
            if len(results) != len(edges):
                raise RuntimeError(
                    f"{node.name()}.backward: expected a gradient (or None) for each of the {len(edges)} arguments "
                    f"of forward, got {len(results)}"
                )
            for i, edge in enumerate(edges):
                if edge is None or (result := results[i]) is None:
                    continue
                if type(edge) is tuple:
                    behind, index = edge
                    shape, dtype = behind.outputs[index]
                    if result.shape != shape or result.dtype is not dtype:
                        result = _fitted(node, i, result, shape, dtype)
                    _to_node(heap, behind, index, result)
                elif result is edge._grad_buffer and found is None and not edge._hooks:
                    # written where it belongs: see Context.grad_into
                    edge._has_grad = True
                else:
                    data = edge._data
                    if result.shape != data.shape or result.dtype is not data.dtype:
                        result = _fitted(node, i, result, data.shape, data.dtype)
                    _to_leaf(edge, result, late, found)
            result = results = data = None
            node.handed = None
            if not retain:
                node.edges = node.saved = node.versions = None
            edge = edges = None
        for leaf, total in late.items():
            if leaf._hooks:
                total = _hooked(leaf._hooks, total)
            if found is None:
                _accumulate(leaf, total)
            else:
                found[_place(leaf)] = total
    finally:
        mode.enabled = enabled
        for _, node in heap:
            node.grads = None


def _run_hooks(hooks: dict, grads: list, retaining: bool) -> None:
    """Let the hooks of a node's outputs see and replace their gradients."""
    for i, table in hooks.items():
        if grads[i] is not None:
            grads[i] = _hooked(table, grads[i], retaining)


def _to_node(heap: list, node: Context, index: int, gradient: Any) -> None:
    pending = node.grads
    if pending is None:
        node.grads = pending = [None] * len(node.outputs)
        heappush(heap, (node.order, node))
    elif pending[index] is not None:
        gradient = _sum(pending[index], gradient)
    pending[index] = gradient


def _to_leaf(leaf: Tensor, gradient: Any, late: dict, found: dict | None) -> None:
    if found is None and not leaf._hooks:
        _accumulate(leaf, gradient)
    else:
        late[leaf] = gradient if leaf not in late else _sum_with_rows(late[leaf], gradient)


def _accumulate(leaf: Tensor, gradient: Any) -> None:
    """Add to `.grad`, unless backward has written there already (see Context.grad_into)."""
    if type(gradient) is SparseGradient:
        leaf._add_rows(gradient)
    elif gradient is not leaf._grad_buffer:
        buffer = leaf._gradient()
        if leaf._has_grad:
            call("elementwise.add_forward", buffer, buffer, contiguous(gradient))
        else:
            copy_into(buffer, gradient)
    leaf._has_grad = True


def _sum(a: Any, b: Any) -> Any:
    """A fresh array: the operands may be views of one gradient."""
    total = empty(a.shape, a.dtype, "cpu" if type(a) is _ndarray else same_device(a))
    call("elementwise.add_forward", total, contiguous(a), contiguous(b))
    return total


def _sum_with_rows(a: Any, b: Any) -> Any:
    """The same of gradients of a leaf, of which either may be a SparseGradient."""
    if type(a) is SparseGradient and type(b) is SparseGradient:
        return a.plus(b)
    return _sum(*(g.to_dense() if type(g) is SparseGradient else g for g in (a, b)))


def _hooked(hooks: dict, gradient: Any, retaining: bool = True) -> Any:
    """The gradient after all hooks have seen it, in the order they came; the one that retains it sees the last."""
    for key in sorted(hooks):
        hook = hooks.get(key)
        if hook is None or (type(hook) is Retain and not retaining):
            continue
        new = hook(gradient)
        if new is not None:
            if type(new) is not SparseGradient:
                new = (new if isinstance(new, Tensor) else Tensor(new))._data
            if new.shape != gradient.shape:
                raise RuntimeError(f"hook: expected a gradient of shape {gradient.shape}, got {new.shape}")
            gradient = _cast(new, gradient.dtype)
    return gradient


class Retain:
    """The hook behind `retain_grad`; it does not keep the tensor alive."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = weakref.ref(tensor)

    def __call__(self, gradient: Any) -> None:
        tensor = self._tensor()
        if tensor is not None:
            _accumulate(tensor, gradient)


def _fitted(node: Context, i: int, gradient: Any, shape: tuple, dtype: np.dtype) -> Any:
    """The gradient in its argument's dtype; its shape must be the argument's."""
    if gradient.shape != shape:
        raise RuntimeError(
            f"{node.name()}.backward: expected a gradient of shape {shape} for argument {i}, got {gradient.shape}"
        )
    return _cast(gradient, dtype)


def _cast(array: Any, dtype: np.dtype) -> Any:
    if array.dtype == dtype:
        return array
    if type(array) is SparseGradient:
        return array.to(None, dtype)
    cast = empty(array.shape, dtype, same_device(array))
    copy_into(cast, array)
    return cast


def _changed(node: Context, then: int, now: int) -> RuntimeError:
    return RuntimeError(
        f"a tensor that backward of {node.name()} needs was changed in place after it was used: expected "
        f"version {then}, got {now}; change a clone() of it, or change it after backward"
    )


# ---- grad: only what lies between outputs and inputs


def _place(tensor: Tensor) -> tuple:
    return (tensor, 0) if tensor._node is None else (tensor._node, tensor._index)


def _between(outputs: Sequence[Tensor], found: dict) -> set:
    """The nodes behind the outputs from which one of the places in `found` can be reached."""
    behind: dict[int, Context] = {}
    stack = [t._node for t in outputs if t._node is not None]
    while stack:
        node = stack.pop()
        if node.order not in behind:
            behind[node.order] = node
            stack += [edge[0] for edge in node.edges or () if type(edge) is tuple]
    between: set = set()
    # the earliest first: what a node leads to is then known
    for order in sorted(behind, reverse=True):
        node = behind[order]
        # one that was let go is run for its error
        edges = node.edges
        if edges is None or any(_wanted(edge, found, between) for edge in edges):
            between.add(node)
    return between


def _wanted(edge: Any, found: dict, between: set) -> bool:
    if type(edge) is tuple:
        return edge[0] in between or edge in found
    return edge is not None and (edge, 0) in found


def _narrowed(node: Context, grads: list, found: dict, between: set) -> Any:
    """Run backward for those arguments alone that lead to a place in `found`."""
    needs, node.handed = node.needs, None
    node.needs = [_wanted(edge, found, between) for edge in node.edges]
    try:
        results = node.function.backward(node, *grads)
        if type(results) is not tuple or len(results) != len(needs):
            return results
        return tuple([r if wanted else None for r, wanted in zip(results, node.needs, strict=True)])
    finally:
        node.needs = needs
