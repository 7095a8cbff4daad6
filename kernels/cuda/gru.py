"""The GRU over whole sequences, by either of the two ways through the steps that recurrent.py tells of.

Where its reset comes before the product, a step has two products, one after the other, and always launches of its own.
"""

import numpy as np

from . import gru_resident, gru_steps
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

PARTS = 3


def forward(y, hn, gates, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after, stream):
    """gru_forward without the check of its arguments."""
    steps, n, h = y.shape
    check_lengths(lengths, steps, stream)
    given = empty((steps, n, PARTS * h), y.dtype)
    input_products(given, x, w_ih, b_ih, stream)
    found = layout(PARTS, h, steps, n, y.itemsize, False) if reset_after and steps != 1 else None
    if found:
        packed = packed_weights(w_hh, PARTS, found.groups, h, False, stream)
        flat = [a.reshape(-1) for a in (y, hn, given, gates, h0, packed)]
        args = *flat, b_hh, lengths, *map(np.int32, (steps, n, h)), reverse
        run(gru_resident.forward(*found), found, PARTS, h, n, stream, *args)
        return
    if steps == 0:
        begin_with(hn, h0, stream)
    turns = list(zip(order_of(steps, reverse), relay(h0, hn, steps), strict=True))
    (_by_steps if reset_after else _by_resets)(turns, y, given, gates, w_hh, b_hh, lengths, stream)


def _by_steps(turns, y, given, gates, w_hh, b_hh, lengths, stream):
    _, n, h = y.shape
    down, threads = height(n, h, ACROSS), threads_of_tile(y.itemsize)
    step, blocks = gru_steps.forward(down, y.itemsize), grid(n, h, down, ACROSS)
    out, *flat = (a.reshape(-1) for a in (y, given, gates, w_hh))
    for t, (old, old_at, new, new_at) in turns:
        sizes = t, old_at, new_at, n, h, in_chunks(h, old, w_hh)
        launch(step, blocks, threads, stream, out, old, new, *flat, b_hh, lengths, *sizes)


def _by_resets(turns, y, given, gates, w_hh, b_hh, lengths, stream):
    steps, n, h = y.shape
    gates, left = kept(gates, (steps, n, 4 * h)), empty(n * h, y.dtype)
    threads = threads_of_tile(y.itemsize)
    down_rz, down_n = height(n, h, ACROSS), height(n, h, PLAIN)
    reset, renew = gru_steps.reset(down_rz, y.itemsize), gru_steps.renew(down_n, y.itemsize)
    blocks_rz, blocks_n = grid(n, h, down_rz, ACROSS), grid(n, h, down_n, PLAIN)
    out, inputs, kept_gates, w = (a.reshape(-1) for a in (y, given, gates, w_hh))
    w_n, b_n = w[2 * h * h :], b_hh[2 * h :]
    whole_n = in_chunks(h, left, w_n)
    for t, (old, old_at, new, new_at) in turns:
        args = left, old, inputs, kept_gates, w, b_hh, lengths, t, old_at, n, h, in_chunks(h, old, w)
        launch(reset, blocks_rz, threads, stream, *args)
        args = out, old, new, left, inputs, kept_gates, w_n, b_n, lengths, t, old_at, new_at, n, h, whole_n
        launch(renew, blocks_n, threads, stream, *args)


@kernel
def gru_forward(y, hn, gates, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after, stream=0):
    """A product for the inputs of all steps; then one launch, whose blocks each take their samples through all steps,
    or a launch a step, two with the reset before, which compute gates from the tiles of their products."""
    forward(y, hn, gates, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after, stream)


def _gates_back(first, second, dh, dy, dhn, h0, w_hh, y, gates, lengths, reverse, after, stream):
    """The gradients of all steps, as gru_steps.backward tells of them, and that of the first states, which is in dh."""
    steps, n, h = y.shape
    found = layout(PARTS, h, steps, n, y.itemsize, True) if after and steps != 1 else None
    if found:
        packed = packed_weights(w_hh, 1, found.groups, h, True, stream)
        flat = [a.reshape(-1) for a in (first, second, dh, dy, dhn, h0, packed, y, gates)]
        args = *flat, lengths, *map(np.int32, (steps, n, h)), reverse
        run(gru_resident.backward(*found), found, 1, h, n, stream, *args)
        return
    dh = kept(dh, (n, h))
    begin_with(dh, dhn, stream)
    multiplied, w = (second, w_hh) if after else (first, w_hh[: 2 * h])
    w_t, width = transposed(w, stream) if steps > 1 else w, w.shape[0]
    w_n = w_t if after else transposed(w_hh[2 * h :], stream)
    down, threads = height(n, h, PLAIN), threads_of_tile(y.itemsize)
    step, reset, blocks = (
        gru_steps.backward(down, y.itemsize),
        gru_steps.reset_down(down, y.itemsize),
        grid(n, h, down, PLAIN),
    )
    one, two, flat_dh, *flat = (a.reshape(-1) for a in (first, second, dh, dy, y, h0, gates, w_t, w_n))
    whole, whole_n = in_chunks(width, multiplied, w_t), in_chunks(h, second, w_n)
    previous = -1
    for t in order_of(steps, not reverse):
        earlier, depth = step_before(t, steps, reverse), width if previous >= 0 else 0
        sizes = t, previous, earlier, n, h, depth, after, whole
        launch(step, blocks, threads, stream, one, two, flat_dh, *flat[:5], lengths, *sizes)
        if not after:
            args = one, two, flat_dh, *flat[1:4], flat[5], lengths, t, earlier, n, h, whole_n
            launch(reset, blocks, threads, stream, *args)
        previous = t
    if previous >= 0:
        plain_product(dh, multiplied[previous], w, False, False, True, stream)


def backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, gates, lengths, reverse, reset_after,
    accumulate, stream,
):  # fmt: skip
    """gru_backward without the check of its arguments."""
    steps, n, h = y.shape
    check_lengths(lengths, steps, stream)
    widths = (3 * h, 3 * h) if reset_after else (2 * h, h)
    first, second = (empty((steps, n, width), y.dtype) for width in widths)
    _gates_back(first, second, dh0, dy, dhn, h0, w_hh, y, gates, lengths, reverse, reset_after, stream)
    none = y.reshape(-1)[:0]
    if reset_after:
        input_gradients(dx, dw_ih, first, x, w_ih, accumulate, stream)
        state_gradients(dw_hh, second, y, h0, lengths, reverse, accumulate, stream)
        add_rows(db_ih, none, rows_of(first), accumulate, stream)
        add_rows(db_hh, none, rows_of(second), accumulate, stream)
        return
    rz, n_part = slice(0, 2 * h), slice(2 * h, None)
    input_gradients(dx, dw_ih[rz], first, x, w_ih[rz], accumulate, stream)
    if dx.size:
        plain_product(rows_of(dx), rows_of(second), w_ih[n_part], False, False, True, stream)
    input_gradients(none, dw_ih[n_part], second, x, w_ih[n_part], accumulate, stream)
    state_gradients(dw_hh[rz], first, y, h0, lengths, reverse, accumulate, stream)
    if dw_hh.size:
        made = empty(y.shape, y.dtype)
        spread(gru_steps.last_of_four, made.size, stream, made.reshape(-1), gates.reshape(-1), h)
        plain_product(dw_hh[n_part], rows_of(second), rows_of(made), True, False, accumulate, stream)
    for part, dz in ((rz, first), (n_part, second)):
        add_rows(db_ih[part], db_hh[part], rows_of(dz), accumulate, stream)


@kernel
def gru_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, gates, lengths, reverse, reset_after,
    accumulate, stream=0,
):  # fmt: skip
    """The gradients of gates step by step, in one launch or in one or two a step; then products and sums over all steps
    for what they came from."""
    given = dy, dhn, x, h0, w_ih, w_hh, y, gates, lengths, reverse, reset_after, accumulate
    backward(dx, dh0, dw_ih, dw_hh, db_ih, db_hh, *given, stream)
