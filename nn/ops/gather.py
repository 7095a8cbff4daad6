"""Reading at positions given by an index tensor: gather, index_select, masked_select; nonzero and one_hot."""

from __future__ import annotations

import math
from typing import Any

from ..doors import call, contiguous, copy_into, empty
from ..dtypes import float32, int64
from ..tape import Function
from ..tensor import Tensor, as_tensor, wrap
from .broadcasting import broadcast_shape
from .operands import dimension
from .shape import View

__all__ = [
    "gather",
    "index_select",
    "masked_select",
    "nonzero",
    "one_hot",
    "take_along_dim",
]


def positions(index: Any, what: str) -> Any:
    """An index as a contiguous int64 array."""
    array = as_tensor(index)._data
    if array.dtype.kind not in "iu":
        # an empty list is floating, but there is nothing to misread
        if array.size:
            raise TypeError(f"{what}: expected integers as an index, got {array.dtype}")
    if array.dtype is not int64:
        array = as_tensor(index).detach().to(int64)._data
    return contiguous(array)


def checked(kernel: str, *args: Any, what: str, size: int, indices: Any) -> None:
    """Run a kernel that checks its indices; the error says which index was out of which range."""
    try:
        call(kernel, *args)
    except IndexError as error:
        tensor = wrap(indices, None, 0)
        low, high = tensor.amin().item(), tensor.amax().item()
        bad = low if low < -size else high
        raise IndexError(f"{what}: expected an index in {-size} .. {size - 1}, got {bad}") from error


def sizes_around(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def _places(ctx: Any, dy: Any) -> tuple[Any, bool, Any]:
    """Where the gradient is added up, whether something is there, and dy; those of 16 bits are added in float32."""
    if dy.dtype.itemsize > 2:
        return *ctx.grad_into(0), dy
    wide = empty(dy.shape, float32, ctx.device)
    copy_into(wide, dy)
    return empty(ctx.x_shape, float32, ctx.device), False, wide


class Select(Function):
    """y = x[..., indices, ...]: rows of (O, R, I) by a list of positions."""

    @staticmethod
    def forward(ctx, x, sizes, shape, indices, what):
        O, R, I = sizes
        y = empty((O, indices.size, I), x.dtype, ctx.device)
        flat = indices.reshape(-1)
        checked("index.select_forward", y, x.reshape(O, R, I), flat, what=what, size=R, indices=flat)
        ctx.sizes, ctx.x_shape = sizes, x.shape
        ctx.save(flat)
        return y.reshape(shape)

    @staticmethod
    def backward(ctx, dy):
        O, R, I = ctx.sizes
        (indices,) = ctx.saved
        dx, accumulate, dy = _places(ctx, dy)
        call("index.select_backward", dx.reshape(O, R, I), dy.reshape(O, indices.size, I), indices, accumulate)
        return dx, None, None, None, None


class Gather(Function):
    """y[o, k, i] = x[o, indices[o, k, i], i]"""

    @staticmethod
    def forward(ctx, x, dim, indices):
        O, R, I = sizes_around(x.shape, dim)
        K = indices.shape[dim]
        y = empty(indices.shape, x.dtype, ctx.device)
        args = y.reshape(O, K, I), x.reshape(O, R, I), indices.reshape(O, K, I)
        checked("index.gather_forward", *args, what="gather", size=R, indices=indices)
        ctx.sizes, ctx.x_shape = (O, R, K, I), x.shape
        ctx.save(indices)
        return y

    @staticmethod
    def backward(ctx, dy):
        O, R, K, I = ctx.sizes
        dx, accumulate, dy = _places(ctx, dy)
        indices = ctx.saved[0].reshape(O, K, I)
        call("index.gather_backward", dx.reshape(O, R, I), dy.reshape(O, K, I), indices, accumulate)
        return dx, None, None


def index_select(x: Any, dim: int, index: Any) -> Tensor:
    """The entries of a dimension at the positions of a vector"""
    x, indices = as_tensor(x), positions(index, "index_select")
    dim = dimension(dim, x.ndim, "index_select")
    if indices.ndim > 1:
        raise ValueError(f"index_select: expected a vector of positions, got shape {indices.shape}")
    shape = (*x.shape[:dim], indices.size, *x.shape[dim + 1 :])
    return Select.apply(x, sizes_around(x.shape, dim), shape, indices, "index_select")


def _narrowed(x: Tensor, dim: int, shape: tuple[int, ...], what: str) -> Tensor:
    """x cut to an index's shape but for `dim`."""
    if len(shape) != x.ndim or any(n > m for i, (n, m) in enumerate(zip(shape, x.shape, strict=True)) if i != dim):
        raise ValueError(f"{what}: expected an index no larger than {x.shape} but for dimension {dim}, got {shape}")
    if all(n == m for i, (n, m) in enumerate(zip(shape, x.shape, strict=True)) if i != dim):
        return x
    return View.apply(x, tuple(slice(None) if i == dim else slice(n) for i, n in enumerate(shape)))


def gather(x: Any, dim: int, index: Any) -> Tensor:
    """y[i][j] = x[index[i][j]][j] for dim 0, and so on; the index has as many dimensions as x"""
    x, indices = as_tensor(x), positions(index, "gather")
    if x.ndim == 0:
        return gather(x.reshape(1), 0, index).reshape(indices.shape)
    dim = dimension(dim, x.ndim, "gather")
    return Gather.apply(_narrowed(x, dim, indices.shape, "gather"), dim, indices)


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Tensor:
    """gather, with index and tensor broadcast against each other but for `dim`"""
    x, index = as_tensor(x), positions(indices, "take_along_dim")
    if dim is None:
        return Gather.apply(x.reshape(-1), 0, index.reshape(-1))
    dim = dimension(dim, x.ndim, "take_along_dim")
    if index.ndim != x.ndim:
        raise ValueError(f"take_along_dim: expected an index of {x.ndim} dimensions, got {index.ndim}")
    shape = list(broadcast_shape(*((*s[:dim], 1, *s[dim + 1 :]) for s in (x.shape, index.shape))))
    shape[dim] = index.shape[dim]
    index = wrap(index, None, 0).expand(shape).contiguous()._data
    shape[dim] = x.shape[dim]
    return Gather.apply(x.expand(shape), dim, index)


def true_positions(mask: Any, device: str) -> Any:
    """The flat positions of the elements of a contiguous bool array that are true."""
    count = empty((1,), int64, device)
    flat = mask.reshape(-1)
    call("reduce.count_forward", count, flat)
    found = empty((wrap(count, None, 0).item(),), int64, device)
    call("index.nonzero_forward", found, flat)
    return found


def nonzero(x: Any, as_tuple: bool = False) -> Any:
    """Positions of the elements that are not 0: a row each, or with as_tuple a vector for each dimension"""
    x = as_tensor(x).detach()
    flat = wrap(true_positions(contiguous(x.bool()._data), x.device), None, 0)
    columns: list = []
    for n in reversed(x.shape):
        columns.insert(0, flat % n if n else flat)
        flat = flat // n if n else flat
    if as_tuple:
        return tuple(columns)
    from .join import stack

    return stack(columns, 1) if columns else flat.reshape(-1, 0)


def masked_select(x: Any, mask: Any) -> Tensor:
    """The elements where a mask, which broadcasts with x, is true"""
    x, mask = as_tensor(x), as_tensor(mask)
    shape = broadcast_shape(x.shape, mask.shape)
    return x.expand(shape)[mask.expand(shape)]


def one_hot(labels: Any, num_classes: int = -1) -> Tensor:
    """int64 rows with a 1 at each label; num_classes -1: one more than the largest label"""
    labels = as_tensor(labels)
    indices = positions(labels, "one_hot")
    if num_classes < 0:
        if not indices.size:
            raise ValueError("one_hot: expected num_classes for no labels")
        num_classes = int(wrap(indices, None, 0).amax().item()) + 1
    flat = indices.reshape(-1)
    y = empty((flat.size, num_classes), int64, labels.device)
    try:
        call("index.one_hot_forward", y, flat)
    except IndexError as error:
        tensor = wrap(flat, None, 0)
        low, high = tensor.amin().item(), tensor.amax().item()
        got = low if low < 0 else high
        raise IndexError(f"one_hot: expected labels in 0 .. {num_classes - 1}, got {got}") from error
    return wrap(y.reshape(*indices.shape, num_classes), None, 0)


def attach(cls: Any) -> None:
    for function in (gather, index_select, take_along_dim, nonzero, masked_select):
        setattr(cls, function.__name__, function)
    cls.take = lambda self, index: take_along_dim(self, index).reshape(as_tensor(index).shape)
