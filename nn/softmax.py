"""Softmax, Softmin, LogSoftmax, Softmax2d, and their functions."""

from __future__ import annotations

import math
import warnings

import numpy as np

from .doors import call, empty
from .mode import no_grad
from .module import Module
from .random import rand_like
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["LogSoftmax", "Softmax", "Softmax2d", "Softmin", "gumbel_softmax", "log_softmax", "softmax", "softmin"]


class SoftmaxFunction(Function):
    """softmax, softmin or log_softmax along one dimension; backward goes from the result."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, kernel, dim):
        # a number counts as one dimension
        dims = max(x.ndim, 1)
        if not -dims <= dim < dims:
            raise IndexError(f"{kernel}: expected a dim of -{dims} .. {dims - 1}, got {dim}")
        at = dim % dims
        shape = x.shape or (1,)
        lines = (math.prod(shape[:at]), shape[at], math.prod(shape[at + 1 :]))
        y = empty(x.shape, x.dtype, ctx.device)
        call(f"softmax.{kernel}_forward", y.reshape(lines), x.reshape(lines))
        ctx.save(y)
        ctx.kernel, ctx.lines = kernel, lines
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved
        dx = empty(y.shape, y.dtype, ctx.device)
        lines = ctx.lines
        call(f"softmax.{ctx.kernel}_backward", dx.reshape(lines), dy.reshape(lines), y.reshape(lines))
        return dx, None, None


def _apply(kernel, input, dim, dtype) -> Tensor:
    x = as_tensor(input, dtype)
    if dim is None:
        dim = 0 if x.dim() in (0, 1, 3) else 1
        warnings.warn(f"{kernel}: dim was not given and is taken as {dim}; say dim={dim}", stacklevel=4)
    return SoftmaxFunction.apply(x, kernel, int(dim))


def softmax(input, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """exp(x) / sum(exp(x)), the sum along dim; `dtype`: cast to it first"""
    return _apply("softmax", input, dim, dtype)


def softmin(input, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """exp(-x) / sum(exp(-x)), the sum along dim; `dtype`: cast to it first"""
    return _apply("softmin", input, dim, dtype)


def log_softmax(input, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """x - log(sum(exp(x))), the sum along dim; `dtype`: cast to it first"""
    return _apply("log_softmax", input, dim, dtype)


def gumbel_softmax(logits, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + Gumbel noise) / tau): a soft sample of the categories along dim, with a gradient.

    hard  give the one-hot vector of the largest instead, with the gradient of the soft sample
    eps   unused, as in torch

    Source: Jang, Gu & Poole 2017, "Categorical reparameterization with Gumbel-softmax".
    """
    x = as_tensor(logits)
    with no_grad():
        # a uniform number of 0 counts as half a step above it, so that the logarithm is finite
        noise = rand_like(x).clamp(min=float(np.finfo(x.dtype).eps) / 4).log().neg().log().neg()
    soft = softmax((x + noise) / tau, dim)
    if not hard:
        return soft
    with no_grad():
        one_hot = soft.new_zeros(soft.shape).scatter_(dim, soft.argmax(dim, keepdim=True), 1.0)
        correction = one_hot - soft
    return soft + correction


class _AlongDim(Module):
    _function = staticmethod(softmax)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input) -> Tensor:
        return self._function(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """y = exp(x) / sum(exp(x)), the sum along dim: positive numbers that sum to 1.

    Input: any shape. Output: the same.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Softmax(dim=1)(np.zeros((1, 4), np.float32)).numpy()
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """


class Softmin(_AlongDim):
    """y = exp(-x) / sum(exp(-x)), the sum along dim.

    Input: any shape. Output: the same.
    """

    _function = staticmethod(softmin)


class LogSoftmax(_AlongDim):
    """y = x - log(sum(exp(x))), the sum along dim.

    Input: any shape. Output: the same.
    """

    _function = staticmethod(log_softmax)


class Softmax2d(Module):
    """Softmax over the channels, for each pixel.

    Input: (N, C, H, W) or (C, H, W). Output: the same.
    """

    def forward(self, input) -> Tensor:
        x = as_tensor(input)
        if x.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected an input (N, C, H, W) or (C, H, W), got shape {x.shape}")
        return softmax(x, -3)
