"""Pooling layers, by torch.nn's names, arguments and defaults.

Input: (N, C, L), (N, C, H, W) or (N, C, D, H, W), or without N. Output: the same with one element a window.
"""

from __future__ import annotations

from typing import Any

from . import pooling_functions as functions
from .module import Module
from .pooling_windows import sizes

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


class _MaxPool(Module):
    _function: Any = staticmethod(functions.max_pool1d)

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input) -> Any:
        geometry = self.kernel_size, self.stride, self.padding, self.dilation
        return self._function(input, *geometry, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest of each window."""


class MaxPool2d(_MaxPool):
    """The largest of each window; with return_indices=True also its flat position in the plane, for MaxUnpool2d.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.MaxPool2d(2)(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)).numpy()
    array([[[[ 5.,  7.],
             [13., 15.]]]], dtype=float32)
    """

    _function = staticmethod(functions.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest of each window."""

    _function = staticmethod(functions.max_pool3d)


class AvgPool1d(Module):
    """The mean of each window; zeros of the padding count unless count_include_pad=False."""

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode: bool = False, count_include_pad: bool = True
    ) -> None:
        super().__init__()
        self.kernel_size = sizes(kernel_size, 1, "AvgPool1d: kernel_size")
        self.stride = self.kernel_size if stride is None else sizes(stride, 1, "AvgPool1d: stride")
        self.padding = sizes(padding, 1, "AvgPool1d: padding")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input) -> Any:
        geometry = self.kernel_size, self.stride, self.padding
        return functions.avg_pool1d(input, *geometry, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window; zeros of the padding count unless count_include_pad=False.

    divisor_override divides instead of the number of elements.
    """

    _function: Any = staticmethod(functions.avg_pool2d)

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, input) -> Any:
        geometry = self.kernel_size, self.stride, self.padding
        return self._function(input, *geometry, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The mean of each window, as AvgPool2d."""

    _function = staticmethod(functions.avg_pool3d)


class LPPool1d(Module):
    """(sum of x^p over each window)^(1/p), p = norm_type: the sum for p = 1, towards the largest for great p."""

    _function: Any = staticmethod(functions.lp_pool1d)

    def __init__(self, norm_type: float, kernel_size, stride=None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input) -> Any:
        return self._function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool2d(LPPool1d):
    """(sum of x^p over each window)^(1/p), p = norm_type."""

    _function = staticmethod(functions.lp_pool2d)


class LPPool3d(LPPool1d):
    """(sum of x^p over each window)^(1/p), p = norm_type."""

    _function = staticmethod(functions.lp_pool3d)


class _Adaptive(Module):
    output_size: Any

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_Adaptive):
    _function: Any = staticmethod(functions.adaptive_max_pool1d)

    def __init__(self, output_size, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input) -> Any:
        return self._function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest of `output_size` windows that cover the input evenly."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest of `output_size` windows that cover the input evenly; None: as many as the input has elements."""

    _function = staticmethod(functions.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest of `output_size` windows that cover the input evenly; None: as many as the input has elements."""

    _function = staticmethod(functions.adaptive_max_pool3d)


class _AdaptiveAvgPool(_Adaptive):
    _function: Any = staticmethod(functions.adaptive_avg_pool1d)

    def __init__(self, output_size) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input) -> Any:
        return self._function(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` windows that cover the input evenly."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of `output_size` windows that cover the input evenly; None: as many as the input has elements."""

    _function = staticmethod(functions.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of `output_size` windows that cover the input evenly; None: as many as the input has elements."""

    _function = staticmethod(functions.adaptive_avg_pool3d)
