"""Sequences of several lengths side by side, as operations on the tape: rows to their places, and back."""

from __future__ import annotations

import math

from ..doors import call, copy_into, empty
from ..tape import Function

__all__ = ["Pad", "Spread", "Unpad"]


def _filled(shape, dtype, device, value):
    y = empty(shape, dtype, device)
    call("elementwise.fill_forward", y, float(value))
    return y


class Spread(Function):
    """Rows of x (M, ...) at `rows` of y, (A, B, ...) as A * B rows; `value` everywhere else."""

    @staticmethod
    def forward(ctx, x, rows, places, value):
        y = _filled((*places, *x.shape[1:]), x.dtype, ctx.device, value)
        ctx.shape, width = x.shape, math.prod(x.shape[1:])
        ctx.save(rows)
        flat = y.reshape(1, places[0] * places[1], width)
        call("index.put_forward", flat, x.reshape(1, rows.size, width), rows, False)
        return y

    @staticmethod
    def backward(ctx, dy):
        (rows,) = ctx.saved
        dx, width = empty(ctx.shape, dy.dtype, ctx.device), math.prod(ctx.shape[1:])
        flat = dy.reshape(1, dy.shape[0] * dy.shape[1], width)
        call("index.select_forward", dx.reshape(1, rows.size, width), flat, rows)
        return dx, None, None, None


def _parts(array, batch_first, left, lengths):
    """The views of a padded batch in which its sequences lie."""
    by_sample = array if batch_first else array.swapaxes(0, 1)
    count = by_sample.shape[1]
    return [by_sample[n, count - k :] if left else by_sample[n, :k] for n, k in enumerate(lengths)]


class Pad(Function):
    """Sequences (L, ...) in a batch, as long as the longest; `value` behind each, or in front with `left`."""

    strided = True

    @staticmethod
    def forward(ctx, batch_first, value, left, *xs):
        lengths = [x.shape[0] for x in xs]
        places = (len(xs), max(lengths)) if batch_first else (max(lengths), len(xs))
        y = _filled((*places, *xs[0].shape[1:]), xs[0].dtype, ctx.device, value)
        ctx.where = batch_first, left, lengths
        for part, x in zip(_parts(y, *ctx.where), xs, strict=True):
            copy_into(part, x)
        return y

    @staticmethod
    def backward(ctx, dy):
        return None, None, None, *_parts(dy, *ctx.where)


class Unpad(Function):
    """The sequences of a padded batch, copied."""

    strided = True

    @staticmethod
    def forward(ctx, x, batch_first, lengths):
        ctx.shape, ctx.where = x.shape, (batch_first, False, lengths)
        ys = []
        for part in _parts(x, *ctx.where):
            y = empty(part.shape, x.dtype, ctx.device)
            copy_into(y, part)
            ys.append(y)
        return tuple(ys)

    @staticmethod
    def backward(ctx, *dys):
        dtype = next(dy.dtype for dy in dys if dy is not None)
        dx = _filled(ctx.shape, dtype, ctx.device, 0)
        for part, dy in zip(_parts(dx, *ctx.where), dys, strict=True):
            if dy is not None:
                copy_into(part, dy)
        return dx, None, None
