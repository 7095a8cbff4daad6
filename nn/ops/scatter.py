"""Writing at positions given by an index tensor: scatter, scatter_add, index_add, index_copy."""

from __future__ import annotations

from typing import Any

from ..doors import call, copy_into, empty
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .gather import checked, positions, sizes_around
from .operands import dimension, is_number
from .shape import View

__all__ = ["index_add", "index_copy", "scatter", "scatter_add"]


class Scatter(Function):
    """A copy of x with the elements of `source` written to, or added at, the positions along `dim`."""

    @staticmethod
    def forward(ctx, x, dim, indices, source, accumulate):
        O, R, I = sizes_around(x.shape, dim)
        K = indices.shape[dim]
        y = empty(x.shape, x.dtype, ctx.device)
        call("elementwise.copy_forward", y, x)
        args = y.reshape(O, R, I), source.reshape(O, K, I), indices.reshape(O, K, I), accumulate
        checked("index.scatter_forward", *args, what="scatter", size=R, indices=indices)
        ctx.sizes, ctx.accumulate, ctx.shape = (O, R, K, I), accumulate, source.shape
        ctx.save(indices)
        return y

    @staticmethod
    def backward(ctx, dy):
        O, R, K, I = ctx.sizes
        indices = ctx.saved[0].reshape(O, K, I)
        need_x, need_source = ctx.needs[0], ctx.needs[3]
        dsource = dx = None
        if need_source:
            dsource = empty(ctx.shape, dy.dtype, ctx.device)
            call("index.gather_forward", dsource.reshape(O, K, I), dy.reshape(O, R, I), indices)
        if need_x and ctx.accumulate:
            dx = dy
        elif need_x:
            dx, zeros = empty(dy.shape, dy.dtype, ctx.device), empty(ctx.shape, dy.dtype, ctx.device)
            call("elementwise.copy_forward", dx, dy)
            call("elementwise.fill_forward", zeros, 0.0)
            call("index.scatter_forward", dx.reshape(O, R, I), zeros.reshape(O, K, I), indices, False)
        return dx, None, None, dsource, None


class Put(Function):
    """A copy of x with the rows of `source` written to, or added at, positions along the middle of (O, R, I)."""

    @staticmethod
    def forward(ctx, x, sizes, indices, source, accumulate):
        y = empty(x.shape, x.dtype, ctx.device)
        call("elementwise.copy_forward", y, x)
        put(y, sizes, indices, source, accumulate, "index_put")
        ctx.sizes, ctx.accumulate, ctx.shape = sizes, accumulate, source.shape
        ctx.save(indices)
        return y

    @staticmethod
    def backward(ctx, dy):
        O, R, I = ctx.sizes
        (indices,) = ctx.saved
        rows = O, indices.size, I
        dsource = dx = None
        if ctx.needs[3]:
            dsource = empty(ctx.shape, dy.dtype, ctx.device)
            call("index.select_forward", dsource.reshape(rows), dy.reshape(O, R, I), indices)
        if ctx.needs[0] and ctx.accumulate:
            dx = dy
        elif ctx.needs[0]:
            dx, zeros = empty(dy.shape, dy.dtype, ctx.device), empty(rows, dy.dtype, ctx.device)
            call("elementwise.copy_forward", dx, dy)
            call("elementwise.fill_forward", zeros, 0.0)
            call("index.put_forward", dx.reshape(O, R, I), zeros, indices, False)
        return dx, None, None, dsource, None


def put(y: Any, sizes: tuple, indices: Any, source: Any, accumulate: bool, what: str) -> None:
    """Rows of the contiguous source into the contiguous y."""
    O, R, I = sizes
    rows = source.reshape(O, indices.size, I)
    checked("index.put_forward", y.reshape(O, R, I), rows, indices, accumulate, what=what, size=R, indices=indices)


def _scattered(x: Any, dim: int, index: Any, source: Any, accumulate: bool, what: str) -> Tensor:
    x, indices = as_tensor(x), positions(index, what)
    dim = dimension(dim, x.ndim, what)
    if is_number(source):
        from ..creation import full

        source = full(indices.shape, source, dtype=x._data.dtype, device=x.device)
    source = as_tensor(source).to(x._data.dtype)
    if len(indices.shape) != x.ndim or source.ndim != x.ndim:
        raise ValueError(f"{what}: expected {x.ndim} dimensions, got index {indices.shape} and source {source.shape}")
    cut = tuple(slice(n) for n in indices.shape)
    if any(n > m for n, m in zip(indices.shape, source.shape, strict=True)):
        raise ValueError(f"{what}: expected a source of at least the index's shape {indices.shape}, got {source.shape}")
    if source.shape != indices.shape:
        source = View.apply(source, cut)
    whole = tuple(n if i == dim else indices.shape[i] for i, n in enumerate(x.shape))
    if whole == x.shape:
        return Scatter.apply(x, dim, indices, source, accumulate)
    # the index covers a corner of x: that is done alone, and written back
    corner = tuple(slice(n) for n in whole)
    y = x.clone()
    with_corner = Scatter.apply(View.apply(x, corner), dim, indices, source, accumulate)
    return Overwrite.apply(y, corner, with_corner)


class Overwrite(Function):
    """A copy of x with x[index] = source, for a basic index."""

    @staticmethod
    def forward(ctx, x, index, source):
        y = empty(x.shape, x.dtype, ctx.device)
        call("elementwise.copy_forward", y, x)
        copy_into(y[index], source)
        ctx.index = index
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = None
        if ctx.needs[0]:
            dx = empty(dy.shape, dy.dtype, ctx.device)
            call("elementwise.copy_forward", dx, dy)
            part = dx[ctx.index]
            zeros = empty(part.shape, dy.dtype, ctx.device)
            call("elementwise.fill_forward", zeros, 0.0)
            copy_into(part, zeros)
        return dx, None, dy[ctx.index]


def scatter(x: Any, dim: int, index: Any, src: Any) -> Tensor:
    """A copy of x with x[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number"""
    return _scattered(x, dim, index, src, False, "scatter")


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Tensor:
    """A copy of x with x[index[i][j]][j] += src[i][j] for dim 0, and so on"""
    return _scattered(x, dim, index, src, True, "scatter_add")


def _rows(x: Any, dim: int, index: Any, source: Any, accumulate: bool, what: str) -> Tensor:
    x, indices = as_tensor(x), positions(index, what)
    dim = dimension(dim, x.ndim, what)
    source = as_tensor(source).to(x._data.dtype)
    shape = (*x.shape[:dim], indices.size, *x.shape[dim + 1 :])
    if source.shape != shape:
        raise ValueError(f"{what}: expected a source of shape {shape}, got {source.shape}")
    return Put.apply(x, sizes_around(x.shape, dim), indices.reshape(-1), source, accumulate)


def index_add(x: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Tensor:
    """A copy of x with alpha * source added to the entries of a dimension at the positions of a vector"""
    return _rows(x, dim, index, source if alpha == 1 else as_tensor(source) * alpha, True, "index_add")


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Tensor:
    """A copy of x with the entries of a dimension at the positions of a vector replaced"""
    return _rows(x, dim, index, source, False, "index_copy")


def attach(cls: Any) -> None:
    for function in (scatter, scatter_add, index_add, index_copy):
        setattr(cls, function.__name__, function)
