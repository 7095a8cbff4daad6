"""Gradients bounded in norm or in value.

Gradients that an optimizer keeps side by side are one vector here: a kernel call for all of them, padding and all (it
is zero).
"""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..creation import zeros
from ..doors import call, copy_into, device_of, empty
from ..sparse import SparseGradient
from ..tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# slices of a flat buffer begin on such boundaries; what lies between two of them is padding
ALIGN = 64


def get_total_norm(tensors: Tensor | Iterable, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all tensors seen as one vector, without dimensions; as torch.nn.utils.get_total_norm.

    norm_type           order of the norm; "inf" or math.inf: the largest absolute value
    error_if_nonfinite  raise RuntimeError for a norm that is no finite number

    >>> from hotloop import nn, tensor
    >>> nn.utils.get_total_norm([tensor([3.0]), tensor([4.0, 0.0])]).item()
    5.0
    """
    tensors = [tensors] if _is_array(tensors) else list(tensors)
    return _norm([_elements(t).reshape(-1) for t in tensors], norm_type, error_if_nonfinite)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """grad = grad * min(1, max_norm / (norm + 1e-6)), where norm is that of all gradients seen as one vector.

    Gives the norm from before, without dimensions. Arguments as `get_total_norm`; as torch.nn.utils.clip_grad_norm_.

    >>> from hotloop import nn, tensor
    >>> p = nn.Parameter(tensor([1.0, 1.0]))
    >>> p.grad = tensor([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_([p], max_norm=1.0).item()
    5.0
    """
    pieces = list(_pieces(_parameters(parameters)))
    norm = _norm(pieces, norm_type, error_if_nonfinite)
    _scale(pieces, max_norm, norm)
    return norm


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor) -> None:
    """grad = grad * min(1, max_norm / (total_norm + 1e-6)); as torch.nn.utils.clip_grads_with_norm_."""
    _scale(list(_pieces(_parameters(parameters))), max_norm, total_norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """grad = min(max(grad, -clip_value), clip_value); as torch.nn.utils.clip_grad_value_."""
    bound = float(clip_value)
    for piece in _pieces(_parameters(parameters)):
        call("select.clamp_forward", piece, piece, -bound, bound)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "dtype")


def _elements(value: Any) -> Any:
    if type(value) is SparseGradient:
        # the norm is that of sums
        return value.coalesce().values
    return value._data if isinstance(value, Tensor) else value


def _parameters(given: Tensor | Iterable[Tensor]) -> list[Tensor]:
    if isinstance(given, Tensor):
        return [given]
    parameters = list(given)
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"parameters: expected Tensors, got a {type(p).__name__}")
    if isinstance(given, types.GeneratorType) and not parameters:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", UserWarning, stacklevel=3)
    return parameters


def _pieces(parameters: list[Tensor]) -> Iterator[Any]:
    """The gradients as 1-D arrays: neighbours in a flat buffer together, others one by one, each once."""
    flat, begin, end = None, 0, 0
    seen: set[int] = set()
    for p in parameters:
        if not p._has_grad or id(p) in seen:  # a shared one counts once
            continue
        seen.add(id(p))
        if type(p._grad_buffer) is SparseGradient:
            # the norm is that of sums, and scaling is in place
            p.grad = p._grad_buffer.coalesce()
            yield p._grad_buffer.values.reshape(-1)
            continue
        place = getattr(p, "_place", None)
        if place is None or place.grad is not p._grad_buffer:
            yield p._grad_buffer.reshape(-1)
        elif place.flat is flat and 0 <= place.begin - end < ALIGN // flat.grad.dtype.itemsize:
            end = place.begin + place.grad.size
        else:
            if flat is not None:
                yield flat.grad[begin:end]
            flat, begin, end = place.flat, place.begin, place.begin + place.grad.size
    if flat is not None:
        yield flat.grad[begin:end]


def _norm(pieces: list[Any], norm_type: float, error_if_nonfinite: bool) -> Tensor:
    p = float(norm_type)
    if not pieces:
        return zeros(())
    device = device_of(pieces[0])
    total, norm = (empty((1,), FLOAT64, device) for _ in range(2))
    call("elementwise.fill_forward", total, math.inf if p == -math.inf else 0.0)
    for piece in pieces:
        call("gradient_norm.gradient_norm_forward", total, _wide(piece), p)
    call("gradient_norm.gradient_norm_root_forward", norm, total, p)
    result = Tensor(norm.reshape(()))
    if error_if_nonfinite and not math.isfinite(result.item()):
        raise RuntimeError(
            f"The total norm of order {p} is non-finite, so gradients cannot be clipped: {result.item()}. "
            "To scale them by it anyway, set `error_if_nonfinite=False`"
        )
    # the widest of them, as in torch
    return result if any(piece.dtype == FLOAT64 for piece in pieces) else result.float()


def _scale(pieces: list[Any], max_norm: float, norm: Tensor) -> None:
    array = norm.double().data.reshape(1)
    for piece in pieces:
        wide = _wide(piece)
        call("gradient_norm.gradient_clip_forward", wide, array, float(max_norm))
        if wide is not piece:
            copy_into(piece, wide)


def _wide(piece: Any) -> Any:
    """A gradient as kernels take it that know no 16-bit floats."""
    if piece.dtype.itemsize > 2:
        return piece
    wide = empty(piece.shape, FLOAT32, device_of(piece))
    copy_into(wide, piece)
    return wide
