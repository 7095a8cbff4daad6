"""What all losses share: the operation on the tape, reductions, and operands of one dtype and shape.

The kernel of a loss computes in one pass the values and, where something needs them, the gradients for an upstream
gradient of one; backward multiplies them by the real one, which after `loss.backward()` is one and costs nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from .doors import absent, call, empty
from .dtypes import float32, float64, int64
from .module import Module
from .tape import Function
from .tensor import Tensor, as_tensor

NONE, MEAN, SUM = 0, 1, 2
_CODES = {"none": NONE, "mean": MEAN, "sum": SUM}
_FLOATS = (float32, float64)


class FusedLoss(Function):
    """The loss of a kernel on `inputs`, by a plan: (kernel, slopes, shape, layout, scalars, reduction).

    slopes   how many of the inputs, the first, have gradients
    shape    of an unreduced loss
    layout   the shapes in which the kernel takes its inputs (None: as they are)
    scalars  what the kernel takes after the inputs
    """

    autocast = "float"

    @staticmethod
    def forward(ctx, plan, *inputs):
        kernel, slopes, shape, layout, scalars, reduction = plan
        dtype, device, needs = inputs[0].dtype, ctx.device, ctx.needs
        arrays, shapes, gradients = [], [], []
        for i, given in enumerate(layout):
            array = absent(dtype, device) if inputs[i] is None else inputs[i]
            if i < slopes:
                shapes.append(array.shape)
            if given is not None:
                array = array.reshape(given)
            arrays.append(array)
            if i < slopes:
                here = array.shape
                gradients.append(empty(here, dtype, device) if needs[i + 1] else absent(dtype, device, len(here)))
            elif needs[i + 1]:
                raise ValueError(f"{_name(kernel)}: only the first {slopes} of its inputs may require a gradient")
        loss = empty(shape if reduction == NONE else (), dtype, device)
        call(kernel, loss.reshape(-1), *gradients, *arrays, *scalars, reduction)
        ctx.shapes, ctx.gradients = shapes, gradients
        return loss

    @staticmethod
    def backward(ctx, dloss):
        needs, results = ctx.needs, [None] * len(ctx.needs)
        for i, shape in enumerate(ctx.shapes):
            if needs[i + 1]:
                saved = ctx.gradients[i]
                if ctx.retained or not ctx.unit:
                    saved = _scaled(ctx, saved, dloss.reshape(-1))
                results[i + 1] = saved.reshape(shape)
        if not ctx.retained:
            # they hold the results now
            ctx.gradients = None
        return tuple(results)


def _scaled(ctx, saved, dloss):
    """saved times dloss: in place unless backward may come again."""
    shape = saved.shape
    saved = saved.reshape((*shape, 1, 1)[:3])
    if ctx.retained:
        dx = empty(saved.shape, saved.dtype, ctx.device)
        call("loss.loss_backward", dx, dloss, saved)
        return dx
    call("loss.loss_backward", saved, dloss, absent(saved.dtype, ctx.device, 3))
    return saved


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


def one_dtype(*values) -> Sequence:
    """The values as tensors of one floating dtype: the widest among them; whole numbers follow."""
    for value in values:
        if not isinstance(value, Tensor) or value._data.dtype is not float32:
            break
    else:
        # the common case: they are
        return values
    tensors = [as_tensor(v) for v in values]
    dtypes = [t._data.dtype for t in tensors]
    if dtypes[0] in _FLOATS and dtypes.count(dtypes[0]) == len(dtypes):
        return tensors
    wanted = float64 if float64 in dtypes else float32
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
    shape, layout = tensors[0]._data.shape, ((-1,),) * len(tensors)
    return FusedLoss.apply((kernel, slopes, shape, layout, scalars, reduction_code(reduction)), *tensors)


def rows(kernel: str, slopes: int, reduction: str, tensors, layout, shape, scalars=()):
    """A loss of rows: the kernel takes the tensors in the shapes of `layout`, the unreduced loss has `shape`."""
    return FusedLoss.apply((kernel, slopes, shape, layout, scalars, reduction_code(reduction)), *tensors)


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
    if target._data.dtype is int64:
        return target
    if target._data.dtype.kind not in "iu":
        raise TypeError(f"{name}: target: expected whole numbers as class indices, got {target._data.dtype}")
    return target.to(int64)


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
