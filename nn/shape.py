"""Layers that change no numbers: Identity, Flatten and Unflatten."""

from __future__ import annotations

import math

from .module import Module
from .tensor import as_tensor

__all__ = ["Flatten", "Identity", "Unflatten", "flatten", "unflatten"]


def flatten(input, start_dim: int = 0, end_dim: int = -1):
    """Dimensions start_dim .. end_dim as one; a number becomes one element."""
    x = as_tensor(input)
    dims = len(x.shape)
    # a number counts as one dimension here
    start, end = _dim(start_dim, dims or 1, "flatten: start_dim"), _dim(end_dim, dims or 1, "flatten: end_dim")
    if start > end:
        raise ValueError(f"flatten: expected start_dim <= end_dim, got {start_dim} and {end_dim} for shape {x.shape}")
    return x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])


def unflatten(input, dim: int, sizes):
    """Dimension `dim` as several; one of `sizes` may be -1."""
    x = as_tensor(input)
    at = _dim(dim, len(x.shape), "unflatten: dim")
    sizes = tuple(sizes)
    known = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and known > 0 and x.shape[at] % known == 0:
        sizes = tuple(x.shape[at] // known if size == -1 else size for size in sizes)
    if not sizes or any(size < 0 for size in sizes) or math.prod(sizes) != x.shape[at]:
        raise ValueError(f"unflatten: expected sizes whose product is {x.shape[at]} (dimension {dim}), got {sizes}")
    return x.reshape(*x.shape[:at], *sizes, *x.shape[at + 1 :])


class Identity(Module):
    """Its input, unchanged; takes and ignores any arguments.

    >>> from hotloop import nn
    >>> nn.Identity(54, unused=True)
    Identity()
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__()

    def forward(self, input):
        return as_tensor(input)


class Flatten(Module):
    """Dimensions start_dim .. end_dim as one: (N, C, H, W) becomes (N, C * H * W) by default.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Flatten()(np.ones((32, 3, 5, 5), np.float32)).shape
    (32, 75)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input):
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension `dim` as several: the inverse of Flatten.

    >>> import numpy as np
    >>> from hotloop import nn
    >>> nn.Unflatten(1, (2, 5, 5))(np.ones((3, 50), np.float32)).shape
    (3, 2, 5, 5)
    """

    def __init__(self, dim: int, unflattened_size) -> None:
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise TypeError(f"Unflatten: expected dim to be an int, got {type(dim).__name__}")
        if not isinstance(unflattened_size, (tuple, list)) or not all(isinstance(n, int) for n in unflattened_size):
            raise TypeError(f"Unflatten: expected unflattened_size to be a tuple of ints, got {unflattened_size!r}")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input):
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _dim(dim: int, dims: int, name: str) -> int:
    if not -dims <= dim < dims:
        raise IndexError(f"{name}: expected -{dims} .. {dims - 1}, got {dim}")
    return dim % dims
