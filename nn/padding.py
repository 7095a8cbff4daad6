"""Padding with the input's own numbers, as layers do it before they look: each dimension is read at positions."""

from __future__ import annotations

from .ops.gather import index_select
from .tensor import as_tensor

__all__ = ["MODES", "pad_around"]


def _reflected(front: int, size: int, back: int) -> list[int]:
    return [abs(i) if i < size else 2 * (size - 1) - i for i in range(-front, size + back)]


def _replicated(front: int, size: int, back: int) -> list[int]:
    return [min(max(i, 0), size - 1) for i in range(-front, size + back)]


def _circular(front: int, size: int, back: int) -> list[int]:
    return [i % size for i in range(-front, size + back)]


# the positions that a mode reads, and how much larger than the padding an input has to be
MODES = {"zeros": (None, 0), "reflect": (_reflected, 1), "replicate": (_replicated, 0), "circular": (_circular, 0)}


def pad_around(input, front: tuple[int, ...], back: tuple[int, ...], mode: str, layer: str):
    """The last dimensions of `input` with front and back places more, made of its own numbers."""
    x = as_tensor(input)
    dims = len(front)
    positions, more = MODES[mode]
    if positions is None or len(x.shape) < dims:
        return x
    for dim, before, after in zip(range(-dims, 0), front, back, strict=True):
        size, most = x.shape[dim], max(before, after)
        if most == 0:
            continue
        if size < (most + more if mode != "replicate" else 1):
            raise ValueError(f"{layer}: expected an input of at least {most + more} for {mode} padding, got {size}")
        x = index_select(x, dim, positions(before, size, after))
    return x
