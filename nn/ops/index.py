"""x[index] and x[index] = value: ints, slices, None, ..., bool masks, integer tensors, arrays and lists.

As in PyTorch, integers and slices act first, as views; index tensors then pick entries of what is left. Several index
tensors broadcast together; their dimensions take the place of the first where they are neighbours, else the front.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..doors import call, contiguous, copy_into, device_of, empty, overlap
from ..dtypes import bool_, int64
from ..tensor import Tensor, as_tensor
from .broadcasting import broadcast_shape, expanded
from .gather import Select, checked, positions, true_positions
from .operands import is_number
from .scatter import put
from .shape import View, permute

__all__ = ["getitem", "setitem"]

ALL = slice(None)


def getitem(x: Tensor, index: Any) -> Tensor:
    if type(index) is not tuple:
        if type(index) is Tensor and index._data.dtype is int64 and index._data.ndim and x._data.ndim:
            return _rows(x, index if type(index._data) is type(x._data) else index.to(x.device))
        index = (index,)
    index = tuple([_plain(item, x) for item in index])
    if all(map(_basic, index)):
        # an ellipsis at the end makes NumPy give an array, never a number
        return View.apply(x, index if Ellipsis in index else (*index, Ellipsis))
    picked = _picked(x, index)
    return Select.apply(picked.x, picked.sizes, picked.shape, picked.indices, "index")


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """x[vector], the common case."""
    shape = x._data.shape
    indices = contiguous(index._data)
    sizes = (1, shape[0], math.prod(shape[1:]))
    return Select.apply(x, sizes, (*indices.shape, *shape[1:]), indices, "index")


def setitem(x: Tensor, index: Any, value: Any) -> None:
    index = tuple([_plain(item, x) for item in (index if type(index) is tuple else (index,))])
    target = x._writable(value)
    number = is_number(value)
    if number and len(index) == 1 and _is_mask(index[0]) and index[0].shape == target.shape and x.is_contiguous():
        _fill_where(target, index[0], value)
        return
    source = _source(x, value, number)
    if all(map(_basic, index)):
        _assign(target[index if Ellipsis in index else (*index, Ellipsis)], source)
        return
    picked = _picked(x.detach(), index)
    if not picked.indices.size:
        return
    source = expanded(contiguous(_without_ones(source, len(picked.shape))), picked.shape, x.device)
    view = picked.x._data
    whole = contiguous(view)
    put(whole, picked.sizes, picked.indices.reshape(-1), source, False, "index")
    if whole is not view:
        copy_into(view, whole)


def _source(x: Tensor, value: Any, number: bool) -> Any:
    """What is assigned, as an array of x's dtype where x is."""
    if number and x.device != "cpu":
        from ..creation import full

        # nothing comes from the host, so that a recorded step may do it
        return full((), value.item() if isinstance(value, np.generic) else value, x.dtype, x.device)._data
    return as_tensor(value).detach().to(x.device, x.dtype)._data


def _fill_where(target: Any, mask: Tensor, value: Any) -> None:
    bytes_ = target.view("u1") if target.dtype == bool_ else target
    call("select.masked_fill_forward", bytes_, bytes_, contiguous(mask._data), float(value))


def _assign(view: Any, source: Any) -> None:
    source = _without_ones(source, view.ndim)
    if broadcast_shape(source.shape, view.shape) != view.shape:
        raise ValueError(f"index: expected a value that broadcasts to {view.shape}, got shape {source.shape}")
    if overlap(view, source):
        copy = empty(source.shape, source.dtype, device_of(source))
        copy_into(copy, source)
        source = copy
    copy_into(view, source)


def _without_ones(source: Any, ndim: int) -> Any:
    """Dimensions of size 1 in front, beyond those of the target, do not count."""
    while source.ndim > ndim and source.shape[0] == 1:
        source = source[0]
    return source


def _basic(item: Any) -> bool:
    return item is None or item is Ellipsis or type(item) in (int, slice)


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and item._data.dtype == bool_


def _plain(item: Any, x: Tensor) -> Any:
    """An item of an index into x as int, slice, None, Ellipsis or a tensor with dimensions, where x is."""
    if _basic(item):
        return item
    if isinstance(item, (bool, np.bool_)):
        raise IndexError("index: True and False are no positions; use None for a new dimension")
    if hasattr(item, "__index__") and not getattr(item, "shape", ()):
        return item.__index__()
    if isinstance(item, range):
        item = list(item)
    if isinstance(item, (list, tuple)) or hasattr(item, "shape"):
        item = as_tensor(item)
        if item._data.dtype.kind in "iub" or not item._data.size:
            return item if type(item._data) is type(x._data) else item.to(x.device)
        raise IndexError(f"index: expected integers or bools, got {item._data.dtype}")
    raise IndexError(f"index: expected ints, slices, None, ... or index tensors, got {type(item).__name__}")


class _Picked(NamedTuple):
    """Positions along the middle of x as (O, R, I), and the shape of what they pick."""

    x: Tensor
    sizes: tuple[int, int, int]
    shape: tuple[int, ...]
    indices: Any


def _picked(x: Tensor, index: tuple) -> _Picked:
    used = sum(item._data.ndim if _is_mask(item) else 1 for item in index if item is not None and item is not Ellipsis)
    if used > x.ndim or index.count(Ellipsis) > 1:
        raise IndexError(f"index: expected at most {x.ndim} indices and one ellipsis for shape {x.shape}, got {used}")
    # the views first; remember at which dimensions of their result the index tensors stand
    basic: list[Any] = []
    tensors: list[tuple[int, Tensor]] = []
    ndim = 0
    for item in index:
        if isinstance(item, Tensor):
            tensors.append((ndim, item))
            count = item._data.ndim if _is_mask(item) else 1
            basic += [ALL] * count
            ndim += count
        elif item is Ellipsis:
            basic += [ALL] * (x.ndim - used)
            ndim += x.ndim - used
        else:
            basic.append(item)
            ndim += type(item) is not int
    if any(item != ALL for item in basic):
        x = View.apply(x, (*basic, Ellipsis))
    # each index tensor stands for one dimension, a mask for as many as it has: (dimensions, flat positions)
    parts = [_part(x, at, item) for at, item in tensors]
    dims = [d for at, count, _ in parts for d in range(at, at + count)]
    if dims != list(range(dims[0], dims[-1] + 1)):
        x = permute(x, (*dims, *(d for d in range(x.ndim) if d not in dims)))
        dims = list(range(len(dims)))
    first, last = dims[0], dims[-1] + 1
    before, middle, behind = x.shape[:first], x.shape[first:last], x.shape[last:]
    indices = parts[0][2] if len(parts) == 1 else _combined(parts, middle, x.device)
    sizes = (math.prod(before), math.prod(middle), math.prod(behind))
    return _Picked(x, sizes, (*before, *indices.shape, *behind), indices)


def _part(x: Tensor, at: int, item: Tensor) -> tuple[int, int, Any]:
    if not _is_mask(item):
        return at, 1, positions(item, "index")
    count, shape = item._data.ndim, item._data.shape
    if x.shape[at : at + count] != shape:
        raise IndexError(f"index: expected a mask of shape {x.shape[at : at + count]}, got {shape}")
    return at, count, true_positions(contiguous(item._data), x.device)


def _combined(parts: list, middle: tuple[int, ...], device: str) -> Any:
    """The flat positions along all indexed dimensions of several index tensors together."""
    shape = broadcast_shape(*(indices.shape for _, _, indices in parts))
    flat = empty(shape, int64, device)
    call("elementwise.fill_forward", flat, 0.0)
    done = 0
    for _, count, indices in parts:
        size, stride = math.prod(middle[done : done + count]), math.prod(middle[done + count :])
        done += count
        along = expanded(indices, shape, device)
        checked("index.offsets_forward", flat, along, size, stride, what="index", size=size, indices=along)
    return flat


def attach(cls: Any) -> None:
    cls.__getitem__ = getitem
    cls.__setitem__ = setitem
    cls.__iter__ = _iterate


def _iterate(x: Tensor) -> Any:
    if not x._data.ndim:
        raise TypeError("iteration over a tensor without dimensions")
    return (getitem(x, i) for i in range(x._data.shape[0]))
