"""Views: other shapes, orders of dimensions and parts of the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..doors import call, contiguous, copy_into, empty
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .broadcasting import broadcast_shape, plan, reduced
from .operands import dimension, dimensions, inferred, shape_of

__all__ = [
    "View",
    "broadcast_tensors",
    "broadcast_to",
    "diagonal",
    "expand",
    "flip",
    "movedim",
    "narrow",
    "permute",
    "reshape",
    "select",
    "squeeze",
    "t",
    "transpose",
    "unbind",
    "unsqueeze",
    "view",
]


class Reshape(Function):
    """A view where the memory allows it, else a copy."""

    strided = True

    @staticmethod
    def forward(ctx, x, shape):
        ctx.shape = x.shape
        return (x if x.flags.c_contiguous or _viewable(x, shape) else contiguous(x)).reshape(shape)

    @staticmethod
    def backward(ctx, dy):
        return dy.reshape(ctx.shape), None


def _viewable(x: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array that is not contiguous can have that shape without a copy."""
    try:
        return x.reshape(shape, copy=False) is not None
    except (ValueError, TypeError):
        return False


class Permute(Function):
    strided = True

    @staticmethod
    def forward(ctx, x, dims):
        ctx.dims = dims
        return x.transpose(dims)

    @staticmethod
    def backward(ctx, dy):
        back = [0] * len(ctx.dims)
        for i, d in enumerate(ctx.dims):
            back[d] = i
        return dy.transpose(back), None


class View(Function):
    """x[index] for a basic index: the gradient is written into zeros through the same view."""

    strided = True

    @staticmethod
    def forward(ctx, x, index):
        ctx.shape, ctx.index = x.shape, index
        return x[index]

    @staticmethod
    def backward(ctx, dy):
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        call("elementwise.fill_forward", dx, 0.0)
        copy_into(dx[ctx.index], dy)
        return dx, None


class Expand(Function):
    """Dimensions of size 1 repeated by strides of 0."""

    strided = True

    @staticmethod
    def forward(ctx, x, shape):
        ctx.shape = x.shape
        return np.broadcast_to(x, shape)

    @staticmethod
    def backward(ctx, dy):
        return reduced(dy, plan(ctx.shape, dy.shape).sums[0], ctx.shape, ctx.device), None


def reshape(x: Any, *shape: Any) -> Tensor:
    """Another shape of the same elements in order; one size may be -1; shares memory where it can"""
    x = as_tensor(x)
    return Reshape.apply(x, inferred(shape_of(shape, "reshape"), x._data.size, "reshape"))


def view(x: Tensor, *shape: Any) -> Tensor:
    """Another shape of the same memory; ValueError where that needs a copy"""
    if len(shape) == 1 and isinstance(shape[0], (np.dtype, type)):
        raise TypeError("view(dtype) is not supported: use to(dtype)")
    sizes = inferred(shape_of(shape, "view"), x._data.size, "view")
    if not x._data.flags.c_contiguous and not _viewable(x._data, sizes):
        raise ValueError(f"view: shape {x.shape}, strides {x.stride()} cannot be {sizes} without a copy: use reshape")
    return Reshape.apply(x, sizes)


def permute(x: Any, *dims: Any) -> Tensor:
    """Dimensions in another order; shares memory"""
    x = as_tensor(x)
    given = shape_of(dims, "permute")
    order = tuple(dimension(d, x.ndim, "permute") for d in given)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"permute: expected each of {x.ndim} dimensions once, got {given}")
    return Permute.apply(x, order)


def transpose(x: Any, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged; shares memory"""
    x = as_tensor(x)
    dim0, dim1 = dimension(dim0, x.ndim, "transpose"), dimension(dim1, x.ndim, "transpose")
    if dim0 == dim1:
        return x
    order = list(range(x.ndim))
    order[dim0], order[dim1] = dim1, dim0
    return Permute.apply(x, tuple(order))


def t(x: Any) -> Tensor:
    """The transpose of a matrix; vectors stay"""
    x = as_tensor(x)
    if x.ndim > 2:
        raise ValueError(f"t: expected at most two dimensions, got shape {x.shape}")
    return x if x.ndim < 2 else Permute.apply(x, (1, 0))


def movedim(x: Any, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other places, the rest in order"""
    x = as_tensor(x)
    source = source if isinstance(source, (tuple, list)) else (source,)
    destination = destination if isinstance(destination, (tuple, list)) else (destination,)
    pairs = {
        dimension(d, x.ndim, "movedim"): dimension(s, x.ndim, "movedim")
        for s, d in zip(source, destination, strict=True)
    }
    rest = iter(d for d in range(x.ndim) if d not in pairs.values())
    return permute(x, [pairs[i] if i in pairs else next(rest) for i in range(x.ndim)])


def squeeze(x: Any, dim: Any = None) -> Tensor:
    """Without dimensions of size 1, or without those of `dim` that have it"""
    x = as_tensor(x)
    dims = dimensions(dim, x.ndim, "squeeze")
    return Reshape.apply(x, tuple(n for i, n in enumerate(x.shape) if i not in dims or n != 1))


def unsqueeze(x: Any, dim: int) -> Tensor:
    """With a dimension of size 1 at `dim`"""
    x = as_tensor(x)
    dim = dimension(dim, x.ndim + 1, "unsqueeze")
    return View.apply(x, (slice(None),) * dim + (None,))


def expand(x: Any, *sizes: Any) -> Tensor:
    """Dimensions of size 1 repeated without copying; -1 keeps a size; do not write into the result"""
    x, shape = as_tensor(x), shape_of(sizes, "expand")
    before = len(shape) - x.ndim
    if before < 0:
        raise ValueError(f"expand: expected at least {x.ndim} sizes for shape {x.shape}, got {shape}")
    shape = tuple(x.shape[i - before] if n == -1 and i >= before else n for i, n in enumerate(shape))
    fits = all(n in (1, m) for n, m in zip(x.shape, shape[before:], strict=True))
    if min(shape, default=0) < 0 or not fits:
        raise ValueError(f"expand: shape {x.shape} does not expand to {shape}")
    return x if shape == x.shape else Expand.apply(x, shape)


def broadcast_to(x: Any, size: Any) -> Tensor:
    return expand(x, *size)


def broadcast_tensors(*tensors: Any) -> tuple:
    tensors = tuple(map(as_tensor, tensors))
    shape = broadcast_shape(*(x.shape for x in tensors))
    return tuple(expand(x, *shape) for x in tensors)


def narrow(x: Any, dim: int, start: int, length: int) -> Tensor:
    """`length` entries of a dimension from `start`; shares memory"""
    x = as_tensor(x)
    dim = dimension(dim, x.ndim, "narrow")
    n = x.shape[dim]
    start = start + n if start < 0 else start
    if not 0 <= start <= start + length <= n:
        raise IndexError(f"narrow: expected a range in 0 .. {n}, got start {start} and length {length}")
    return View.apply(x, (slice(None),) * dim + (slice(start, start + length),))


def select(x: Any, dim: int, index: int) -> Tensor:
    """Entry `index` of a dimension, which goes away; shares memory"""
    x = as_tensor(x)
    dim = dimension(dim, x.ndim, "select")
    if not -x.shape[dim] <= index < x.shape[dim]:
        raise IndexError(f"select: expected an index in {-x.shape[dim]} .. {x.shape[dim] - 1}, got {index}")
    return View.apply(x, (slice(None),) * dim + (index, Ellipsis))


def unbind(x: Any, dim: int = 0) -> tuple:
    """All entries of a dimension"""
    x = as_tensor(x)
    return tuple(select(x, dim, i) for i in range(x.shape[dimension(dim, x.ndim, "unbind")]))


def flip(x: Any, *dims: Any) -> Tensor:
    """Dimensions reversed: a copy"""
    x = as_tensor(x)
    chosen = dimensions(shape_of(dims, "flip"), x.ndim, "flip")
    index = tuple(slice(None, None, -1) if i in chosen else slice(None) for i in range(x.ndim))
    return View.apply(x, index).clone()


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last one"""
    x = as_tensor(x)
    dim1, dim2 = dimension(dim1, x.ndim, "diagonal"), dimension(dim2, x.ndim, "diagonal")
    x = movedim(x, (dim1, dim2), (-2, -1))
    n, m = x.shape[-2:]
    count = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    first = offset if offset >= 0 else -offset * m
    flat = x.reshape(*x.shape[:-2], n * m)
    return View.apply(flat, (Ellipsis, slice(first, first + (count - 1) * (m + 1) + 1 if count else first, m + 1)))


def attach(cls: Any) -> None:
    names = (reshape, view, permute, transpose, t, movedim, squeeze, unsqueeze, expand, broadcast_to, narrow, select)
    for function in (*names, unbind, flip, diagonal):
        setattr(cls, function.__name__, function)
    cls.swapaxes = cls.swapdims = transpose
    cls.view_as = lambda self, other: view(self, *other.shape)
    cls.reshape_as = lambda self, other: reshape(self, *other.shape)
    cls.expand_as = lambda self, other: expand(self, *other.shape)
    cls.T = property(lambda self: Permute.apply(self, tuple(range(self._data.ndim - 1, -1, -1))))
    cls.mT = property(lambda self: transpose(self, -2, -1))
    cls.flatten = lambda self, start_dim=0, end_dim=-1: _flatten(self, start_dim, end_dim)
    cls.ravel = lambda self: reshape(self, -1)
    cls.unflatten = lambda self, dim, sizes: _unflatten(self, dim, sizes)


def _flatten(x: Tensor, start_dim: int, end_dim: int) -> Tensor:
    from ..shape import flatten

    return flatten(x, start_dim, end_dim)


def _unflatten(x: Tensor, dim: int, sizes: Any) -> Tensor:
    from ..shape import unflatten

    return unflatten(x, dim, sizes)
