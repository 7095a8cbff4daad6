"""What all losses share: the operation on the tape, reductions, and operands of one dtype and shape.

The kernel of a loss computes in one pass the values and, where something needs them, the gradients for an upstream
gradient of one; backward multiplies them by the real one, which after `loss.backward()` is one and costs nothing.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from .doors import absent, call, empty
from .dtypes import float32, float64
from .module import Module
from .tape import Function
from .tensor import Tensor, as_tensor

NONE, MEAN, SUM = 0, 1, 2
_CODES = {"none": NONE, "mean": MEAN, "sum": SUM}
_FLOATS = (float32, float64)
_ndarray = np.ndarray


class FusedLoss(Function):
    """The loss of a kernel on `inputs`, by a plan: (kernel, slopes, shape, layout, scalars, reduction).

    slopes   how many of the inputs, the first, have gradients
    shape    of an unreduced loss
    layout   None for a loss of elements; else the shapes in which the kernel takes its inputs (None: as they are)
    scalars  what the kernel takes after the inputs
    """

    @staticmethod
    def forward(ctx, plan, *inputs):
        kernel, slopes, shape, layout, scalars, reduction = plan
        dtype, needs = inputs[0].dtype, ctx.needs
        ctx.shapes = [a.shape for a in inputs[:slopes]]
        if layout is not None:
            inputs = [a if s is None else a.reshape(s) for a, s in zip(inputs, layout, strict=True)]
        if True in needs[1 + slopes :]:
            raise ValueError(f"{_name(kernel)}: only the first {slopes} of its inputs may require a gradient")
        saved = [
            empty(inputs[i].shape, dtype, ctx.device) if needs[1 + i] else absent(dtype, ctx.device)
            for i in range(slopes)
        ]
        loss = empty(shape if reduction == NONE else (), dtype, ctx.device)
        call(kernel, loss.reshape(-1), *saved, *inputs, *scalars, reduction)
        ctx.gradients = saved
        ctx.rows = layout is not None
        return loss

    @staticmethod
    def backward(ctx, dloss):
        dloss = dloss.reshape(-1)
        results = [None] * len(ctx.needs)
        for i, (saved, shape) in enumerate(zip(ctx.gradients, ctx.shapes, strict=True), 1):
            if ctx.needs[i]:
                results[i] = _scaled(ctx, saved, dloss).reshape(shape)
        if not ctx.retained:
            # they hold the results now
            ctx.gradients = None
        return tuple(results)


def _scaled(ctx, saved, dloss):
    """saved times dloss: in place unless backward may come again."""
    flat = saved.reshape(_three(saved.shape) if ctx.rows else (saved.size, 1, 1))
    if ctx.retained:
        dx = empty(flat.shape, saved.dtype, ctx.device)
        call("loss.loss_backward", dx, dloss, flat)
    else:
        dx = flat
        call("loss.loss_backward", dx, dloss, absent(saved.dtype, ctx.device))
    return dx


def _three(shape):
    return shape if len(shape) == 3 else (*shape, 1)


def _name(kernel: str) -> str:
    return kernel.partition(".")[2].removesuffix("_forward")


def reduction_code(reduction: str) -> int:
    code = _CODES.get(reduction)
    if code is None:
        raise ValueError(f"reduction: expected 'none', 'mean' or 'sum', got {reduction!r}")
    return code


def legacy_reduction(size_average, reduce, reduction: str) -> str:
    """The reduction that torch's deprecated arguments stand for."""
    if size_average is None and reduce is None:
        return reduction
    size_average, reduce = size_average is None or size_average, reduce is None or reduce
    meant = "none" if not reduce else "mean" if size_average else "sum"
    warnings.warn(f"size_average and reduce are deprecated: use reduction={meant!r}", stacklevel=4)
    return meant


def one_dtype(*values) -> list:
    """The values as tensors of one floating dtype: the widest among them; whole numbers follow."""
    tensors = [v if isinstance(v, Tensor) else as_tensor(v) for v in values]
    dtype = tensors[0]._data.dtype
    if dtype in _FLOATS and all(t._data.dtype is dtype for t in tensors):
        return tensors
    floats = [t._data.dtype for t in tensors if t._data.dtype in _FLOATS]
    wanted = float64 if float64 in floats else float32
    return [t if t._data.dtype == wanted else t.to(wanted) for t in tensors]


def one_shape(name: str, *tensors) -> list:
    """The tensors broadcast to their common shape."""
    shape = tensors[0]._data.shape
    if all(t._data.shape == shape for t in tensors):
        return list(tensors)
    try:
        shape = np.broadcast_shapes(*(t._data.shape for t in tensors))
    except ValueError:
        shapes = ", ".join(str(t._data.shape) for t in tensors)
        raise ValueError(f"{name}: expected shapes that broadcast together, got {shapes}") from None
    return [t if t._data.shape == shape else t.expand(shape) for t in tensors]


def elementwise(kernel: str, slopes: int, reduction: str, tensors, scalars=()):
    """A loss of elements; the tensors have one dtype and shape, or are None: absent."""
    first = tensors[0]._data
    inputs = [absent(first.dtype) if t is None else t for t in tensors]
    return FusedLoss.apply((kernel, slopes, first.shape, None, scalars, reduction_code(reduction)), *inputs)


def rows(kernel: str, slopes: int, reduction: str, tensors, layout, shape, scalars=()):
    """A loss of rows: the kernel takes the tensors in the shapes of `layout`, the unreduced loss has `shape`."""
    inputs = [absent(tensors[0]._data.dtype) if t is None else t for t in tensors]
    return FusedLoss.apply((kernel, slopes, shape, layout, scalars, reduction_code(reduction)), *inputs)


def class_weight(name: str, weight, classes: int, dtype):
    """A weight for each class in the input's dtype, or None."""
    if weight is None:
        return None
    weight = as_tensor(weight)
    if weight._data.shape != (classes,):
        raise ValueError(f"{name}: weight: expected shape ({classes},), got {weight._data.shape}")
    return weight if weight._data.dtype == dtype else weight.to(dtype)


def as_labels(name: str, target) -> Tensor:
    """Class indices as int64."""
    target = as_tensor(target)
    if target._data.dtype.kind not in "iu":
        raise TypeError(f"{name}: target: expected whole numbers as class indices, got {target._data.dtype}")
    return target if target._data.dtype == np.int64 else target.to(np.dtype(np.int64))


def size(shape) -> int:
    return math.prod(shape)


class Loss(Module):
    """A criterion: `reduction` is "none", "mean" or "sum"; size_average and reduce are its deprecated names."""

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = legacy_reduction(size_average, reduce, reduction)


class WeightedLoss(Loss):
    """A criterion with the buffer `weight`."""

    def __init__(self, weight=None, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", buffer(weight))


def buffer(value):
    """What a layer keeps as a buffer: a tensor that needs no gradient, or None."""
    return None if value is None else as_tensor(value).detach()
