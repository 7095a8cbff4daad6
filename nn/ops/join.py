"""Tensors joined and cut: cat stack split chunk, repeat tile roll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..doors import copy_into, empty
from ..dtypes import promote_types
from ..tape import Function
from ..tensor import Tensor, as_tensor
from .operands import dimension, dimensions, shape_of
from .shape import expand, narrow, reshape, unsqueeze

__all__ = [
    "cat",
    "chunk",
    "concat",
    "hstack",
    "repeat",
    "repeat_interleave",
    "roll",
    "split",
    "stack",
    "tile",
    "vstack",
]


class Cat(Function):
    """Operands are copied, from any strides, into their part of the result; gradients are the parts."""

    strided = True

    @staticmethod
    def forward(ctx, dim, *xs):
        sizes = [x.shape[dim] for x in xs]
        shape = list(xs[0].shape)
        shape[dim] = sum(sizes)
        y = empty(tuple(shape), xs[0].dtype, ctx.device)
        ctx.dim, ctx.sizes, start = dim, sizes, 0
        for x, size in zip(xs, sizes, strict=True):
            copy_into(y[_part(dim, start, size)], x)
            start += size
        return y

    @staticmethod
    def backward(ctx, dy):
        grads, start = [None], 0
        for need, size in zip(ctx.needs[1:], ctx.sizes, strict=True):
            grads.append(dy[_part(ctx.dim, start, size)] if need else None)
            start += size
        return tuple(grads)


def _part(dim: int, start: int, size: int) -> tuple:
    return (slice(None),) * dim + (slice(start, start + size),)


def _tensors(tensors: Any, what: str) -> list[Tensor]:
    """A sequence of tensors, brought to one dtype."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(f"{what}: expected a sequence of tensors, got {type(tensors).__name__}")
    tensors = [as_tensor(x) for x in tensors]
    if not tensors:
        raise ValueError(f"{what}: expected at least one tensor, got none")
    dtype = tensors[0]._data.dtype
    for x in tensors[1:]:
        dtype = promote_types(dtype, x._data.dtype)
    return [x.to(dtype) for x in tensors]


def cat(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors one after the other along a dimension that exists"""
    tensors = _tensors(tensors, "cat")
    # PyTorch takes an empty vector beside anything
    xs = [x for x in tensors if x.shape != (0,)] or tensors[:1]
    first = xs[0].shape
    if not first:
        raise ValueError("cat: expected tensors with at least one dimension, got one without: use stack")
    dim = dimension(dim, len(first), "cat")
    for x in xs[1:]:
        if x.ndim != len(first) or any(n != m for i, (n, m) in enumerate(zip(x.shape, first, strict=True)) if i != dim):
            raise ValueError(f"cat: expected the shape {first} but for dimension {dim}, got {x.shape}")
    return Cat.apply(dim, *xs)


concat = cat


def stack(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors of one shape one after the other along a new dimension"""
    tensors = _tensors(tensors, "stack")
    for x in tensors:
        if x.shape != tensors[0].shape:
            raise ValueError(f"stack: expected tensors of one shape, got {tensors[0].shape} and {x.shape}")
    dim = dimension(dim, tensors[0].ndim + 1, "stack")
    return Cat.apply(dim, *(unsqueeze(x, dim) for x in tensors))


def hstack(tensors: Any) -> Tensor:
    tensors = [x if x.ndim else reshape(x, 1) for x in _tensors(tensors, "hstack")]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Tensor:
    return cat([x if x.ndim > 1 else reshape(x, 1, -1) for x in _tensors(tensors, "vstack")], 0)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple:
    """Views of so many entries each (the last may have fewer), or of the given sizes"""
    x = as_tensor(x)
    dim = dimension(dim, x.ndim, "split")
    n, sizes = x.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        if sizes <= 0:
            raise ValueError(f"split: expected a size of at least 1, got {sizes}")
        sizes = [min(sizes, n - start) for start in range(0, n, sizes)] or [0]
    elif sum(sizes) != n or min(sizes, default=0) < 0:
        raise ValueError(f"split: expected sizes that add up to {n}, the size of dimension {dim}, got {list(sizes)}")
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(narrow(x, dim, start, size) for start, size in zip(starts, sizes, strict=True))


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple:
    """At most `chunks` views of equal size (the last may be smaller)"""
    x = as_tensor(x)
    if chunks <= 0:
        raise ValueError(f"chunk: expected at least 1 chunk, got {chunks}")
    return split(x, max(1, -(-x.shape[dimension(dim, x.ndim, "chunk")] // chunks)), dim)


def repeat(x: Any, *repeats: Any) -> Tensor:
    """The whole tensor so many times along each dimension; new dimensions come in front"""
    x, repeats = as_tensor(x), shape_of(repeats, "repeat")
    if len(repeats) < x.ndim or min(repeats, default=0) < 0:
        raise ValueError(f"repeat: expected a count of at least 0 for each dimension of shape {x.shape}, got {repeats}")
    shape = (1,) * (len(repeats) - x.ndim) + x.shape
    # every dimension n becomes (times, n), the first repeated
    split_shape = [size for n in shape for size in (1, n)]
    repeated = [size for times, n in zip(repeats, shape, strict=True) for size in (times, n)]
    y = expand(reshape(x, split_shape), repeated).clone()
    return reshape(y, [times * n for times, n in zip(repeats, shape, strict=True)])


def tile(x: Any, *dims: Any) -> Tensor:
    """repeat, with missing counts in front taken as 1"""
    x, counts = as_tensor(x), shape_of(dims, "tile")
    return repeat(x, (1,) * (x.ndim - len(counts)) + counts)


def repeat_interleave(x: Any, repeats: int, dim: int | None = None) -> Tensor:
    """Every entry of a dimension so many times in a row"""
    x = as_tensor(x)
    if dim is None:
        x, dim = reshape(x, -1), 0
    dim = dimension(dim, x.ndim, "repeat_interleave")
    shape = x.shape
    y = expand(unsqueeze(x, dim + 1), (*shape[: dim + 1], repeats, *shape[dim + 1 :])).clone()
    return reshape(y, (*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :]))


def roll(x: Any, shifts: Any, dims: Any = None) -> Tensor:
    """Entries moved along dimensions; what leaves at one end comes in at the other"""
    x = as_tensor(x)
    if dims is None:
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    dimensions(dims, x.ndim, "roll")
    for shift, dim in zip(shifts, dims, strict=True):
        n = x.shape[dim]
        cut = n - shift % n if n else 0
        if 0 < cut < n:
            x = cat([narrow(x, dim, cut, n - cut), narrow(x, dim, 0, cut)], dim)
    return x


def attach(cls: Any) -> None:
    for function in (split, chunk, repeat, tile, repeat_interleave, roll):
        setattr(cls, function.__name__, function)
