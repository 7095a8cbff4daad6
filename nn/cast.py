"""Copies on the tape: to another dtype, into memory of its own, to another device."""

from __future__ import annotations

from .doors import contiguous, copy_into, empty, from_host, to_host
from .tape import Function


class Cast(Function):
    """y = x in another dtype, or the same: a copy."""

    strided = True

    @staticmethod
    def forward(ctx, x, dtype):
        y = empty(x.shape, dtype, ctx.device)
        copy_into(y, x)
        return y

    @staticmethod
    def backward(ctx, dy):
        # the engine brings a gradient to the dtype of what it belongs to
        return dy, None


class Move(Function):
    """y = x on another device."""

    @staticmethod
    def forward(ctx, x, device):
        return _moved(x, device)

    @staticmethod
    def backward(ctx, dy):
        return _moved(dy, ctx.device), None


def _moved(array, device):
    return from_host(contiguous(to_host(array)), device)
