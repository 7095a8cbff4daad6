"""Pooling as functions, by torch.nn.functional's names, arguments and defaults.

Input: (N, C, ...) or (C, ...) with one, two or three dimensions after the channels.
"""

from __future__ import annotations

import math
from typing import Any

from .activation_functions import relu
from .doors import absent, call, copy_into, empty
from .dtypes import int32, int64
from .pooling_windows import adaptive_windows, regular_windows, sizes, unit_axis
from .tape import Function
from .tensor import as_tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


def _solid(shape, axes):
    """A shape with its last `axes` dimensions as planes of three, and all that comes before as one."""
    lead, plane = shape[: len(shape) - axes], shape[len(shape) - axes :]
    return (math.prod(lead), *(1,) * (3 - axes), *plane)


class MaxPool(Function):
    """Values, and positions where they are wanted; `tables` holds the windows of each axis.

    rectified: relu of the values; positions are -1 where it is 0.
    """

    @staticmethod
    def forward(ctx, x, tables, return_indices, rectified):
        axes, device = len(tables), ctx.device
        shape = (*x.shape[: x.ndim - axes], *(t.shape[1] for t in tables))
        windows = (unit_axis(device),) * (3 - axes) + tables
        y, solid = empty(shape, x.dtype, device), _solid(shape, axes)
        wanted = return_indices or ctx.needs[0]
        indices = empty(solid, int32, device) if wanted else absent(int32, device, 4)
        arrays = y.reshape(solid), indices, x.reshape(_solid(x.shape, axes))
        call("pool_max.max_pool_forward", *arrays, *windows, rectified)
        if ctx.needs[0]:
            ctx.save(indices)
            ctx.windows, ctx.shape, ctx.solid = windows, x.shape, _solid(x.shape, axes)
        if not return_indices:
            return y
        where = empty(shape, int64, device)
        copy_into(where.reshape(solid), indices)
        return y, where

    @staticmethod
    def backward(ctx, dy, _=None):
        (indices,) = ctx.saved
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        arrays = dx.reshape(ctx.solid), dy.reshape(indices.shape), indices
        call("pool_max.max_pool_backward", *arrays, *ctx.windows)
        return dx, None, None, None


class AveragePool(Function):
    """`tables` holds the windows of each axis, with divisors."""

    @staticmethod
    def forward(ctx, x, tables):
        axes, device = len(tables), ctx.device
        shape = (*x.shape[: x.ndim - axes], *(t.shape[1] for t in tables))
        ctx.windows = (unit_axis(device),) * (3 - axes) + tables
        ctx.shape, ctx.solid, ctx.result = x.shape, _solid(x.shape, axes), _solid(shape, axes)
        y = empty(shape, x.dtype, device)
        call("pool_average.average_pool_forward", y.reshape(ctx.result), x.reshape(ctx.solid), *ctx.windows)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        call("pool_average.average_pool_backward", dx.reshape(ctx.solid), dy.reshape(ctx.result), *ctx.windows)
        return dx, None


def checked(input, axes: int, name: str):
    """The input as a tensor of axes + 1 or axes + 2 dimensions."""
    x = as_tensor(input)
    if len(x.shape) not in (axes + 1, axes + 2):
        raise ValueError(f"{name}: expected a {axes + 1}-D (unbatched) or {axes + 2}-D (batched) input, got {x.shape}")
    return x


def max_pool(
    axes, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=False, rectified=False
) -> Any:
    name = f"max_pool{axes}d"
    x = checked(input, axes, name)
    kernel, steps = sizes(kernel_size, axes, f"{name}: kernel_size"), sizes(dilation, axes, f"{name}: dilation")
    strides = kernel if stride is None else sizes(stride, axes, f"{name}: stride")
    padded = sizes(padding, axes, f"{name}: padding")
    geometry = zip(x.shape[-axes:], kernel, strides, padded, steps, strict=True)
    tables = tuple(regular_windows(name, x.device, *axis, bool(ceil_mode), "step") for axis in geometry)
    return MaxPool.apply(x, tables, bool(return_indices), rectified)


def _avg_pool(axes, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) -> Any:
    name = f"avg_pool{axes}d"
    x = checked(input, axes, name)
    kernel = sizes(kernel_size, axes, f"{name}: kernel_size")
    strides = kernel if stride is None else sizes(stride, axes, f"{name}: stride")
    padded = sizes(padding, axes, f"{name}: padding")
    if divisor_override is None:
        divisors: list[Any] = ["padded" if count_include_pad else "inside"] * axes
    elif divisor_override == 0:
        raise ValueError(f"{name}: expected a divisor_override other than 0")
    else:
        divisors = [int(divisor_override), *[1] * (axes - 1)]
    tables = tuple(
        regular_windows(name, x.device, x.shape[i - axes], kernel[i], strides[i], padded[i], 1, bool(ceil_mode), d)
        for i, d in enumerate(divisors)
    )
    return AveragePool.apply(x, tables)


def _adaptive(axes, input, output_size, name, divides):
    x = checked(input, axes, name)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * axes
    if len(given) != axes:
        raise ValueError(f"{name}: expected an output_size or {axes} of them, got {output_size!r}")
    counts = [size if count is None else int(count) for size, count in zip(x.shape[-axes:], given, strict=True)]
    if min(counts) < 0 or min(x.shape[-axes:]) < 1:
        raise ValueError(
            f"{name}: expected sizes of at least 0 and planes that are not empty, got {counts} for {x.shape}"
        )
    return x, tuple(adaptive_windows(x.device, *axis, divides) for axis in zip(x.shape[-axes:], counts, strict=True))


def _adaptive_max_pool(axes, input, output_size, return_indices) -> Any:
    x, tables = _adaptive(axes, input, output_size, f"adaptive_max_pool{axes}d", False)
    return MaxPool.apply(x, tables, bool(return_indices), False)


def _adaptive_avg_pool(axes, input, output_size) -> Any:
    return AveragePool.apply(*_adaptive(axes, input, output_size, f"adaptive_avg_pool{axes}d", True))


def _lp_pool(axes, input, norm_type, kernel_size, stride, ceil_mode) -> Any:
    kernel = sizes(kernel_size, axes, f"lp_pool{axes}d: kernel_size")
    x = as_tensor(input)
    mean = _avg_pool(axes, x.pow(norm_type), kernel, stride, 0, ceil_mode, True, None)
    # as torch writes it: where the sum is 0, the gradient is 0
    return (mean.sign() * relu(mean.abs())).mul(math.prod(kernel)).pow(1.0 / norm_type)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False) -> Any:
    """The largest of each window; with return_indices also its position"""
    return max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False) -> Any:
    """The largest of each window; with return_indices also its flat position in the plane"""
    return max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False) -> Any:
    """The largest of each window; with return_indices also its flat position in the volume"""
    return max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Any:
    """The mean of each window; zeros of the padding count unless count_include_pad=False"""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Any:
    """The mean of each window; zeros of the padding count unless count_include_pad=False"""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
) -> Any:
    """The mean of each window; zeros of the padding count unless count_include_pad=False"""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Any:
    """(sum of x^p over each window)^(1/p)"""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Any:
    """(sum of x^p over each window)^(1/p)"""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Any:
    """(sum of x^p over each window)^(1/p)"""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_max_pool1d(input, output_size, return_indices=False) -> Any:
    """The largest of `output_size` windows that cover the input evenly"""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input, output_size, return_indices=False) -> Any:
    """The largest of `output_size` windows that cover the input evenly; None: as many as the input has elements"""
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(input, output_size, return_indices=False) -> Any:
    """The largest of `output_size` windows that cover the input evenly; None: as many as the input has elements"""
    return _adaptive_max_pool(3, input, output_size, return_indices)


def adaptive_avg_pool1d(input, output_size) -> Any:
    """The means of `output_size` windows that cover the input evenly"""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input, output_size) -> Any:
    """The means of `output_size` windows that cover the input evenly; None: as many as the input has elements"""
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input, output_size) -> Any:
    """The means of `output_size` windows that cover the input evenly; None: as many as the input has elements"""
    return _adaptive_avg_pool(3, input, output_size)
