"""Convolutions of 1, 2 and 3 dimensions and their functions: one family of kernels, with unit dimensions in front."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

from ..kernels.scalar import NEEDS_INPUT
from . import init
from .doors import absent, call, empty
from .factory import gradients_into, new_parameter
from .linear import _activation_code
from .module import Module
from .padding import MODES, pad_around
from .parameter import Parameter
from .tape import Function

__all__ = ["Conv1d", "Conv2d", "Conv3d", "conv1d", "conv2d", "conv3d"]


class Geometry(NamedTuple):
    """The numbers of a convolution, a tuple entry for each of its dimensions."""

    stride: tuple[int, ...]
    front: tuple[int, ...]  # padding
    back: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class ConvFunction(Function):
    """y = activation(x convolved with w + b); x (N, C, ...) or (C, ...)."""

    @staticmethod
    def forward(ctx, x, w, b, geometry, code, layer):
        _check(x, w, b, geometry, layer)
        dims = len(geometry.stride)
        places = _places(x.shape[-dims:], w.shape[2:], geometry, layer)
        x5, w5 = _in_five(x.reshape(-1, *x.shape[-dims - 1 :]) if x.size else _batched(x, dims)), _in_five(w)
        y = empty((x5.shape[0], w.shape[0], *(1,) * (3 - dims), *places), x.dtype, ctx.device)
        nothing = absent(x.dtype, ctx.device)
        recording = True in ctx.needs
        z = empty(y.shape, x.dtype, ctx.device) if recording and code in NEEDS_INPUT else nothing
        numbers = _numbers(geometry)
        call("conv.conv_forward", y, z, x5, w5, nothing if b is None else b, code, *numbers)
        shape = (*x.shape[: -dims - 1], w.shape[0], *places)
        y = y.reshape(shape)
        if recording:
            ctx.save(x, w, *((y,) if code else ()))
            ctx.shapes, ctx.numbers, ctx.code, ctx.kept = (x5.shape, w5.shape), numbers, code, z
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved[:2]
        x5, w5 = (a.reshape(shape) for a, shape in zip((x, w), ctx.shapes, strict=True))
        dtype, device = x.dtype, ctx.device
        nothing = absent(dtype, device)
        dims = len(w.shape) - 2
        dy5 = dy.reshape(x5.shape[0], w.shape[0], *(1,) * (3 - dims), *dy.shape[-dims:])
        y5 = ctx.saved[2].reshape(dy5.shape) if ctx.code else nothing
        dx = empty(x5.shape, dtype, device) if ctx.needs[0] else nothing
        dw, db, accumulate = gradients_into(ctx, 1, 2)
        dw5 = dw.reshape(w5.shape) if ctx.needs[1] else dw
        call("conv.conv_backward", dx, dw5, db, dy5, x5, w5, y5, ctx.kept, ctx.code, *ctx.numbers, accumulate)
        if not ctx.retained:
            ctx.kept = None
        return dx.reshape(x.shape) if ctx.needs[0] else None, dw, db, None, None, None


def _batched(x, dims):
    """x (N, C, ...) of one that may lack N."""
    return x if len(x.shape) == dims + 2 else x.reshape(1, *x.shape)


def _in_five(a):
    return a.reshape(*a.shape[:2], *(1,) * (5 - len(a.shape)), *a.shape[2:])


def _numbers(geometry):
    """The kernel's numbers: dimensions that are not there have stride 1, padding 0, dilation 1."""
    lead = 3 - len(geometry.stride)
    return (
        *((1,) * lead + geometry.stride),
        *((0,) * lead + geometry.front),
        *((1,) * lead + geometry.dilation),
        geometry.groups,
    )


def _places(size, kernel, geometry, layer):
    """How many results there are in each dimension."""
    padded = [i + f + b for i, f, b in zip(size, geometry.front, geometry.back, strict=True)]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, geometry.dilation, strict=True)]
    if any(span > room for span, room in zip(spans, padded, strict=True)):
        raise ValueError(
            f"{layer}: expected a kernel no larger than the padded input, got {tuple(spans)} (dilated) over "
            f"{tuple(padded)}"
        )
    return tuple((room - span) // s + 1 for room, span, s in zip(padded, spans, geometry.stride, strict=True))


def _check(x, w, b, geometry, layer):
    dims, groups = len(geometry.stride), geometry.groups
    if len(w.shape) != dims + 2 or 0 in w.shape[2:]:
        raise ValueError(f"{layer}: expected weight (out, in / groups, {dims} kernel sizes), got shape {w.shape}")
    if not hasattr(x, "shape"):
        raise TypeError(f"{layer}: expected input to be a Tensor or an array, got {type(x).__name__}")
    channels = w.shape[1] * groups
    if len(x.shape) not in (dims + 1, dims + 2) or x.shape[-dims - 1] != channels:
        sizes = ", ".join("DHW"[3 - dims :] if dims > 1 else "L")
        raise ValueError(
            f"{layer}: expected input (N, {channels}, {sizes}) or ({channels}, {sizes}), got shape {x.shape}"
        )
    if w.shape[0] % groups:
        raise ValueError(f"{layer}: expected out channels divisible by groups, got {w.shape[0]} and {groups}")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"{layer}: expected bias ({w.shape[0]},), got shape {b.shape}")
    for name, a in (("input", x), ("bias", b)):
        if a is not None and a.dtype != w.dtype:
            raise TypeError(
                f"{layer}: expected {name} of the weight's dtype {w.dtype}, got {a.dtype}; convert one of them with "
                f".to({name}.dtype) or .to(weight.dtype)"
            )


def _tuple_of(value: Any, dims: int, name: str, layer: str, least: int) -> tuple[int, ...]:
    """A number, or one for each dimension (a single one stands for all)."""
    values = (value,) * dims if hasattr(value, "__index__") else tuple(value)
    if len(values) == 1:
        values *= dims
    if len(values) != dims or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise ValueError(f"{layer}: expected {name} as a whole number or {dims} of them, got {value!r}")
    if min(values) < least:
        raise ValueError(f"{layer}: expected {name} of {least} or more, got {value!r}")
    return tuple(int(v) for v in values)


def _geometry(dims: int, kernel, stride, padding, dilation, groups, layer: str) -> Geometry:
    stride = _tuple_of(stride, dims, "stride", layer, 1)
    dilation = _tuple_of(dilation, dims, "dilation", layer, 1)
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1:
        raise ValueError(f"{layer}: expected groups of 1 or more, got {groups!r}")
    if padding == "same":
        if stride != (1,) * dims:
            raise ValueError(f"{layer}: expected stride 1 for padding 'same', got {stride}")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        # what is odd goes behind, as in torch
        return Geometry(stride, tuple(t // 2 for t in total), tuple(t - t // 2 for t in total), dilation, groups)
    if isinstance(padding, str) and padding != "valid":
        raise ValueError(f"{layer}: expected padding 'same', 'valid' or whole numbers, got {padding!r}")
    front = _tuple_of(0 if padding == "valid" else padding, dims, "padding", layer, 0)
    return Geometry(stride, front, front, dilation, groups)


def _conv(dims, input, weight, bias, stride, padding, dilation, groups, activation):
    layer = f"conv{dims}d"
    if len(weight.shape) != dims + 2:
        raise ValueError(f"{layer}: expected weight (out, in / groups, {dims} kernel sizes), got shape {weight.shape}")
    geometry = _geometry(dims, weight.shape[2:], stride, padding, dilation, groups, layer)
    return ConvFunction.apply(input, weight, bias, geometry, _activation_code(activation, layer), layer)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation: str | None = None):
    """activation(input convolved with weight + bias)

    input (N, C, L) or (C, L), weight (out, C / groups, kernel), bias (out,) or None. `activation` as in `linear`.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, activation)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation: str | None = None):
    """As `conv1d`, for input (N, C, H, W) or (C, H, W) and weight (out, C / groups, KH, KW)."""
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, activation)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation: str | None = None):
    """As `conv1d`, for input (N, C, D, H, W) or (C, D, H, W) and weight (out, C / groups, KD, KH, KW)."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, activation)


class _ConvNd(Module):
    """What Conv1d, Conv2d and Conv3d share."""

    dims: ClassVar[int]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.kernel_size = _tuple_of(kernel_size, self.dims, "kernel_size", layer, 1)
        self._geometry = _geometry(self.dims, self.kernel_size, stride, padding, dilation, groups, layer)
        self._activation = _activation_code(activation, layer)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{layer}: expected in_channels and out_channels divisible by groups, got {in_channels}, "
                f"{out_channels} and {groups}"
            )
        if padding_mode not in MODES:
            raise ValueError(f"{layer}: expected padding_mode in {list(MODES)}, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = self._geometry.stride
        self.padding = padding if isinstance(padding, str) else self._geometry.front
        self.dilation = self._geometry.dilation
        self.groups = groups
        self.padding_mode = padding_mode
        self.activation = activation
        self.weight = new_parameter((out_channels, in_channels // groups, *self.kernel_size), device, dtype)
        self.register_parameter("bias", new_parameter((out_channels,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        # kaiming_uniform_ with a = sqrt(5) is uniform on +-1 / sqrt(fan_in), and the bias too
        fan_in = self.in_channels // self.groups * math.prod(self.kernel_size)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        geometry = self._geometry
        if self.padding_mode != "zeros":
            input = pad_around(input, geometry.front, geometry.back, self.padding_mode, type(self).__name__)
            none = (0,) * self.dims
            geometry = geometry._replace(front=none, back=none)
        return ConvFunction.apply(input, self.weight, self.bias, geometry, self._activation, type(self).__name__)

    def extra_repr(self) -> str:
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.dims:
            said += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            said += f", dilation={self.dilation}"
        if self.groups != 1:
            said += f", groups={self.groups}"
        if self.bias is None:
            said += ", bias=False"
        if self.padding_mode != "zeros":
            said += f", padding_mode={self.padding_mode}"
        return said if self.activation is None else f"{said}, activation={self.activation!r}"


class Conv1d(_ConvNd):
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


class Conv2d(_ConvNd):
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


class Conv3d(_ConvNd):
    """As Conv1d, over three dimensions: input (N, in_channels, D, H, W) or (in_channels, D, H, W).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Conv3d(1, 4, (1, 3, 3))(np.ones((2, 1, 5, 8, 8), np.float32)).shape
    (2, 4, 5, 6, 6)
    """

    dims = 3
