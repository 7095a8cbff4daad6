"""Convolutions, and transposed ones, that take in_channels from their first input."""

from __future__ import annotations

from typing import Any

from .conv import Conv1d, Conv2d, Conv3d, ConvLayer
from .conv_geometry import sizes_of
from .conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .lazy import LazyModule, UninitializedParameter
from .module import Module

__all__ = [
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]


class _Lazy(LazyModule, ConvLayer):
    weight: Any
    bias: Any

    def _make_parameters(self, bias, device, dtype) -> None:
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.register_parameter("bias", UninitializedParameter(device=device, dtype=dtype) if bias else None)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input, *args, **kwargs) -> None:
        if not self.has_uninitialized_params():
            # a loaded state has given the shapes
            self.in_channels = self._geometry.channels(self.weight)[0]
            return
        shape, dims, layer = input.shape, self.dims, type(self).__name__
        if len(shape) not in (dims + 1, dims + 2):
            raise ValueError(
                f"{layer}: expected input (N, in_channels, {sizes_of(dims)}) or (in_channels, {sizes_of(dims)}), got "
                f"shape {shape}"
            )
        self._check_groups(shape[-dims - 1], self.out_channels, self.groups)
        self.in_channels = shape[-dims - 1]
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConv(_Lazy):
    def __init__(
        self, out_channels: int, kernel_size, stride=1, padding=0, dilation=1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device=None, dtype=None, *, activation: str | None = None,
    ) -> None:  # fmt: skip
        Module.__init__(self)
        numbers = stride, padding, dilation, groups
        self._configure(0, out_channels, kernel_size, *numbers, padding_mode, activation)
        self._make_parameters(bias, device, dtype)


class _LazyConvTranspose(_Lazy):
    def __init__(
        self, out_channels: int, kernel_size, stride=1, padding=0, output_padding=0, groups: int = 1,
        bias: bool = True, dilation=1, padding_mode: str = "zeros", device=None, dtype=None, *,
        activation: str | None = None,
    ) -> None:  # fmt: skip
        Module.__init__(self)
        numbers = stride, padding, dilation, groups
        self._configure(0, out_channels, kernel_size, *numbers, padding_mode, activation, output_padding)
        self._make_parameters(bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d that takes in_channels from its first input, and is a Conv1d from then on.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LazyConv1d(8, 3)
    >>> layer(np.ones((2, 4, 50), np.float32)).shape
    (2, 8, 48)
    >>> layer
    Conv1d(4, 8, kernel_size=(3,), stride=(1,))
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d that takes in_channels from its first input, and is a Conv2d from then on."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A Conv3d that takes in_channels from its first input, and is a Conv3d from then on."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A ConvTranspose1d that takes in_channels from its first input, and is a ConvTranspose1d from then on."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A ConvTranspose2d that takes in_channels from its first input, and is a ConvTranspose2d from then on."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A ConvTranspose3d that takes in_channels from its first input, and is a ConvTranspose3d from then on."""

    cls_to_become = ConvTranspose3d
