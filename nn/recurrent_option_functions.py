"""Recurrent layers with options, one direction at a time, as operations on the tape; and the random masks they take.

The kernels are given the input's part of the gates, a product over all steps that `linear` makes and `layer_norm`
normalises.
"""

from __future__ import annotations

from .doors import absent, call, empty
from .factory import gradients_into
from .linear import linear
from .norm import layer_norm
from .ops.join import cat
from .recurrent_functions import needed, present, wanted
from .rng import next_state
from .tape import Function

__all__ = [
    "GRUOptionsFunction",
    "LSTMOptionsFunction",
    "RNNOptionsFunction",
    "dropout_mask",
    "input_part",
    "zones",
]

# added to variances, as in torch's layer_norm
EPS = 1e-5


def dropout_mask(shape, dtype, device, p: float):
    """0 with probability p, else 1 / (1 - p); None for p = 0."""
    if not p:
        return None
    mask, ones = empty(shape, dtype, device), empty(shape, dtype, device)
    call("elementwise.fill_forward", ones, 1.0)
    call("dropout.dropout_forward", mask, ones, next_state(ones.size, device), p)
    return mask


def zones(shape, dtype, device, p: float, training: bool):
    """What part of each old state stays: 1 with probability p, else 0; in eval mode p, which is expected. None: 0."""
    if not p:
        return None
    zone = empty(shape, dtype, device)
    if training:
        call("random.bernoulli_forward", zone, next_state(zone.size, device), p)
    else:
        call("elementwise.fill_forward", zone, p)
    return zone


def input_part(x, w_ih, b_ih, gain, widths):
    """The input's part of the gates of all steps; with a gain each of the widths of columns is normalised by itself."""
    if gain is None:
        return linear(x, w_ih, b_ih)
    product, parts, end = linear(x, w_ih), [], 0
    for width in widths:
        columns = slice(end, end := end + width)
        part = product[..., columns] if len(widths) > 1 else product
        parts.append(layer_norm(part, (width,), gain[columns], None if b_ih is None else b_ih[columns], EPS))
    return parts[0] if len(parts) == 1 else cat(parts, 2)


def _kept(ctx, *wanted):
    """Memory for what forward keeps: of each (shape, whether it is of use)."""
    dtype, device, recording = ctx.kind[0], ctx.device, True in ctx.needs
    return [empty(s, dtype, device) if of_use and recording else absent(dtype, device, 3) for s, of_use in wanted]


class LSTMOptionsFunction(Function):
    """y, hn, cn of the input's part (T, N, 4*H); all arrays may be None but that and w_hh."""

    autocast = "float"

    @staticmethod
    def forward(
        ctx, given, h0, c0, w_hh, b_hh, w_hr, gain, gain_c, bias_c, peepholes, mask, zone_h, zone_c, lengths, reverse
    ):
        dtype, device = given.dtype, ctx.device
        (steps, samples, rows), width = given.shape, w_hh.shape[1]
        hidden, time = rows // 4, (steps, samples)
        ctx.kind = dtype, given.shape, w_hr is not None, gain is not None, reverse
        y = empty((*time, width), dtype, device)
        hn, cn = empty((samples, width), dtype, device), empty((samples, hidden), dtype, device)
        shapes = (rows, True), (rows, gain is not None), (width, True), (hidden, True), (hidden, w_hr is not None)
        kept = _kept(ctx, *(((*time, size), of_use) for size, of_use in shapes))
        h0, c0, b_hh, w_hr, *others = present(
            (h0, c0, b_hh, w_hr, gain, gain_c, bias_c, peepholes, mask, zone_h, zone_c), dtype, device
        )
        inputs = given, h0, c0, w_hh, b_hh, w_hr, *others, lengths, reverse, EPS
        call("lstm_options.lstm_options_forward", y, hn, cn, *kept, *inputs)
        if True in ctx.needs:
            ctx.save(w_hh, w_hr, *others, *kept, lengths)
        return y, hn, cn

    @staticmethod
    def backward(ctx, dy, dhn, dcn):
        w_hh, w_hr, *others = ctx.saved
        dtype, shape, projected, normalised, reverse = ctx.kind
        upstream = present((dy, dhn, dcn), dtype, ctx.device)
        dgiven, starts = empty(shape, dtype, ctx.device), wanted(ctx, 1, 3)
        *parameters, accumulate = gradients_into(ctx, 3, 4, 5, 6, 7, 8, 9)
        work = _kept(ctx, (shape, normalised), ((*shape[:2], w_hh.shape[1]), projected))
        after = *upstream, w_hh, w_hr, *others, reverse, EPS, accumulate
        call("lstm_options.lstm_options_backward", dgiven, *starts, *parameters, *work, *after)
        return needed(ctx, (dgiven, *starts, *parameters))


class GRUOptionsFunction(Function):
    """y, hn of the input's part (T, N, 3*H); all arrays may be None but that and w_hh."""

    autocast = "float"

    @staticmethod
    def forward(ctx, given, h0, w_hh, b_hh, gain, mask, zone_h, lengths, reverse, reset_after):
        dtype, device = given.dtype, ctx.device
        (*time, rows), hidden = given.shape, w_hh.shape[1]
        ctx.kind = dtype, given.shape, reverse, reset_after
        y, hn = empty((*time, hidden), dtype, device), empty((time[1], hidden), dtype, device)
        shapes = (4 * hidden, True), (rows, gain is not None), (hidden, True), (hidden, mask is not None)
        kept = _kept(ctx, *(((*time, size), of_use) for size, of_use in shapes))
        h0, b_hh, *others = present((h0, b_hh, gain, mask, zone_h), dtype, device)
        inputs = given, h0, w_hh, b_hh, *others, lengths, reverse, reset_after, EPS
        call("gru_options.gru_options_forward", y, hn, *kept, *inputs)
        if True in ctx.needs:
            ctx.save(w_hh, *others, *kept, lengths)
        return y, hn

    @staticmethod
    def backward(ctx, dy, dhn):
        dtype, shape, reverse, reset_after = ctx.kind
        upstream = present((dy, dhn), dtype, ctx.device)
        dgiven, work = empty(shape, dtype, ctx.device), empty(shape, dtype, ctx.device)
        (dh0,), (*parameters, accumulate) = wanted(ctx, 1, 2), gradients_into(ctx, 2, 3, 4)
        after = *upstream, *ctx.saved, reverse, reset_after, EPS, accumulate
        call("gru_options.gru_options_backward", dgiven, dh0, *parameters, work, *after)
        return needed(ctx, (dgiven, dh0, *parameters))


class RNNOptionsFunction(Function):
    """y, hn of the input's part (T, N, H); all arrays may be None but that and w_hh."""

    autocast = "float"

    @staticmethod
    def forward(ctx, given, h0, w_hh, b_hh, gain, mask, zone_h, lengths, reverse, relu):
        dtype, device, shape = given.dtype, ctx.device, given.shape
        ctx.kind = dtype, shape, gain is not None, reverse, relu
        y, hn = empty(shape, dtype, device), empty(shape[1:], dtype, device)
        kept = _kept(ctx, (shape, True), (shape, gain is not None), (shape, True))
        h0, b_hh, *others = present((h0, b_hh, gain, mask, zone_h), dtype, device)
        inputs = given, h0, w_hh, b_hh, *others, lengths, reverse, relu, EPS
        call("rnn_options.rnn_options_forward", y, hn, *kept, *inputs)
        if True in ctx.needs:
            ctx.save(w_hh, *others, *kept, lengths)
        return y, hn

    @staticmethod
    def backward(ctx, dy, dhn):
        dtype, shape, normalised, reverse, relu = ctx.kind
        upstream = present((dy, dhn), dtype, ctx.device)
        dgiven, work = empty(shape, dtype, ctx.device), _kept(ctx, (shape, normalised))
        (dh0,), (*parameters, accumulate) = wanted(ctx, 1, 2), gradients_into(ctx, 2, 3, 4)
        after = *upstream, *ctx.saved, reverse, relu, EPS, accumulate
        call("rnn_options.rnn_options_backward", dgiven, dh0, *parameters, *work, *after)
        return needed(ctx, (dgiven, dh0, *parameters))
