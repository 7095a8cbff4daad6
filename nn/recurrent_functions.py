"""Recurrent layers of one direction, and single steps, as operations on the tape: allocate, call, record."""

from __future__ import annotations

from .doors import absent, call, empty
from .factory import gradients_into
from .tape import Function

__all__ = ["GRUCellFunction", "GRUFunction", "LSTMCellFunction", "LSTMFunction", "RNNCellFunction", "RNNFunction"]


def present(arrays, dtype, device):
    """Arrays, with the absent one for None."""
    none = absent(dtype, device)
    return [none if a is None else a for a in arrays]


def wanted(ctx, first, end):
    """Memory for the gradients of arguments first .. end, which kernels overwrite; absent for those not needed."""
    found = []
    for i in range(first, end):
        gradient, holds = ctx.grad_into(i)
        # what a leaf holds already stays: the engine adds a fresh array to it
        found.append(empty(gradient.shape, gradient.dtype, ctx.device) if holds else gradient)
    return found


def _planes(states):
    """States (1, N, H), as layers have them, as kernels have them; absent arrays as they are."""
    return [s[0] if s.ndim == 3 else s for s in states]


def needed(ctx, gradients):
    """What backward returns: gradients where they are needed, None elsewhere."""
    given = [g if needs else None for g, needs in zip(gradients, ctx.needs, strict=False)]
    return *given, *[None] * (len(ctx.needs) - len(given))


class LSTMFunction(Function):
    """y, hn, cn of x (T, N, D); h0, c0, the biases and w_hr may be None. States are (1, N, width)."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse):
        dtype, device, recording = x.dtype, ctx.device, True in ctx.needs
        (steps, samples), hidden, width = x.shape[:2], w_ih.shape[0] // 4, w_hh.shape[1]
        y = empty((steps, samples, width), dtype, device)
        hn, cn = empty((1, samples, width), dtype, device), empty((1, samples, hidden), dtype, device)
        gates = c = absent(dtype, device, 3)
        if recording:
            gates = empty((steps, samples, 4 * hidden), dtype, device)
            c = empty((steps, samples, hidden), dtype, device)
        h0, c0, b_ih, b_hh, w_hr = present((h0, c0, b_ih, b_hh, w_hr), dtype, device)
        h0, c0 = _planes((h0, c0))
        given = x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr
        call("lstm.lstm_forward", y, hn[0], cn[0], gates, c, *given, lengths, reverse)
        if recording:
            ctx.save(x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths)
            ctx.reverse = reverse
        return y, hn, cn

    @staticmethod
    def backward(ctx, dy, dhn, dcn):
        x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths = ctx.saved
        dy, *ends = present((dy, dhn, dcn), x.dtype, ctx.device)
        dx, *starts = wanted(ctx, 0, 3)
        *parameters, accumulate = gradients_into(ctx, 3, 4, 5, 6, 7)
        gradients, upstream = (dx, *_planes(starts), *parameters), (dy, *_planes(ends))
        saved = x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths
        call("lstm.lstm_backward", *gradients, *upstream, *saved, ctx.reverse, accumulate)
        return needed(ctx, (dx, *starts, *parameters))


class GRUFunction(Function):
    """y, hn of x (T, N, D); h0 and the biases may be None. States are (1, N, H)."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after):
        dtype, device, recording = x.dtype, ctx.device, True in ctx.needs
        (steps, samples), hidden = x.shape[:2], w_hh.shape[1]
        y, hn = empty((steps, samples, hidden), dtype, device), empty((1, samples, hidden), dtype, device)
        gates = empty((steps, samples, 4 * hidden), dtype, device) if recording else absent(dtype, device, 3)
        h0, b_ih, b_hh = present((h0, b_ih, b_hh), dtype, device)
        (h0,) = _planes((h0,))
        call("gru.gru_forward", y, hn[0], gates, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after)
        if recording:
            ctx.save(x, h0, w_ih, w_hh, y, gates, lengths)
            ctx.flags = reverse, reset_after
        return y, hn

    @staticmethod
    def backward(ctx, dy, dhn):
        (dy, *ends), (dx, *starts) = present((dy, dhn), ctx.saved[0].dtype, ctx.device), wanted(ctx, 0, 2)
        *parameters, accumulate = gradients_into(ctx, 2, 3, 4, 5)
        gradients, upstream = (dx, *_planes(starts), *parameters), (dy, *_planes(ends))
        call("gru.gru_backward", *gradients, *upstream, *ctx.saved, *ctx.flags, accumulate)
        return needed(ctx, (dx, *starts, *parameters))


class RNNFunction(Function):
    """y, hn of x (T, N, D); h0 and the biases may be None. States are (1, N, H)."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu):
        dtype, device = x.dtype, ctx.device
        (steps, samples), hidden = x.shape[:2], w_hh.shape[1]
        y, hn = empty((steps, samples, hidden), dtype, device), empty((1, samples, hidden), dtype, device)
        h0, b_ih, b_hh = present((h0, b_ih, b_hh), dtype, device)
        (h0,) = _planes((h0,))
        call("rnn.rnn_forward", y, hn[0], x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu)
        ctx.save(x, h0, w_ih, w_hh, y, lengths)
        ctx.flags = reverse, relu
        return y, hn

    @staticmethod
    def backward(ctx, dy, dhn):
        (dy, *ends), (dx, *starts) = present((dy, dhn), ctx.saved[0].dtype, ctx.device), wanted(ctx, 0, 2)
        *parameters, accumulate = gradients_into(ctx, 2, 3, 4, 5)
        gradients, upstream = (dx, *_planes(starts), *parameters), (dy, *_planes(ends))
        call("rnn.rnn_backward", *gradients, *upstream, *ctx.saved, *ctx.flags, accumulate)
        return needed(ctx, (dx, *starts, *parameters))


class LSTMCellFunction(Function):
    """h, c after one step of x (N, D); the states and biases may be None."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, h0, c0, w_ih, w_hh, b_ih, b_hh):
        dtype, device, recording = x.dtype, ctx.device, True in ctx.needs
        samples, hidden = shape = len(x), w_hh.shape[1]
        h, c = empty(shape, dtype, device), empty(shape, dtype, device)
        gates = empty((samples, 4 * hidden), dtype, device) if recording else absent(dtype, device, 2)
        if h0 is None or c0 is None or b_ih is None or b_hh is None:
            h0, c0, b_ih, b_hh = present((h0, c0, b_ih, b_hh), dtype, device)
        call("recurrent_cells.lstm_cell_forward", h, c, gates, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
        if recording:
            ctx.save(x, h0, c0, w_ih, w_hh, gates, c)
        return h, c

    @staticmethod
    def backward(ctx, dh, dc):
        upstream, gradients = present((dh, dc), ctx.saved[0].dtype, ctx.device), wanted(ctx, 0, 3)
        *parameters, accumulate = gradients_into(ctx, 3, 4, 5, 6)
        call("recurrent_cells.lstm_cell_backward", *gradients, *parameters, *upstream, *ctx.saved, accumulate)
        return needed(ctx, (*gradients, *parameters))


class GRUCellFunction(Function):
    """h after one step of x (N, D); the state and biases may be None."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, h0, w_ih, w_hh, b_ih, b_hh, reset_after):
        dtype, device, recording = x.dtype, ctx.device, True in ctx.needs
        samples, hidden = x.shape[0], w_hh.shape[1]
        h = empty((samples, hidden), dtype, device)
        gates = empty((samples, 4 * hidden), dtype, device) if recording else absent(dtype, device, 2)
        h0, b_ih, b_hh = present((h0, b_ih, b_hh), dtype, device)
        call("recurrent_cells.gru_cell_forward", h, gates, x, h0, w_ih, w_hh, b_ih, b_hh, reset_after)
        if recording:
            ctx.save(x, h0, w_ih, w_hh, gates)
            ctx.reset_after = reset_after
        return h

    @staticmethod
    def backward(ctx, dh):
        gradients = wanted(ctx, 0, 2)
        *parameters, accumulate = gradients_into(ctx, 2, 3, 4, 5)
        given = dh, *ctx.saved, ctx.reset_after, accumulate
        call("recurrent_cells.gru_cell_backward", *gradients, *parameters, *given)
        return needed(ctx, (*gradients, *parameters))


class RNNCellFunction(Function):
    """h after one step of x (N, D); the state and biases may be None."""

    autocast = "float"
    wide = True

    @staticmethod
    def forward(ctx, x, h0, w_ih, w_hh, b_ih, b_hh, relu):
        h = empty((x.shape[0], w_hh.shape[1]), x.dtype, ctx.device)
        h0, b_ih, b_hh = present((h0, b_ih, b_hh), x.dtype, ctx.device)
        call("recurrent_cells.rnn_cell_forward", h, x, h0, w_ih, w_hh, b_ih, b_hh, relu)
        ctx.save(x, h0, w_ih, w_hh, h)
        ctx.relu = relu
        return h

    @staticmethod
    def backward(ctx, dh):
        gradients = wanted(ctx, 0, 2)
        *parameters, accumulate = gradients_into(ctx, 2, 3, 4, 5)
        call("recurrent_cells.rnn_cell_backward", *gradients, *parameters, dh, *ctx.saved, ctx.relu, accumulate)
        return needed(ctx, (*gradients, *parameters))
