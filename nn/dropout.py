"""Dropout layers and functions, by torch's names and rules. A layer in eval mode gives its input back.

With `inplace=True` the result also replaces the values of an input that is not being recorded for a gradient.

What is dropped follows from the random state alone (kernels/ref/dropout.py): the tape keeps that, 16 bytes, and
backward draws the mask again.
"""

from __future__ import annotations

import math

from .doors import call, empty
from .mode import is_grad_enabled
from .module import Module
from .rng import next_state
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


class _Drop(Function):
    """Elements dropped with probability p; or all that lies behind an entry of the `leading` axes (sample, channel)."""

    @staticmethod
    def forward(ctx, x, kernel, p, leading):
        shape = (math.prod(x.shape[:leading]), math.prod(x.shape[leading:])) if leading else x.shape
        ctx.kernel, ctx.p, ctx.rows = kernel, p, shape
        ctx.state = next_state(shape[0] if leading else x.size, ctx.device)
        y = empty(x.shape, x.dtype, ctx.device)
        call(f"dropout.{kernel}_forward", y.reshape(shape), x.reshape(shape), ctx.state, p)
        return y

    @staticmethod
    def backward(ctx, dy):
        dx = empty(dy.shape, dy.dtype, ctx.device)
        call(f"dropout.{ctx.kernel}_backward", dx.reshape(ctx.rows), dy.reshape(ctx.rows), ctx.state, ctx.p)
        return dx, None, None, None


def _drop(kernel, x, p, training, inplace, leading=0):
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    x = as_tensor(x)
    if not training or p == 0:
        return x
    y = _Drop.apply(x, kernel, float(p), leading)
    # the tape may need x
    recorded = is_grad_enabled() and x.requires_grad
    return x.copy_(y) if inplace and not recorded else y


def _dimensions(name, x, unbatched, batched):
    """How many leading axes choose: 1 for an unbatched input, 2 for a batched one."""
    ndim = as_tensor(x).dim()
    if ndim == batched:
        return 2
    if ndim == unbatched:
        return 1
    raise ValueError(f"{name}: expected a {unbatched}-D or {batched}-D input, got {ndim}-D")


def dropout(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability p, else divided by 1 - p."""
    return _drop("dropout", input, p, training, inplace)


def dropout1d(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of (N, C, L) or (C, L)."""
    leading = _dimensions("dropout1d", input, 2, 3)
    return _drop("feature_dropout", input, p, training, inplace, leading)


def dropout2d(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of (N, C, H, W), or of (N, C, L) as in torch."""
    _dimensions("dropout2d", input, 3, 4)
    return _drop("feature_dropout", input, p, training, inplace, 2)


def dropout3d(input, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    leading = _dimensions("dropout3d", input, 4, 5)
    return _drop("feature_dropout", input, p, training, inplace, leading)


def alpha_dropout(input, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Elements set to SELU's saturation value, then mean and variance put back."""
    return _drop("alpha_dropout", input, p, training, inplace)


def feature_alpha_dropout(input, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels of (N, C, ...)."""
    ndim = as_tensor(input).dim()
    if ndim < 2:
        raise ValueError(f"feature_alpha_dropout: expected an input of at least 2 dimensions, got {ndim}-D")
    return _drop("feature_alpha_dropout", input, p, training, inplace, 2)


class _Dropout(Module):
    _function = staticmethod(dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input) -> Tensor:
        return self._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element 0 with probability p, else divided by 1 - p; in eval mode, nothing.

    Input: any shape. Output: the same.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> y = nn.Dropout(0.5)(np.ones((4, 4), np.float32))
    >>> sorted({*y.numpy().ravel().tolist(), 0.0, 2.0})
    [0.0, 2.0]
    """


class Dropout1d(_Dropout):
    """Dropout of whole channels.

    Input: (N, C, L) or (C, L). Output: the same.
    """

    _function = staticmethod(dropout1d)


class Dropout2d(_Dropout):
    """Dropout of whole channels.

    Input: (N, C, H, W) or (N, C, L). Output: the same.
    """

    _function = staticmethod(dropout2d)


class Dropout3d(_Dropout):
    """Dropout of whole channels.

    Input: (N, C, D, H, W) or (C, D, H, W). Output: the same.
    """

    _function = staticmethod(dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for networks of SELU units: dropped elements take their saturation value, mean and variance stay.

    Input: any shape. Output: the same.
    """

    _function = staticmethod(alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels.

    Input: (N, C, ...). Output: the same.
    """

    _function = staticmethod(feature_alpha_dropout)
