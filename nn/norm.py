"""Layer norm, root-mean-square norm and group norm, by torch's names and rules: layers and functions."""

from __future__ import annotations

import math

from . import init
from .doors import absent, call, empty
from .dtypes import float32, float64
from .factory import gradients_into, new_parameter
from .mode import mode
from .module import Module
from .parameter import Parameter
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm", "group_norm", "layer_norm", "rms_norm"]


def normalise(ctx, kernel, x, w, b, split, statistics, *more):
    """y by a forward kernel that sees x as of shape `split` and leaves mean and rstd of shape `statistics`."""
    ctx.split = split
    w, b = (absent(x.dtype) if v is None else v.reshape(-1) for v in (w, b))
    y = empty(x.shape, x.dtype, ctx.device)
    mean, rstd = (empty(statistics, float64, ctx.device) for _ in range(2))
    call(kernel, y.reshape(split), mean, rstd, x.reshape(split), w, b, *more)
    ctx.save(x, w, mean, rstd)
    return y, mean, rstd


def differentiate(ctx, kernel, dy, *more):
    """dx, dw, db by the backward kernel of that."""
    x, w, mean, rstd = ctx.saved
    split = ctx.split
    dx = empty(x.shape, x.dtype, ctx.device) if ctx.needs[0] else None
    dw, db, accumulate = gradients_into(ctx, 1, 2)
    out = absent(x.dtype, ctx.device, len(split)) if dx is None else dx.reshape(split)
    arrays = out, dw.reshape(-1), db.reshape(-1), dy.reshape(split), x.reshape(split), w, mean, rstd
    call(kernel, *arrays, *more, accumulate)
    return dx, dw, db


class _LayerNorm(Function):
    """Rows behind the leading dimensions of x; w and b of a row's shape, or None."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, w, b, shape, eps):
        _check_rows("layer_norm", x, shape, weight=w, bias=b)
        flat = _flat(x, shape)
        return normalise(ctx, "norm.layer_norm_forward", x, w, b, flat, flat[:1], eps)[0]

    @staticmethod
    def backward(ctx, dy):
        return *differentiate(ctx, "norm.layer_norm_backward", dy), None, None


class _RMSNorm(Function):
    """Rows behind the leading dimensions of x; w of a row's shape, or None."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, w, shape, eps):
        _check_rows("rms_norm", x, shape, weight=w)
        ctx.flat = rows, width = _flat(x, shape)
        w = absent(x.dtype) if w is None else w.reshape(width)
        y, rstd = empty(x.shape, x.dtype, ctx.device), empty((rows,), float64, ctx.device)
        call("norm.rms_norm_forward", y.reshape(rows, width), rstd, x.reshape(rows, width), w, eps)
        ctx.save(x, w, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w, rstd = ctx.saved
        flat = ctx.flat
        dx = empty(x.shape, x.dtype, ctx.device) if ctx.needs[0] else None
        dw, accumulate = ctx.grad_into(1)
        call(
            "norm.rms_norm_backward",
            *(absent(x.dtype, ctx.device, 2) if dx is None else dx.reshape(flat), dw.reshape(-1)),
            *(dy.reshape(flat), x.reshape(flat), w, rstd, accumulate),
        )
        return dx, dw, None, None


class GroupNormFunction(Function):
    """x (N, C, ...) in `groups` groups of channels; w and b (C,) or None; `running`: what to average statistics into,

    None or (running_mean, running_var, batches, momentum) as of `running_update`.
    """

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, w, b, groups, eps, running):
        samples, channels = x.shape[:2]
        split = (samples, groups, channels // groups, math.prod(x.shape[2:]))
        y, mean, rstd = normalise(ctx, "norm_group.group_norm_forward", x, w, b, split, split[:2], eps)
        if running is not None:
            *averages, momentum = running
            call("norm_batch.running_update", *averages, mean, rstd, split[2] * split[3], momentum, eps)
        return y

    @staticmethod
    def backward(ctx, dy):
        return *differentiate(ctx, "norm_group.group_norm_backward", dy), None, None, None


def layer_norm(input, normalized_shape, weight=None, bias=None, eps: float = 1e-5) -> Tensor:
    """Rows, which are the last dimensions `normalized_shape`, to mean 0 and variance 1; then weight, bias."""
    return _LayerNorm.apply(as_tensor(input), weight, bias, _shape_of(normalized_shape), float(eps))


def rms_norm(input, normalized_shape, weight=None, eps: float | None = None) -> Tensor:
    """Each row divided by the root of its mean square (plus eps; None: the dtype's epsilon); then weight."""
    input = as_tensor(input)
    if eps is None:
        # the distance from 1 to the next number
        eps = 2.0**-52 if input.dtype == float64 else 2.0**-23
    return _RMSNorm.apply(input, weight, _shape_of(normalized_shape), float(eps))


def group_norm(input, num_groups: int, weight=None, bias=None, eps: float = 1e-5) -> Tensor:
    """Each group of channels of a sample of (N, C, ...) to mean 0 and variance 1; then weight, bias (C,)."""
    input = as_tensor(input)
    shape = input.shape
    if len(shape) < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {len(shape)}")
    if num_groups <= 0 or shape[1] % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(shape)} "
            f"and num_groups={num_groups}"
        )
    rows = [shape[0] * shape[1] // num_groups, num_groups, *shape[2:]]
    if rows[0] * math.prod(rows[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {rows}")
    check_channels("group_norm", input, shape[1], weight=weight, bias=bias)
    return GroupNormFunction.apply(input, weight, bias, num_groups, float(eps), None)


class _RowNorm(Module):
    """What LayerNorm and RMSNorm share."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, normalized_shape, eps, elementwise_affine, device, dtype) -> None:
        super().__init__()
        self.normalized_shape = _shape_of(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = new_parameter(self.normalized_shape, device, dtype) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self)


class LayerNorm(_RowNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and variance over the last dimensions

    Input (..., *normalized_shape), output the same. Parameters: weight and bias, of normalized_shape, at first 1 and 0.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LayerNorm(4)
    >>> layer
    LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    >>> layer(np.array([[1, 1, 3, 3]], np.float32)).numpy().round(3)
    array([[-1., -1.,  1.,  1.]], dtype=float32)
    """

    def __init__(
        self, normalized_shape, eps: float = 1e-5, elementwise_affine=True, bias=True, device=None, dtype=None
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, device, dtype)
        shape = self.normalized_shape
        self.register_parameter("bias", new_parameter(shape, device, dtype) if elementwise_affine and bias else None)
        self.reset_parameters()

    def forward(self, input) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(_RowNorm):
    """y = x / sqrt(mean(x^2) + eps) * weight, the mean over the last dimensions; eps None: the dtype's epsilon

    Input (..., *normalized_shape), output the same. Parameter: weight, of normalized_shape, at first 1.
    """

    def __init__(
        self, normalized_shape, eps: float | None = None, elementwise_affine=True, device=None, dtype=None
    ) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, device, dtype)
        self.reset_parameters()

    def forward(self, input) -> Tensor:
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and variance of each group of channels of a sample

    Input (N, num_channels, ...), output the same. Parameters: weight and bias (num_channels,), at first 1 and 0.

    >>> from hotloop import nn
    >>> nn.GroupNorm(3, 6)
    GroupNorm(3, 6, eps=1e-05, affine=True, bias=True)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine=True, device=None, dtype=None, *, bias=True
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, new_parameter((num_channels,), device, dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self)

    def forward(self, input) -> Tensor:
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"


def _reset(layer) -> None:
    if layer.weight is not None:
        init.ones_(layer.weight)
    if getattr(layer, "bias", None) is not None:
        init.zeros_(layer.bias)


def _shape_of(normalized_shape) -> tuple[int, ...]:
    return (int(normalized_shape),) if hasattr(normalized_shape, "__index__") else tuple(normalized_shape)


def _flat(x, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows, and numbers of a row."""
    return math.prod(x.shape[: len(x.shape) - len(shape)]), math.prod(shape)


def _check_rows(name: str, x, shape: tuple[int, ...], **parameters) -> None:
    if not shape:
        raise RuntimeError(f"{name}: expected normalized_shape to be at least 1-dimensional, got ()")
    if tuple(x.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {str(list(shape))[1:]}, "
            f"but got input of size {list(x.shape)}"
        )
    check_parameters(name, x, shape, "normalized_shape", parameters)


def check_channels(name: str, x, channels: int, **parameters) -> None:
    """Parameters and statistics must be a number a channel, of the input's dtype."""
    check_parameters(name, x, (channels,), "a number a channel", parameters)


def check_parameters(name: str, x, shape: tuple[int, ...], what: str, parameters: dict) -> None:
    for which, given in parameters.items():
        if given is None:
            continue
        if tuple(given.shape) != shape:
            raise RuntimeError(f"{name}: expected {which} of shape {shape} ({what}), got {tuple(given.shape)}")
        # in autocast a norm gets its 16-bit input in float32
        cast = mode.autocast is not None and given.dtype == float32 and x.dtype.itemsize == 2
        if given.dtype != x.dtype and not cast:
            raise TypeError(f"{name}: expected {which} of the input's dtype {x.dtype}, got {given.dtype}")
