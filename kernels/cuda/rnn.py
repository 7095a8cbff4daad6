"""The simple recurrent network over whole sequences, by either of the two ways that recurrent.py tells of."""

import numpy as np

from . import rnn_steps
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
    transposed,
)
from .recurrent_resident import layout, packed_weights, run
from .recurrent_tile import grid, height, threads_of_tile
from .target import empty, kernel, launch


def forward(y, hn, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu, stream):
    """rnn_forward without the check of its arguments."""
    steps, n, h = y.shape
    check_lengths(lengths, steps, stream)
    input_products(y, x, w_ih, b_ih, stream)
    found = layout(1, h, steps, n, y.itemsize, False) if steps != 1 else None
    if found:
        packed = packed_weights(w_hh, 1, found.groups, h, False, stream)
        flat = [a.reshape(-1) for a in (y, hn, h0, packed)]
        args = *flat, b_hh, lengths, *map(np.int32, (steps, n, h)), reverse, relu
        run(rnn_steps.forward_resident(*found), found, 1, h, n, stream, *args)
        return
    if steps == 0:
        begin_with(hn, h0, stream)
    down, threads = height(n, h, PLAIN), threads_of_tile(y.itemsize)
    step, blocks = rnn_steps.forward(down, y.itemsize), grid(n, h, down, PLAIN)
    out, w = y.reshape(-1), w_hh.reshape(-1)
    for t, (old, old_at, new, new_at) in zip(order_of(steps, reverse), relay(h0, hn, steps), strict=True):
        sizes = t, old_at, new_at, n, h, relu, in_chunks(h, old, w)
        launch(step, blocks, threads, stream, out, old, new, w, b_hh, lengths, *sizes)


@kernel
def rnn_forward(y, hn, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu, stream=0):
    """A product for the inputs of all steps, where y is to be; then one launch, whose blocks each take their samples
    through all steps, or a launch a step, which computes states from the tile of its product."""
    forward(y, hn, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu, stream)


def _states_back(dz, dh, dy, dhn, w_hh, y, lengths, reverse, relu, stream):
    """dz of all steps, and the gradient of the first states, which is in dh."""
    steps, n, h = y.shape
    found = layout(1, h, steps, n, y.itemsize, True) if steps != 1 else None
    if found:
        packed = packed_weights(w_hh, 1, found.groups, h, True, stream)
        flat = [a.reshape(-1) for a in (dz, dh, dy, dhn, packed, y)]
        args = *flat, lengths, *map(np.int32, (steps, n, h)), reverse, relu
        run(rnn_steps.backward_resident(*found), found, 1, h, n, stream, *args)
        return
    dh = kept(dh, (n, h))
    begin_with(dh, dhn, stream)
    w = transposed(w_hh, stream) if steps > 1 else w_hh
    down, threads = height(n, h, PLAIN), threads_of_tile(y.itemsize)
    step, blocks = rnn_steps.backward(down, y.itemsize), grid(n, h, down, PLAIN)
    flat = [a.reshape(-1) for a in (dz, dh, dy, y, w)]
    whole, previous = in_chunks(h, dz, w), -1
    for t in order_of(steps, not reverse):
        depth = h if previous >= 0 else 0
        launch(step, blocks, threads, stream, *flat, lengths, t, previous, n, h, depth, relu, whole)
        previous = t
    if previous >= 0:
        plain_product(dh, dz[previous], w_hh, False, False, True, stream)


def backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, lengths, reverse, relu, accumulate, stream
):
    """rnn_backward without the check of its arguments."""
    check_lengths(lengths, y.shape[0], stream)
    dz = empty(y.shape, y.dtype)
    _states_back(dz, dh0, dy, dhn, w_hh, y, lengths, reverse, relu, stream)
    input_gradients(dx, dw_ih, dz, x, w_ih, accumulate, stream)
    state_gradients(dw_hh, dz, y, h0, lengths, reverse, accumulate, stream)
    add_rows(db_ih, db_hh, rows_of(dz), accumulate, stream)


@kernel
def rnn_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, lengths, reverse, relu, accumulate, stream=0
):
    """dz step by step, in one launch or in one a step; then products and a sum over all steps for what it came from."""
    given = dy, dhn, x, h0, w_ih, w_hh, y, lengths, reverse, relu, accumulate
    backward(dx, dh0, dw_ih, dw_hh, db_ih, db_hh, *given, stream)
