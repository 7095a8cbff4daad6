"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ..doors import call, empty
from ..tape import Function
from ..tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


class _Joined(Function):
    """The elements of all arguments one after the other."""

    @staticmethod
    def forward(ctx, *arrays):
        ctx.shapes = [array.shape for array in arrays]
        y = empty((sum(array.size for array in arrays),), arrays[0].dtype, ctx.device)
        at = 0
        for array in arrays:
            call("elementwise.copy_forward", y[at : at + array.size], array.reshape(-1))
            at += array.size
        return y

    @staticmethod
    def backward(ctx, dy):
        gradients, at = [], 0
        for shape in ctx.shapes:
            size = 1
            for n in shape:
                size *= n
            gradients.append(dy[at : at + size].reshape(shape))
            at += size
        return tuple(gradients)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """One vector of all elements, in order; gradients flow back through it.

    >>> from hotloop import nn
    >>> nn.utils.parameters_to_vector(nn.Linear(10, 20).parameters()).shape
    (220,)
    """
    parameters = list(parameters)
    if not parameters:
        raise ValueError("parameters_to_vector: expected at least one parameter, got none")
    kinds = {(str(p.dtype), p.device) for p in parameters}
    if len(kinds) > 1:
        raise TypeError(f"parameters_to_vector: expected one dtype and device, got {sorted(kinds)}")
    return _Joined.apply(*parameters)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy consecutive elements of `vec` into the parameters' own memory."""
    parameters = list(parameters)
    total = sum(p.numel() for p in parameters)
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    if vec.shape != (total,):
        raise ValueError(f"vector_to_parameters: expected a vector of shape ({total},), got {vec.shape}")
    at = 0
    for p in parameters:
        p.data = vec.data[at : at + p.numel()].reshape(p.shape)
        at += p.numel()
