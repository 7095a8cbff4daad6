"""Channels that become pixels and the other way round, and channels in another order, by torch's names and rules."""

from __future__ import annotations

import math
import operator
from typing import Any

from .doors import call, empty
from .module import Module
from .tape import Function
from .tensor import as_tensor

__all__ = [
    "ChannelShuffle",
    "PixelShuffle",
    "PixelUnshuffle",
    "channel_shuffle",
    "native_channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def _to_pixels(x, r, device):
    """(..., C r r, H, W) to (..., C, H r, W r)"""
    *lead, channels, h, w = x.shape
    y = empty((*lead, channels // (r * r), h * r, w * r), x.dtype, device)
    planes = math.prod(y.shape[:-2])
    call("shuffle.pixel_shuffle_forward", y.reshape(planes, h, r, w, r), x.reshape(planes, r, r, h, w))
    return y


def _to_channels(x, r, device):
    """(..., C, H r, W r) to (..., C r r, H, W)"""
    *lead, channels, height, width = x.shape
    h, w, planes = height // r, width // r, math.prod(x.shape[:-2])
    y = empty((*lead, channels * r * r, h, w), x.dtype, device)
    call("shuffle.pixel_unshuffle_forward", y.reshape(planes, r, r, h, w), x.reshape(planes, h, r, w, r))
    return y


class Shuffled(Function):
    """Pixels out of channels, or with `back` channels out of pixels: each is the other's gradient."""

    @staticmethod
    def forward(ctx, x, r, back):
        ctx.r, ctx.back = r, back
        return (_to_channels if back else _to_pixels)(x, r, ctx.device)

    @staticmethod
    def backward(ctx, dy):
        return (_to_pixels if ctx.back else _to_channels)(dy, ctx.r, ctx.device), None, None


class ChannelsShuffled(Function):
    @staticmethod
    def forward(ctx, x, groups):
        ctx.groups = groups
        return _turned(x, groups, ctx.device)

    @staticmethod
    def backward(ctx, dy):
        return _turned(dy, dy.shape[1] // ctx.groups, ctx.device), None


def _turned(x, groups, device):
    """(N, groups, C / groups, ...) with the two exchanged"""
    n, c, inner = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    y = empty(x.shape, x.dtype, device)
    result, given = (n, c // groups, groups, inner), (n, groups, c // groups, inner)
    call("shuffle.channel_shuffle_forward", y.reshape(result), x.reshape(given))
    return y


def _image(input, name):
    x = as_tensor(input)
    if len(x.shape) < 3:
        raise ValueError(f"{name}: expected an input of at least 3 dimensions, got {x.shape}")
    return x


def _factor(factor, name):
    factor = operator.index(factor)
    if factor < 1:
        raise ValueError(f"{name} expects a positive factor, got {factor}")
    return factor


def pixel_shuffle(input, upscale_factor) -> Any:
    """(..., C r r, H, W) to (..., C, H r, W r): channel c r r + i r + j becomes pixel (i, j) of each r x r square"""
    x, r = _image(input, "pixel_shuffle"), _factor(upscale_factor, "pixel_shuffle")
    if x.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: expected channels in multiples of {r * r}, got {x.shape[-3]}")
    return Shuffled.apply(x, r, False)


def pixel_unshuffle(input, downscale_factor) -> Any:
    """(..., C, H r, W r) to (..., C r r, H, W): what pixel_shuffle undoes"""
    x, r = _image(input, "pixel_unshuffle"), _factor(downscale_factor, "pixel_unshuffle")
    if x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: expected heights and widths in multiples of {r}, got {x.shape[-2:]}")
    return Shuffled.apply(x, r, True)


def channel_shuffle(input, groups) -> Any:
    """Channels of (N, C, ...) dealt out: the first of each group, then the second of each ..."""
    x, groups = _image(input, "channel_shuffle"), _factor(groups, "channel_shuffle")
    if x.shape[1] % groups:
        raise ValueError(f"channel_shuffle: expected channels in multiples of {groups}, got {x.shape[1]}")
    return ChannelsShuffled.apply(x, groups)


def native_channel_shuffle(input, groups) -> Any:
    """The same as channel_shuffle"""
    return channel_shuffle(input, groups)


class PixelShuffle(Module):
    """(..., C r r, H, W) to (..., C, H r, W r), r = upscale_factor.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.PixelShuffle(2)(np.arange(4, dtype=np.float32).reshape(4, 1, 1)).numpy()
    array([[[0., 1.],
            [2., 3.]]], dtype=float32)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input) -> Any:
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(..., C, H r, W r) to (..., C r r, H, W), r = downscale_factor."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input) -> Any:
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels of (N, C, ...) dealt out among `groups`: so grouped convolutions see each other's results.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.ChannelShuffle(2)(np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)).numpy().ravel()
    array([0., 3., 1., 4., 2., 5.], dtype=float32)
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input) -> Any:
        return channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
