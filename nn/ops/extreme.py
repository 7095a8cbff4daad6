"""max min amax amin argmax argmin, and order: sort argsort topk."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..doors import call, contiguous, empty
from ..dtypes import int64, is_floating
from ..tape import Function
from ..tensor import Tensor, as_tensor, wrap
from .arithmetic import maximum, minimum
from .operands import dimension
from .reduce import frame

__all__ = ["Pair", "amax", "amin", "argmax", "argmin", "argsort", "max", "min", "sort", "topk"]


class Pair(NamedTuple):
    """What max(dim), min(dim), sort and topk give."""

    values: Tensor
    indices: Tensor


class Extreme(Function):
    """Values and positions along one dimension; the gradient goes to the position found."""

    wide = True

    @staticmethod
    def forward(ctx, x, O, R, I, shape, op):
        y, indices = empty((O, I), x.dtype, ctx.device), empty((O, I), int64, ctx.device)
        call(f"extreme.{op}_forward", y, indices, x.reshape(O, R, I))
        ctx.sizes, ctx.x_shape = (O, R, I), x.shape
        ctx.save(indices)
        return y.reshape(shape), indices.reshape(shape)

    @staticmethod
    def backward(ctx, dy, _):
        O, R, I = ctx.sizes
        dx = empty((O, R, I), dy.dtype, ctx.device)
        call("extreme.max_backward", dx, dy.reshape(O, I), ctx.saved[0])
        return dx.reshape(ctx.x_shape), None, None, None, None, None


class AMax(Function):
    """Values alone; the gradient is shared by all that equal them."""

    wide = True

    @staticmethod
    def forward(ctx, x, O, R, I, shape, op):
        y = empty((O, I), x.dtype, ctx.device)
        call(f"extreme.{op}_forward", y, empty((0, 0), int64, ctx.device), x.reshape(O, R, I))
        ctx.sizes = O, R, I
        y = y.reshape(shape)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.saved
        O, R, I = ctx.sizes
        dx = empty(x.shape, x.dtype, ctx.device)
        call("extreme.amax_backward", dx.reshape(O, R, I), dy.reshape(O, I), x.reshape(O, R, I), y.reshape(O, I))
        return dx, None, None, None, None, None


def _extreme(op: str, x: Any, dim: Any, keepdim: bool) -> Any:
    x = as_tensor(x)
    if dim is None:
        return AMax.apply(*frame(x, None, False, op), op)
    if isinstance(dim, (Tensor, list)) or hasattr(dim, "shape"):
        return (maximum if op == "max" else minimum)(x, dim)
    return Pair(*Extreme.apply(*frame(x, dimension(dim, x.ndim, op), keepdim, op), op))


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with a dimension the pair (values, indices) along it; with a tensor, `maximum`."""
    return _extreme("max", x, dim, keepdim)


def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with a dimension the pair (values, indices) along it; with a tensor, `minimum`."""
    return _extreme("min", x, dim, keepdim)


def amax(x: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The largest along dimensions; equal elements share the gradient"""
    return AMax.apply(*frame(as_tensor(x), dim, keepdim, "amax"), "max")


def amin(x: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The smallest along dimensions; equal elements share the gradient"""
    return AMax.apply(*frame(as_tensor(x), dim, keepdim, "amin"), "min")


def _position(op: str, x: Any, dim: Any, keepdim: bool) -> Tensor:
    x = as_tensor(x).detach()
    if x.dtype.itemsize == 2 and is_floating(x.dtype):
        x = x.float()
    if dim is None:
        O, R, I, shape = 1, x.numel(), 1, (1,) * x.ndim if keepdim else ()
    else:
        x, O, R, I, shape = frame(x, dimension(dim, x.ndim, f"arg{op}"), keepdim, f"arg{op}")
    y, indices = empty((O, I), x.dtype, x.device), empty((O, I), int64, x.device)
    call(f"extreme.{op}_forward", y, indices, contiguous(x._data).reshape(O, R, I))
    return wrap(indices.reshape(shape), None, 0)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the first largest element"""
    return _position("max", x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the first smallest element"""
    return _position("min", x, dim, keepdim)


class Order(Function):
    """The first K in order along the last dimension."""

    wide = True

    @staticmethod
    def forward(ctx, x, K, descending):
        R = x.shape[-1]
        shape = (*x.shape[:-1], K)
        y, indices = empty(shape, x.dtype, ctx.device), empty(shape, int64, ctx.device)
        N = y.size // K if K else 0
        kernel = "sort.sort_forward" if K == R else "sort.topk_forward"
        if K:
            call(kernel, y.reshape(N, K), indices.reshape(N, K), x.reshape(N, R), descending)
        ctx.sizes, ctx.x_shape = (N, R, K), x.shape
        ctx.save(indices)
        return y, indices

    @staticmethod
    def backward(ctx, dy, _):
        N, R, K = ctx.sizes
        dx = empty(ctx.x_shape, dy.dtype, ctx.device)
        if K:
            sizes = (N, K, 1)
            call("index.gather_backward", dx.reshape(N, R, 1), dy.reshape(sizes), ctx.saved[0].reshape(sizes), False)
        else:
            call("elementwise.fill_forward", dx, 0.0)
        return dx, None, None


def _ordered(x: Tensor, K: int | None, dim: int, descending: bool, what: str) -> Pair:
    if x.ndim == 0:
        values, indices = _ordered(x.reshape(1), K, 0, descending, what)
        return Pair(values.reshape(()), indices.reshape(()))
    dim = dimension(dim, x.ndim, what)
    R = x.shape[dim]
    if K is not None and not 0 <= K <= R:
        raise ValueError(f"{what}: expected k in 0 .. {R}, the size of dimension {dim}, got {K}")
    values, indices = Order.apply(x.transpose(dim, -1), R if K is None else K, bool(descending))
    return Pair(values.transpose(dim, -1), indices.transpose(dim, -1))


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Pair:
    """(values, indices) in order along a dimension; equals keep theirs, NaN counts as the largest"""
    return _ordered(as_tensor(x), None, dim, descending, "sort")


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The positions that put a dimension in order"""
    return sort(as_tensor(x).detach(), dim, descending).indices


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Pair:
    """(values, indices) of the k largest (or smallest) along a dimension, in order"""
    return _ordered(as_tensor(x), k, dim, largest, "topk")


def attach(cls: Any) -> None:
    for function in (max, min, amax, amin, argmax, argmin, sort, argsort, topk):
        setattr(cls, function.__name__, function)
