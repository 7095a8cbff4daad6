"""A weight as the product of a length and a direction: `weight_g` and `weight_v`, as torch.nn.utils.weight_norm."""

from __future__ import annotations

import math
from typing import Any

from ..doors import call, contiguous, empty
from ..dtypes import float64
from ..factory import gradients_into
from ..parameter import Parameter
from ..tape import Function
from ..tensor import Tensor
from .computed import Computed, attach, detach, parameter_for

__all__ = ["norm_except_dim", "normed", "remove_weight_norm", "weight_norm"]


class WeightNormFunction(Function):
    """w = v g / norm of v; v is `split` into (O, R, I), and each of its R slices has a length of its own."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, v, g, split):
        w, norm = empty(v.shape, v.dtype, ctx.device), empty((split[1],), float64, ctx.device)
        call("weight_norm.weight_norm_forward", w.reshape(split), norm, v.reshape(split), g.reshape(-1))
        ctx.save(v, g)
        ctx.split, ctx.norm = split, norm
        return w

    @staticmethod
    def backward(ctx, dw):
        v, g = ctx.saved
        dv, dg, accumulate = gradients_into(ctx, 0, 1)
        given = dw.reshape(ctx.split), v.reshape(ctx.split), g.reshape(-1), ctx.norm
        wanted = dv.reshape(ctx.split) if ctx.needs[0] else dv, dg.reshape(-1)
        call("weight_norm.weight_norm_backward", *wanted, *given, accumulate)
        return dv, dg, None


def _split(shape: tuple[int, ...], dim: int | None) -> tuple[int, int, int]:
    """(O, R, I) of a weight; None and, as in torch, -1: one slice. Other negative numbers count from the end."""
    if dim is None or dim == -1:
        return 1, 1, math.prod(shape)
    if not -len(shape) <= dim < len(shape):
        raise IndexError(f"weight_norm: dim: expected {-len(shape)} .. {len(shape) - 1} or None, got {dim}")
    dim %= len(shape)
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def normed(v, g, dim: int | None = 0) -> Tensor:
    """v g / norm of v, the norm over all dimensions but `dim`."""
    return WeightNormFunction.apply(v, g, _split(v.shape, dim))


def norm_except_dim(v: Tensor, dim: int | None = 0) -> Tensor:
    """The norm of v over all dimensions but `dim`, which alone keeps its size; a number for None. Has no gradient."""
    split = _split(v.shape, dim)
    shape = () if dim is None or dim == -1 else tuple(n if i == dim % v.dim() else 1 for i, n in enumerate(v.shape))
    array = contiguous(v.data)
    w, norm = empty(split, array.dtype, v.device), empty((split[1],), float64, v.device)
    # of any length: the norm is wanted, not the result
    call("weight_norm.weight_norm_forward", w, norm, array.reshape(split), empty((split[1],), array.dtype, v.device))
    return Tensor(norm.reshape(shape)).to(v.dtype)


class WeightNorm(Computed):
    """The hook."""

    word = "weight_norm"

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def compute(self, module: Any, training: bool) -> Tensor:
        return normed(getattr(module, self.name + "_v"), getattr(module, self.name + "_g"), self.dim)


def weight_norm(module, name: str = "weight", dim: int | None = 0):
    """Replace the parameter `name` by its length `name`_g and its direction `name`_v: w = v g / norm of v

    Each slice along `dim` has a length of its own; with None all of the weight has one. The weight is computed before
    every forward. Returns the module.

    >>> from hotloop import nn
    >>> layer = nn.utils.weight_norm(nn.Linear(20, 40))
    >>> layer.weight_g.shape, layer.weight_v.shape
    ((40, 1), (40, 20))
    """
    weight = parameter_for(module, WeightNorm, name)
    length = Parameter(norm_except_dim(weight, dim).data, weight.requires_grad)
    direction = Parameter(weight.detach().clone().data, weight.requires_grad)
    attach(module, WeightNorm(name, dim), {"_g": length, "_v": direction}, {})
    return module


def remove_weight_norm(module, name: str = "weight"):
    """The parameter `name` again, of the value that it has now; returns the module."""
    detach(module, WeightNorm, name, ("_g", "_v"))
    return module
