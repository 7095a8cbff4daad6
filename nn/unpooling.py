"""MaxUnpool: what MaxPool with return_indices=True took goes back to where it came from, between zeros."""

from __future__ import annotations

import math
from typing import Any

from .doors import call, contiguous, empty
from .module import Module
from .pooling_functions import checked
from .pooling_windows import sizes
from .tape import Function
from .tensor import as_tensor

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


class Unpool(Function):
    """`plane` is the output's shape after the channels."""

    @staticmethod
    def forward(ctx, x, indices, plane):
        lead, size = x.shape[: x.ndim - len(plane)], math.prod(plane)
        planes = math.prod(lead)
        ctx.shape, ctx.flat = x.shape, (planes, math.prod(x.shape[len(lead) :]))
        ctx.whole = planes, size
        indices = contiguous(indices).reshape(ctx.flat)
        y = empty((*lead, *plane), x.dtype, ctx.device)
        call("unpool.max_unpool_forward", y.reshape(ctx.whole), x.reshape(ctx.flat), indices)
        ctx.save(indices)
        return y

    @staticmethod
    def backward(ctx, dy):
        (indices,) = ctx.saved
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        call("unpool.max_unpool_backward", dx.reshape(ctx.flat), dy.reshape(ctx.whole), indices)
        return dx, None, None


def _unpool(axes, input, indices, kernel_size, stride, padding, output_size) -> Any:
    name = f"max_unpool{axes}d"
    x, where = checked(input, axes, name), as_tensor(indices)
    if where.shape != x.shape:
        raise ValueError(f"{name}: expected indices of the input's shape {x.shape}, got {where.shape}")
    kernel = sizes(kernel_size, axes, f"{name}: kernel_size")
    strides = kernel if stride is None else sizes(stride, axes, f"{name}: stride")
    padded = sizes(padding, axes, f"{name}: padding")
    geometry = zip(x.shape[-axes:], kernel, strides, padded, strict=True)
    plane = tuple((n - 1) * s + k - 2 * p for n, k, s, p in geometry)
    if output_size is not None:
        plane = _chosen(name, tuple(output_size), plane, strides)
    if min(plane) < 1:
        raise ValueError(f"{name}: expected an output that is not empty, got {plane}")
    return Unpool.apply(x, where, plane)


def _chosen(name, given, default, strides):
    """Of the sizes that pool to the same, the one asked for; sample and channel may come with it."""
    wanted = given[2:] if len(given) == len(default) + 2 else given
    if len(wanted) != len(default):
        raise ValueError(f"{name}: expected an output_size of {len(default)} or {len(default) + 2} sizes, got {given}")
    for at, (size, usual, stride) in enumerate(zip(wanted, default, strides, strict=True)):
        if not usual - stride < size < usual + stride:
            raise ValueError(
                f"{name}: invalid output_size {given}: dim {at} must be between {usual - stride} and {usual + stride}"
            )
    return tuple(int(size) for size in wanted)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Any:
    """Zeros, with the input's values at `indices`"""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Any:
    """Zeros, with the input's values at `indices`, flat positions in the plane"""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Any:
    """Zeros, with the input's values at `indices`, flat positions in the volume"""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)


class MaxUnpool1d(Module):
    """Zeros, with the input's values at the positions that MaxPool1d gave."""

    _axes = 1

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        super().__init__()
        axes, name = self._axes, type(self).__name__
        self.kernel_size = sizes(kernel_size, axes, f"{name}: kernel_size")
        self.stride = self.kernel_size if stride is None else sizes(stride, axes, f"{name}: stride")
        self.padding = sizes(padding, axes, f"{name}: padding")

    def forward(self, input, indices, output_size=None) -> Any:
        return _unpool(self._axes, input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool2d(MaxUnpool1d):
    """Zeros, with the input's values at the positions that MaxPool2d gave.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> y, where = nn.MaxPool2d(2, return_indices=True)(np.arange(4, dtype=np.float32).reshape(1, 2, 2))
    >>> nn.MaxUnpool2d(2)(y, where).numpy()
    array([[[0., 0.],
            [0., 3.]]], dtype=float32)
    """

    _axes = 2


class MaxUnpool3d(MaxUnpool1d):
    """Zeros, with the input's values at the positions that MaxPool3d gave."""

    _axes = 3
