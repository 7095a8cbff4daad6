"""Convolutions of 1, 2 and 3 dimensions and their functions: one family of kernels, with unit dimensions in front."""

from __future__ import annotations

import math
from typing import ClassVar

from ..kernels.scalar import NEEDS_INPUT
from . import init
from .conv_geometry import (
    Geometry,
    batched,
    check,
    check_weight,
    geometry_of,
    in_five,
    kernel_numbers,
    places_of,
    tuple_of,
)
from .doors import absent, call, empty
from .factory import gradients_into, new_parameter
from .linear import _activation_code
from .module import Module
from .padding import MODES, pad_around
from .parameter import Parameter
from .tape import Function

__all__ = ["Conv1d", "Conv2d", "Conv3d", "conv1d", "conv2d", "conv3d"]

# forward and backward; of a transposed convolution
KERNELS = {
    False: ("conv.conv_forward", "conv.conv_backward"),
    True: ("conv_transpose.conv_transpose_forward", "conv_transpose.conv_transpose_backward"),
}


class ConvFunction(Function):
    """y = activation(x convolved with w + b), or convolved the transposed way; x (N, C, ...) or (C, ...)."""

    autocast = "half"

    @staticmethod
    def forward(ctx, x, w, b, geometry, code, layer):
        check(x, w, b, geometry, layer)
        dims = len(geometry.stride)
        places = places_of(x.shape[-dims:], w.shape[2:], geometry, layer)
        channels = geometry.channels(w)[1]
        x5, w5 = in_five(batched(x, dims)), in_five(w)
        y = empty((x5.shape[0], channels, *(1,) * (3 - dims), *places), x.dtype, ctx.device)
        nothing = absent(x.dtype, ctx.device)
        recording = True in ctx.needs
        z = empty(y.shape, x.dtype, ctx.device) if recording and code in NEEDS_INPUT else nothing
        numbers = kernel_numbers(geometry)
        forward, backward = KERNELS[geometry.transposed]
        call(forward, y, z, x5, w5, nothing if b is None else b, code, *numbers)
        if recording:
            ctx.shapes, ctx.numbers = (x5.shape, w5.shape, y.shape), numbers
            ctx.code, ctx.kept, ctx.kernel = code, z, backward
        y = y.reshape(*x.shape[: -dims - 1], channels, *places)
        if recording:
            ctx.save(x, w, *((y,) if code else ()))
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved[:2]
        x5, w5, dy5 = (a.reshape(shape) for a, shape in zip((x, w, dy), ctx.shapes, strict=True))
        dtype, device = x.dtype, ctx.device
        nothing = absent(dtype, device)
        y5 = ctx.saved[2].reshape(dy5.shape) if ctx.code else nothing
        dx = empty(x5.shape, dtype, device) if ctx.needs[0] else nothing
        dw, db, accumulate = gradients_into(ctx, 1, 2)
        dw5 = dw.reshape(w5.shape) if ctx.needs[1] else dw
        call(ctx.kernel, dx, dw5, db, dy5, x5, w5, y5, ctx.kept, ctx.code, *ctx.numbers, accumulate)
        if not ctx.retained:
            ctx.kept = None
        return dx.reshape(x.shape) if ctx.needs[0] else None, dw, db, None, None, None


def convolved(dims, input, weight, bias, stride, padding, dilation, groups, activation, output_padding=None):
    """conv1d .. conv3d and, with `output_padding`, conv_transpose1d .. conv_transpose3d."""
    layer = f"conv{dims}d" if output_padding is None else f"conv_transpose{dims}d"
    check_weight(weight, dims, output_padding is not None, layer)
    geometry = geometry_of(dims, weight.shape[2:], stride, padding, dilation, groups, layer, output_padding)
    return ConvFunction.apply(input, weight, bias, geometry, _activation_code(activation, layer), layer)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation: str | None = None):
    """activation(input convolved with weight + bias)

    input (N, C, L) or (C, L), weight (out, C / groups, kernel), bias (out,) or None. `activation` as in `linear`.
    """
    return convolved(1, input, weight, bias, stride, padding, dilation, groups, activation)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation: str | None = None):
    """As `conv1d`, for input (N, C, H, W) or (C, H, W) and weight (out, C / groups, KH, KW)."""
    return convolved(2, input, weight, bias, stride, padding, dilation, groups, activation)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation: str | None = None):
    """As `conv1d`, for input (N, C, D, H, W) or (C, D, H, W) and weight (out, C / groups, KD, KH, KW)."""
    return convolved(3, input, weight, bias, stride, padding, dilation, groups, activation)


class ConvLayer(Module):
    """What Conv1d, Conv2d, Conv3d, the transposed and the lazy ones share."""

    dims: ClassVar[int]
    transposed: ClassVar[bool] = False
    weight: Parameter
    bias: Parameter | None

    def _configure(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode, activation,
        output_padding=None,
    ) -> None:  # fmt: skip
        """Everything but the parameters."""
        layer, dims = type(self).__name__, self.dims
        self.kernel_size = tuple_of(kernel_size, dims, "kernel_size", layer, 1)
        geometry = geometry_of(dims, self.kernel_size, stride, padding, dilation, groups, layer, output_padding)
        self._checked: tuple = ()
        self._activation = _activation_code(activation, layer)
        self._check_groups(in_channels, out_channels, groups)
        modes = ["zeros"] if self.transposed else list(MODES)
        if padding_mode not in modes:
            raise ValueError(f"{layer}: expected padding_mode in {modes}, got {padding_mode!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.stride, self.dilation, self.groups = geometry.stride, geometry.dilation, groups
        self.padding = padding if isinstance(padding, str) else geometry.front
        self.output_padding = geometry.beyond or (0,) * dims
        self.padding_mode = padding_mode
        self.activation = activation

    @property
    def _geometry(self) -> Geometry:
        """What the numbers say at present: they may be changed, as those of torch's layers."""
        beyond = self.output_padding if self.transposed else None
        numbers = self.dims, self.kernel_size, self.stride, self.padding, self.dilation, self.groups
        if self._checked[:2] != (numbers, beyond):
            self._checked = numbers, beyond, geometry_of(*numbers, type(self).__name__, beyond)
        return self._checked[2]

    def _check_groups(self, in_channels, out_channels, groups) -> None:
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{type(self).__name__}: expected in_channels and out_channels divisible by groups, got {in_channels}, "
                f"{out_channels} and {groups}"
            )

    def _weight_shape(self) -> tuple[int, ...]:
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def _make_parameters(self, bias, device, dtype) -> None:
        self.weight = new_parameter(self._weight_shape(), device, dtype)
        self.register_parameter("bias", new_parameter((self.out_channels,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        # kaiming_uniform_ with a = sqrt(5) is uniform on +-1 / sqrt(fan_in), and the bias too
        fan_in = math.prod(self.weight.shape[1:])
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def _convolve(self, input, geometry):
        return ConvFunction.apply(input, self.weight, self.bias, geometry, self._activation, type(self).__name__)

    def extra_repr(self) -> str:
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.dims:
            said += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            said += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.dims:
            said += f", output_padding={self.output_padding}"
        if self.groups != 1:
            said += f", groups={self.groups}"
        if self.bias is None:
            said += ", bias=False"
        if self.padding_mode != "zeros":
            said += f", padding_mode={self.padding_mode}"
        return said if self.activation is None else f"{said}, activation={self.activation!r}"


class _Conv(ConvLayer):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size, stride=1, padding=0, dilation=1, groups: int = 1,
        bias: bool = True, padding_mode: str = "zeros", device=None, dtype=None, *, activation: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        numbers = stride, padding, dilation, groups
        self._configure(in_channels, out_channels, kernel_size, *numbers, padding_mode, activation)
        self._make_parameters(bias, device, dtype)

    def forward(self, input):
        geometry = self._geometry
        if self.padding_mode != "zeros":
            input = pad_around(input, geometry.front, geometry.back, self.padding_mode, type(self).__name__)
            none = (0,) * self.dims
            geometry = geometry._replace(front=none, back=none)
        return self._convolve(input, geometry)


class Conv1d(_Conv):
    """y[n, k, o] = activation(bias[k] + sum over c, r of weight[k, c, r] x[n, c, o * stride + r * dilation - padding])

    Input (N, in_channels, L) or (in_channels, L), output (N, out_channels, places) or without N. Parameters: weight
    (out_channels, in_channels / groups, kernel_size) and bias (out_channels,), uniform on +-1 / sqrt(fan_in) at first,
    as torch.nn.Conv1d. `padding` is a number, "same" or "valid"; the keyword `activation` as in `Linear`.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.Conv1d(4, 8, 3, padding=1)
    >>> layer
    Conv1d(4, 8, kernel_size=(3,), stride=(1,), padding=(1,))
    >>> layer(np.ones((2, 4, 50), np.float32)).shape
    (2, 8, 50)
    """

    dims = 1


class Conv2d(_Conv):
    """As Conv1d, over two dimensions: input (N, in_channels, H, W) or (in_channels, H, W).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.Conv2d(3, 16, 3, stride=2, activation="relu")
    >>> layer
    Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), activation='relu')
    >>> layer(np.ones((5, 3, 28, 28), np.float32)).shape
    (5, 16, 13, 13)
    """

    dims = 2


class Conv3d(_Conv):
    """As Conv1d, over three dimensions: input (N, in_channels, D, H, W) or (in_channels, D, H, W).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Conv3d(1, 4, (1, 3, 3))(np.ones((2, 1, 5, 8, 8), np.float32)).shape
    (2, 4, 5, 6, 6)
    """

    dims = 3
