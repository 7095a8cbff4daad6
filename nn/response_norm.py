"""Local response norm, by torch's names and rules."""

from __future__ import annotations

import math

from .doors import call, empty
from .module import Module
from .tape import Function
from .tensor import Tensor, as_tensor

__all__ = ["LocalResponseNorm", "local_response_norm"]


class _LocalResponseNorm(Function):
    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, size, alpha, beta, k):
        split = (*x.shape[:2], math.prod(x.shape[2:]))
        y, scale = empty(x.shape, x.dtype, ctx.device), empty(split, x.dtype, ctx.device)
        call(
            "norm_response.local_response_norm_forward", y.reshape(split), scale, x.reshape(split), size, alpha, beta, k
        )
        ctx.save(x, scale)
        ctx.numbers = size, alpha, beta
        return y

    @staticmethod
    def backward(ctx, dy):
        x, scale = ctx.saved
        split = scale.shape
        dx = empty(x.shape, x.dtype, ctx.device)
        arrays = dx.reshape(split), dy.reshape(split), x.reshape(split), scale
        call("norm_response.local_response_norm_backward", *arrays, *ctx.numbers)
        return dx, None, None, None, None


def local_response_norm(input, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha mean(x^2))^beta, the mean over `size` channels around each of (N, C, ...), missing ones as 0."""
    x = as_tensor(input)
    if x.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {x.dim()} dimensions)")
    if size < 1:
        raise ValueError(f"local_response_norm: expected size of 1 or more, got {size}")
    return _LocalResponseNorm.apply(x, size, float(alpha), float(beta), float(k))


class LocalResponseNorm(Module):
    """y = x / (k + alpha mean(x^2))^beta, the mean over `size` channels around each, missing ones as 0

    Input (N, C, ...) with at least one dimension of positions, output the same.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> layer = nn.LocalResponseNorm(2)
    >>> layer
    LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)
    >>> layer(np.ones((1, 3, 5), np.float32)).shape
    (1, 3, 5)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input) -> Tensor:
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
