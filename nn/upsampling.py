"""Resampling of planes, to more elements or to fewer, by torch's names and rules."""

from __future__ import annotations

import functools
import operator
from typing import Any

from ..kernels import interpolate_modes as modes
from .doors import call, empty, refuse_while_recording
from .dtypes import int64
from .module import Module
from .pooling_functions import _solid, adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .tape import Function
from .tensor import as_tensor

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "interpolate"]

# by name: the code, that with antialias, and for how many dimensions
_MODES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "nearest": (modes.NEAREST, None, (1, 2, 3)),
    "nearest-exact": (modes.NEAREST_EXACT, None, (1, 2, 3)),
    "linear": (modes.LINEAR, None, (1,)),
    "bilinear": (modes.LINEAR, modes.LINEAR_ANTIALIAS, (2,)),
    "trilinear": (modes.LINEAR, None, (3,)),
    "bicubic": (modes.CUBIC, modes.CUBIC_ANTIALIAS, (2,)),
    "area": (None, None, (1, 2, 3)),
}
_AREA = adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d


def _table(device, dtype, size, count, scale, mode, align_corners):
    """(taps, weights) of an axis."""
    shape = modes.taps_of(mode, size, count, scale, align_corners), count
    taps, weights = empty(shape, int64, device), empty(shape, dtype, device)
    call("interpolate_taps.interpolate_taps_forward", taps, weights, size, scale, mode, align_corners)
    return taps, weights


@functools.lru_cache(maxsize=256)
def _tables(device, dtype, sides, geometry, mode, align_corners):
    """Of all three axes, one after the other; made once for each geometry, and kept."""
    if device != "cpu":
        refuse_while_recording("making the tables of a resampling, which later ones share,")
    found = [_table(device, dtype, 1, 1, 0.0, modes.NEAREST, False)] * (3 - len(sides))
    for size, (count, scale) in zip(sides, geometry, strict=True):
        found.append(_table(device, dtype, size, count, scale, mode, align_corners))
    return tuple(array for table in found for array in table)


class Resampled(Function):
    """`geometry` holds (size, scale) of each axis, scale 0 where the size tells it."""

    @staticmethod
    def forward(ctx, x, geometry, mode, align_corners):
        axes, device = len(geometry), ctx.device
        lead = x.ndim - axes
        ctx.tables = _tables(device, x.dtype, x.shape[lead:], geometry, mode, align_corners)
        shape = (*x.shape[:lead], *(count for count, _ in geometry))
        ctx.shape, ctx.solid, ctx.result = x.shape, _solid(x.shape, axes), _solid(shape, axes)
        y = empty(shape, x.dtype, device)
        call("interpolate.interpolate_forward", y.reshape(ctx.result), x.reshape(ctx.solid), *ctx.tables)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        call("interpolate.interpolate_backward", dx.reshape(ctx.solid), dy.reshape(ctx.result), *ctx.tables)
        return dx, None, None, None


def _for_each(given, axes, name):
    found = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    if len(found) != axes:
        raise ValueError(f"interpolate: expected a {name} or {axes} of them, got {given!r}")
    return found


def _geometry(sides, size, scale_factor, recompute):
    """(elements, scale) of each axis of the result."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: expected either a size or a scale_factor, got {size!r} and {scale_factor!r}")
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor is not meaningful with an explicit size")
        try:
            found = tuple((operator.index(n), 0.0) for n in _for_each(size, len(sides), "size"))
        except TypeError:
            raise TypeError(f"interpolate: expected size as an integer or several, got {size!r}") from None
    else:
        scales = _for_each(scale_factor, len(sides), "scale_factor")
        found = tuple((int(n * s), 0.0 if recompute else float(s)) for n, s in zip(sides, scales, strict=True))
    return found


def _simplified(sides, geometry, mode):
    """Without scales that torch does not look at either: where a whole number of results stands for an element."""
    counts = [count for count, _ in geometry]
    if min(sides) < 1 or min(counts) < 1:
        raise ValueError(f"interpolate: expected sizes of at least 1, got {tuple(sides)} to {tuple(counts)}")
    whole: tuple[int, ...] = ()
    if mode in modes.HALF:
        whole = (1,)
    elif mode == modes.NEAREST and len(sides) == 2 and sum(counts) <= 128:
        # torch has a kernel of its own for small images
        whole = (1, 2)
    return tuple(
        (n, 0.0 if n in [size * k for k in whole] else s) for size, (n, s) in zip(sides, geometry, strict=True)
    )


def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
    antialias=False,
) -> Any:  # fmt: skip
    """Planes of another size. Input (N, C, ...) with one to three dimensions after the channels

    mode           "nearest", "nearest-exact", "area"; "linear", "bilinear", "trilinear", "bicubic"
    align_corners  corners are points that stay, and not areas around points
    recompute_scale_factor  steps follow from the sizes, which are whole, and not from scale_factor
    antialias      "bilinear" and "bicubic" to fewer elements: each is a mean over as many as it stands for

    >>> import numpy as np
    >>> from hotloop.nn import functional as F
    >>> F.interpolate(np.array([[[0.0, 4.0]]], np.float32), scale_factor=2, mode="linear").numpy()
    array([[[0., 1., 3., 4.]]], dtype=float32)
    """
    x = as_tensor(input)
    axes = len(x.shape) - 2
    if mode not in _MODES or axes not in _MODES[mode][2]:
        known = ", ".join(f"{name} {[n + 2 for n in dims]}" for name, (_, _, dims) in _MODES.items())
        raise NotImplementedError(
            f"interpolate: expected a mode for as many dimensions ({known}), got {mode!r} for {x.shape}"
        )
    plain, smooth, _ = _MODES[mode]
    if align_corners is not None and plain not in (modes.LINEAR, modes.CUBIC):
        raise ValueError(f"interpolate: align_corners can only be set with linear and cubic modes, got {mode!r}")
    if antialias and smooth is None:
        raise ValueError(f"interpolate: antialias is restricted to bilinear and bicubic modes, got {mode!r}")
    geometry = _geometry(x.shape[2:], size, scale_factor, recompute_scale_factor or (size is None and mode == "area"))
    if mode == "area":
        return _AREA[axes - 1](x, [count for count, _ in geometry])
    code = smooth if antialias else plain
    return Resampled.apply(x, _simplified(x.shape[2:], geometry, code), code, bool(align_corners))


class Upsample(Module):
    """Planes of another size, given as `size` or as a multiple; modes and rules as of functional.interpolate.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]], np.float32)).numpy()
    array([[[1., 1., 2., 2.]]], dtype=float32)
    """

    def __init__(
        self,
        size=None,
        scale_factor=None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        if isinstance(scale_factor, (tuple, list)):
            self.scale_factor: Any = tuple(map(float, scale_factor))
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input) -> Any:
        rules = self.mode, self.align_corners, self.recompute_scale_factor
        return interpolate(input, self.size, self.scale_factor, *rules)

    def extra_repr(self) -> str:
        size = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Each element repeated."""

    def __init__(self, size=None, scale_factor=None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Bilinear, with corners that stay."""

    def __init__(self, size=None, scale_factor=None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)
