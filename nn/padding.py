"""Padding as a function, by torch.nn.functional's name, and as layers do it before they look."""

from __future__ import annotations

import math
import operator
from typing import Any

from ..kernels import pad_modes
from .doors import call, empty
from .pooling_functions import _solid
from .tape import Function
from .tensor import as_tensor

__all__ = ["MODES", "pad", "pad_around"]

# padding modes of convolutions
MODES = ("zeros", "reflect", "replicate", "circular")


class Padded(Function):
    """`around` holds (front, back) of the last dimensions, one to three."""

    @staticmethod
    def forward(ctx, x, around, mode, value):
        axes = len(around)
        lead = x.ndim - axes
        shape = (*x.shape[:lead], *(n + sum(a) for n, a in zip(x.shape[lead:], around, strict=True)))
        ctx.shape, ctx.solid, ctx.result = x.shape, _solid(x.shape, axes), _solid(shape, axes)
        ctx.fronts, ctx.mode = (0,) * (3 - axes) + tuple(front for front, _ in around), mode
        y = empty(shape, x.dtype, ctx.device)
        call("pad.pad_forward", y.reshape(ctx.result), x.reshape(ctx.solid), *ctx.fronts, mode, value)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(ctx.shape, dy.dtype, ctx.device)
        planes, slopes = dx.reshape(ctx.solid), dy.reshape(ctx.result)
        if ctx.mode == pad_modes.CONSTANT:
            # what was put around is cut off, and what was cut off is zero
            call("pad.pad_forward", planes, slopes, *(-front for front in ctx.fronts), ctx.mode, 0.0)
        else:
            call("pad.pad_backward", planes, slopes, *ctx.fronts, ctx.mode)
        return dx, None, None, None


def _constant(x, around, value):
    """Any number of dimensions, three at a time; those between them are not padded, and are one with what stands
    before them."""
    while any(map(any, around)):
        now = [i for i, a in enumerate(around) if any(a)][-3:]
        ends = [*now[1:], len(around)]
        whole = [math.prod(x.shape[i:end]) for i, end in zip(now, ends, strict=True)]
        inner = [math.prod(x.shape[i + 1 : end]) for i, end in zip(now, ends, strict=True)]
        places = tuple((around[i][0] * n, around[i][1] * n) for i, n in zip(now, inner, strict=True))
        shape = tuple(n + sum(a) if i in now else n for i, (n, a) in enumerate(zip(x.shape, around, strict=True)))
        flat = x.reshape(math.prod(x.shape[: now[0]]), *whole)
        x = Padded.apply(flat, places, pad_modes.CONSTANT, value).reshape(*shape)
        around = [(0, 0) if i in now else a for i, a in enumerate(around)]
    return x


def _check(size, front, back, mode, name):
    """The kernel says no as well; here with the numbers."""
    more = max(front, back)
    left = size + min(front, 0) + min(back, 0)
    if mode == "reflect" and more >= size:
        raise ValueError(f"{name}: expected an input of at least {more + 1} for reflect padding, got {size}")
    if mode == "circular" and more > left:
        # so torch says it, too: no number comes twice
        raise ValueError(f"{name}: expected an input of at least {more} for circular padding, got {left}")
    # what is cut is read all the same by modes that mirror and repeat
    least = 0 if mode in ("constant", "circular") else 1
    if (left if least == 0 else min(size, size + front + back)) < least:
        raise ValueError(
            f"{name}: expected {least} or more elements after {mode} padding, "
            f"got {size} elements with {front} in front and {back} behind"
        )


def pad(input, pad, mode="constant", value=None) -> Any:
    """`pad` elements around the last dimensions: (front, back) of the last one, then of the one before it ...

    Negative numbers cut elements off. Modes other than "constant" take one to three dimensions, behind channels.

    >>> import numpy as np
    >>> from hotloop.nn import functional as F
    >>> F.pad(np.arange(3, dtype=np.float32), (1, 2), value=9).numpy()
    array([9., 0., 1., 2., 9., 9.], dtype=float32)
    """
    x, numbers = as_tensor(input), tuple(map(operator.index, pad))
    if mode not in pad_modes.MODES:
        raise NotImplementedError(f"pad: expected mode in {list(pad_modes.MODES)}, got {mode!r}")
    if len(numbers) % 2 or len(numbers) > 2 * len(x.shape):
        raise ValueError(f"pad: expected pairs of numbers for at most {len(x.shape)} dimensions, got {numbers}")
    # from the first dimension to the last
    around = list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    axes = len(around)
    lead = len(x.shape) - axes
    if mode != "constant":
        if not 1 <= axes <= 3 or lead not in (1, 2):
            raise NotImplementedError(
                f"pad: expected 2, 4 or 6 numbers for inputs of 2-D or 3-D, 3-D or 4-D, 4-D or 5-D in mode {mode!r}, "
                f"got {len(numbers)} for {x.shape}"
            )
        if value:
            raise ValueError(f"pad: expected no value in mode {mode!r}, got {value}")
    for size, (front, back) in zip(x.shape[lead:], around, strict=True):
        _check(size, front, back, mode, "pad")
    constant = 0.0 if value is None else float(value)
    if mode == "constant" and (axes > 3 or not any(numbers)):
        return _constant(x, [(0, 0)] * lead + around, constant) if any(numbers) else x.clone()
    return Padded.apply(x, tuple(around), pad_modes.MODES[mode], constant)


def pad_around(input, front: tuple[int, ...], back: tuple[int, ...], mode: str, layer: str):
    """The last dimensions of `input` with front and back places more, made of its own numbers."""
    x = as_tensor(input)
    lead = len(x.shape) - len(front)
    around = tuple(zip(front, back, strict=True))
    if mode == "zeros" or lead < 0 or not any(map(any, around)):
        return x
    for size, (before, after) in zip(x.shape[lead:], around, strict=True):
        if before or after:
            _check(size, before, after, mode, layer)
    return Padded.apply(x, around, pad_modes.MODES[mode], 0.0)
