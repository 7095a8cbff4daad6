"""Fractional max pooling: windows that overlap at random, so that the output is any fraction of the input.

The draws come from the library's generator: `manual_seed` repeats them.
"""

from __future__ import annotations

import math
from typing import Any

from .doors import call, contiguous, empty
from .dtypes import int64
from .module import Module
from .pooling_functions import MaxPool, checked
from .pooling_windows import sizes
from .random import rand
from .tensor import as_tensor

__all__ = ["FractionalMaxPool2d", "FractionalMaxPool3d", "fractional_max_pool2d", "fractional_max_pool3d"]

# which number of a plane's sample an axis takes, by the number of axes: as in torch
SAMPLE = {2: (1, 0), 3: (0, 1, 2)}


def _pool(axes, input, kernel_size, output_size, output_ratio, return_indices, samples) -> Any:
    name = f"fractional_max_pool{axes}d"
    x = checked(input, axes, name)
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name}: expected either an output_size or an output_ratio")
    kernel, plane = sizes(kernel_size, axes, f"{name}: kernel_size"), x.shape[-axes:]
    if output_size is None:
        output_size = [int(n * r) for n, r in zip(plane, _ratios(output_ratio, axes), strict=True)]
    counts = sizes(output_size, axes, f"{name}: output_size")
    for size, count, k in zip(plane, counts, kernel, strict=True):
        if count < 1 or k < 1 or count + k - 1 > size:
            raise ValueError(f"{name}: expected output_size + kernel_size - 1 of at most {size}, got {count} and {k}")
    lead = x.shape[:-axes]
    shape = (1, *lead, axes) if len(lead) == 1 else (*lead, axes)
    drawn = rand(shape, dtype=x.dtype, device=x.device) if samples is None else as_tensor(samples)
    if drawn.shape != shape:
        raise ValueError(f"{name}: expected _random_samples of shape {shape}, got {drawn.shape}")
    flat = contiguous(drawn.data).reshape(math.prod(lead), axes)
    tables = []
    for i, size in enumerate(plane):
        table = empty((flat.shape[0], counts[i], 3), int64, x.device)
        call("pool_windows.fractional_windows_forward", table, flat, SAMPLE[axes][i], size, kernel[i])
        tables.append(table)
    return MaxPool.apply(x, tuple(tables), bool(return_indices), False)


def _ratios(value, axes):
    given = value if isinstance(value, (tuple, list)) else (value,) * axes
    if len(given) != axes or not all(0 < ratio < 1 for ratio in given):
        raise ValueError(f"output_ratio must be between 0 and 1 (got {value})")
    return given


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
) -> Any:
    """The largest of windows drawn at random; the output has a size, or a ratio of the input's size"""
    return _pool(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
) -> Any:
    """The largest of windows drawn at random; the output has a size, or a ratio of the input's size"""
    return _pool(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


class _FractionalMaxPool(Module):
    _axes = 2
    _random_samples: Any

    def __init__(
        self, kernel_size, output_size=None, output_ratio=None, return_indices: bool = False, _random_samples=None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if output_size is not None and output_ratio is not None:
            raise ValueError(f"{name}: only one of output_size and output_ratio may be specified")
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        axes = self._axes
        self.kernel_size = sizes(kernel_size, axes, f"{name}: kernel_size")
        self.output_size = None if output_size is None else sizes(output_size, axes, f"{name}: output_size")
        self.output_ratio = None if output_ratio is None else tuple(_ratios(output_ratio, axes))
        self.return_indices = return_indices
        self.register_buffer("_random_samples", None if _random_samples is None else as_tensor(_random_samples))

    def forward(self, input) -> Any:
        output = self.output_size, self.output_ratio
        return _pool(self._axes, input, self.kernel_size, *output, self.return_indices, self._random_samples)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest of windows drawn at random for each plane. Input: (N, C, H, W) or (C, H, W).

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.FractionalMaxPool2d(2, output_ratio=0.7)(np.ones((1, 3, 20, 10), np.float32)).shape
    (1, 3, 14, 7)
    """


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest of windows drawn at random for each volume. Input: (N, C, D, H, W) or (C, D, H, W)."""

    _axes = 3
