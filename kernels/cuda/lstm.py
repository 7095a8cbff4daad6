"""The LSTM over whole sequences, by either of the two ways through the steps that recurrent.py tells of."""

import numpy as np

from ..recurrent_checks import check_projection
from . import lstm_resident, lstm_steps
from .recurrent import (
    PLAIN,
    add_rows,
    begin_with,
    check_lengths,
    in_chunks,
    input_gradients,
    input_products,
    kept,
    order_of,
    plain_product,
    relay,
    rows_of,
    state_gradients,
    step_before,
    transposed,
)
from .recurrent_resident import layout, packed_weights, run
from .recurrent_tile import ACROSS, grid, height, threads_of_tile
from .target import empty, kernel, launch, spread

GATES = 4


def forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse, stream):
    """lstm_forward without the check of its arguments."""
    steps, n, p = y.shape
    h, itemsize = cn.shape[1], y.itemsize
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, steps, stream)
    given = kept(gates, (steps, n, GATES * h))
    input_products(given, x, w_ih, b_ih, stream)
    found = None if w_hr.size or steps == 1 else layout(GATES, h, steps, n, itemsize, False)
    if found:
        packed = packed_weights(w_hh, GATES, found.groups, h, False, stream)
        flat = [a.reshape(-1) for a in (y, hn, cn, given, gates, c, h0, c0, packed)]
        args = *flat, b_hh, lengths, *map(np.int32, (steps, n, h)), reverse
        run(lstm_resident.forward(*found), found, GATES, h, n, stream, *args)
        return
    if steps == 0:
        begin_with(hn, h0, stream)
        begin_with(cn, c0, stream)
    made = empty(n * h if w_hr.size else 0, y.dtype)
    out, before, cells, *flat = (a.reshape(-1) for a in (y, c0, cn, made, given, gates, c, w_hh))
    projection = w_hr.reshape(-1)
    down, threads = height(n, h, ACROSS), threads_of_tile(itemsize)
    step, blocks = lstm_steps.forward(down, itemsize), grid(n, h, down, ACROSS)
    down = height(n, p, PLAIN)
    project, blocks_out = lstm_steps.projection(down, itemsize), grid(n, p, down, PLAIN)
    for t, (old, old_at, new, new_at) in zip(order_of(steps, reverse), relay(h0, hn, steps), strict=True):
        places, whole = (t, old_at, new_at, n, p, h), in_chunks(p, old, w_hh)
        launch(step, blocks, threads, stream, out, old, new, before, cells, *flat, b_hh, lengths, *places, whole)
        before = cells
        if w_hr.size:
            args = out, old, new, made, projection, lengths, *places, in_chunks(h, made, w_hr)
            launch(project, blocks_out, threads, stream, *args)


@kernel
def lstm_forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse, stream=0):
    """A product for the inputs of all steps, where the gates are kept; then one launch, whose blocks each take their
    samples through all steps, or a launch a step, which computes cells from the tile of its product."""
    forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse, stream)


def _gates_back(dz, dh, dc, dout, dy, dhn, dcn, c0, w_hh, w_hr, gates, c, lengths, reverse, stream):
    """dz of all steps, and the gradients of the first states, which are in dh and dc; with a projection dout, too."""
    steps, n, h = c.shape
    p, itemsize = w_hh.shape[1], c.itemsize
    found = None if w_hr.size or steps == 1 else layout(GATES, h, steps, n, itemsize, True)
    if found:
        packed = packed_weights(w_hh, 1, found.groups, h, True, stream)
        flat = [a.reshape(-1) for a in (dz, dh, dc, dy, dhn, dcn, c0, packed, gates, c)]
        args = *flat, lengths, *map(np.int32, (steps, n, h)), reverse
        run(lstm_resident.backward(*found), found, 1, h, n, stream, *args)
        return
    dh, dc = kept(dh, (n, p)), kept(dc, (n, h))
    begin_with(dh, dhn, stream)
    begin_with(dc, dcn, stream)
    w = transposed(w_hh, stream) if steps > 1 else w_hh
    projection = transposed(w_hr, stream) if w_hr.size else w
    flat_dz, flat_dh, flat_out, flat_dy = (a.reshape(-1) for a in (dz, dh, dout, dy))
    flat = [a.reshape(-1) for a in (dz, dh, dc, dout, dy, gates, c, c0, projection)]
    states = w.reshape(-1)
    threads = threads_of_tile(itemsize)
    down, previous = height(n, h, PLAIN), -1
    step, blocks = lstm_steps.backward(down, itemsize), grid(n, h, down, PLAIN)
    whole = in_chunks(p, dout, projection) if w_hr.size else in_chunks(GATES * h, dz, w)
    for t in order_of(steps, not reverse):
        depth = GATES * h if previous >= 0 else 0
        if w_hr.size:
            down = height(n, p, PLAIN)
            sizes = t, previous, n, p, depth, in_chunks(GATES * h, dz, w)
            args = flat_out, flat_dh, flat_dz, flat_dy, states, lengths, *sizes
            launch(lstm_steps.projection_grad(down, itemsize), grid(n, p, down, PLAIN), threads, stream, *args)
            depth = p
        args = *flat, lengths, t, previous, step_before(t, steps, reverse), n, h, depth, w_hr.size > 0, whole
        launch(step, blocks, threads, stream, *args)
        previous = t
    if previous >= 0:
        plain_product(dh, dz[previous], w_hh, False, False, True, stream)


def backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dw_hr,
    dy, dhn, dcn, x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths, reverse, accumulate, stream,
):  # fmt: skip
    """lstm_backward without the check of its arguments."""
    steps, n, p = y.shape
    h = c.shape[2]
    check_projection(p, h, w_hr.size)
    check_lengths(lengths, steps, stream)
    dz = empty(gates.shape, y.dtype)
    dout = empty((steps, n, p) if w_hr.size else 0, y.dtype)
    _gates_back(dz, dh0, dc0, dout, dy, dhn, dcn, c0, w_hh, w_hr, gates, c, lengths, reverse, stream)
    input_gradients(dx, dw_ih, dz, x, w_ih, accumulate, stream)
    state_gradients(dw_hh, dz, y, h0, lengths, reverse, accumulate, stream)
    add_rows(db_ih, db_hh, rows_of(dz), accumulate, stream)
    if dw_hr.size:
        made = empty(c.shape, y.dtype)
        spread(lstm_steps.made_of, made.size, stream, made.reshape(-1), gates.reshape(-1), c.reshape(-1), h)
        plain_product(dw_hr, rows_of(dout), rows_of(made), True, False, accumulate, stream)


@kernel
def lstm_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dw_hr,
    dy, dhn, dcn, x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths, reverse, accumulate, stream=0,
):  # fmt: skip
    """dz step by step, in one launch or in one a step; then products and a sum over all steps for what it came from."""
    given = dy, dhn, dcn, x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths, reverse, accumulate
    backward(dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dw_hr, *given, stream)
