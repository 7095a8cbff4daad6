"""Sliding blocks of images as columns, and columns summed up into images, by torch's names."""

from __future__ import annotations

import math
from typing import Any

from .conv_geometry import tuple_of
from .doors import call, empty
from .module import Module
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["Fold", "Unfold", "fold", "unfold"]


class UnfoldFunction(Function):
    """Images (N, C, H, W) to columns (N, C, KH, KW, OH, OW)."""

    @staticmethod
    def forward(ctx, x, kernel, places, numbers):
        ctx.shape, ctx.numbers = x.shape, numbers
        y = empty((*x.shape[:2], *kernel, *places), x.dtype, ctx.device)
        call("unfold.unfold_forward", y, x, *numbers)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        call("unfold.unfold_backward", dx, dy, *ctx.numbers)
        return dx, None, None, None


class FoldFunction(Function):
    """Columns (N, C, KH, KW, OH, OW) to images (N, C, H, W): UnfoldFunction's two halves in each other's place."""

    @staticmethod
    def forward(ctx, x, size, numbers):
        ctx.shape, ctx.numbers = x.shape, numbers
        y = empty((*x.shape[:2], *size), x.dtype, ctx.device)
        call("unfold.unfold_backward", y, x, *numbers)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        call("unfold.unfold_forward", dx, dy, *ctx.numbers)
        return dx, None, None


def _blocks(size, kernel_size, dilation, padding, stride, name: str) -> tuple[tuple[int, ...], tuple, tuple]:
    """(kernel size, how many blocks there are in each dimension, the numbers of the kernels)."""
    kernel = tuple_of(kernel_size, 2, "kernel_size", name, 1)
    dilation, stride = tuple_of(dilation, 2, "dilation", name, 1), tuple_of(stride, 2, "stride", name, 1)
    padding = tuple_of(padding, 2, "padding", name, 0)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padded = tuple(i + 2 * p for i, p in zip(size, padding, strict=True))
    if any(span > room for span, room in zip(spans, padded, strict=True)):
        raise ValueError(
            f"{name}: expected blocks no larger than the padded image, got {spans} (dilated) over {padded}"
        )
    places = tuple((room - span) // s + 1 for room, span, s in zip(padded, spans, stride, strict=True))
    return kernel, places, (*stride, *padding, *dilation)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """The sliding blocks of (N, C, H, W), or (C, H, W), as the columns of (N, C * elements of a block, blocks).

    Blocks lie along rows of the image, one row after the other; zeros are around it.
    """
    x = as_tensor(input)
    if len(x.shape) not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"unfold: expected input (N, C, H, W) or (C, H, W), only N may be 0, got shape {x.shape}")
    kernel, places, numbers = _blocks(x.shape[-2:], kernel_size, dilation, padding, stride, "unfold")
    y = UnfoldFunction.apply(x if len(x.shape) == 4 else x.reshape(1, *x.shape), kernel, places, numbers)
    return y.reshape(*x.shape[:-3], x.shape[-3] * math.prod(kernel), math.prod(places))


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Columns (N, C * elements of a block, blocks), or without N, summed up into images (N, C, *output_size).

    What `unfold` would read from a place goes there; where blocks overlap it is added up.
    """
    x = as_tensor(input)
    size = tuple_of(output_size, 2, "output_size", "fold", 1)
    kernel, places, numbers = _blocks(size, kernel_size, dilation, padding, stride, "fold")
    elements, blocks = math.prod(kernel), math.prod(places)
    if len(x.shape) not in (2, 3) or x.shape[-1] != blocks or x.shape[-2] % elements or x.shape[-2] == 0:
        raise ValueError(
            f"fold: expected input (N, C * {elements}, {blocks}) or (C * {elements}, {blocks}) for output_size {size} "
            f"and kernel_size {kernel}, got shape {x.shape}"
        )
    batch = x.shape[0] if len(x.shape) == 3 else 1
    channels = x.shape[-2] // elements
    y = FoldFunction.apply(x.reshape(batch, channels, *kernel, *places), size, numbers)
    return y if len(x.shape) == 3 else y.reshape(channels, *size)


class Unfold(Module):
    """Sliding blocks of images as columns: (N, C, H, W) or (C, H, W) to (N, C * KH * KW, blocks) or without N

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Unfold(2, stride=2)(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)).numpy()[0]
    array([[ 0.,  2.,  8., 10.],
           [ 1.,  3.,  9., 11.],
           [ 4.,  6., 12., 14.],
           [ 5.,  7., 13., 15.]], dtype=float32)
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input) -> Any:
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        geometry = f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        return f"kernel_size={self.kernel_size}, {geometry}"


class Fold(Module):
    """Columns of blocks summed up into images: (N, C * KH * KW, blocks), or without N, to (N, C, *output_size)

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Fold((3, 3), 2)(np.ones((1, 4, 4), np.float32)).numpy()[0]
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]], dtype=float32)
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input) -> Any:
        return fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        geometry = f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        return f"output_size={self.output_size}, kernel_size={self.kernel_size}, {geometry}"
