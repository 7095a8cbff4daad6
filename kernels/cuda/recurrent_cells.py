"""One step of an LSTM, a GRU or a simple recurrent network: a sequence of one step, in place.

Forward is two launches, the product with the input and the step (three with a reset before the product); backward is
the gradients of gates, a product for each gradient that is wanted, and sums for the biases.
"""

import numpy as np

from . import gru, lstm, rnn
from .target import empty, kernel


def _step(a):
    """An array of one step as that of a sequence of one."""
    return a.reshape(1, *a.shape)


def _absent(like):
    """(no array of floats, no lengths)"""
    return empty((0, 0), like.dtype), empty(0, np.int64)


@kernel
def lstm_cell_forward(h, c, gates, x, h0, c0, w_ih, w_hh, b_ih, b_hh, stream=0):
    """Two launches: the input's product, and the step, which computes cells from the tile of its product."""
    none, no_lengths = _absent(x)
    given = _step(x), h0, c0, w_ih, w_hh, b_ih, b_hh, none, no_lengths, False, stream
    lstm.forward(_step(h), h, c, _step(gates), none, *given)


@kernel
def lstm_cell_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dh, dc, x, h0, c0, w_ih, w_hh, gates, c, accumulate, stream=0
):
    """dz of the gates; products and a sum for what they came from."""
    none, no_lengths = _absent(x)
    gradients = _step(dx), dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, none
    kept = _step(c), _step(gates), _step(c), no_lengths, False, accumulate
    lstm.backward(*gradients, none, dh, dc, _step(x), h0, c0, w_ih, w_hh, none, *kept, stream)


@kernel
def gru_cell_forward(h, gates, x, h0, w_ih, w_hh, b_ih, b_hh, reset_after, stream=0):
    """Two launches, the input's product and the step; three with the reset before the product."""
    _, no_lengths = _absent(x)
    given = _step(x), h0, w_ih, w_hh, b_ih, b_hh, no_lengths, False, reset_after, stream
    gru.forward(_step(h), h, _step(gates), *given)


@kernel
def gru_cell_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dh, x, h0, w_ih, w_hh, gates, reset_after, accumulate, stream=0
):
    """The gradients of the gates; products and sums for what they came from."""
    none, no_lengths = _absent(x)
    gradients = _step(dx), dh0, dw_ih, dw_hh, db_ih, db_hh
    # no step reads the states of a step before
    kept = _step(dh), _step(gates), no_lengths, False, reset_after, accumulate
    gru.backward(*gradients, none, dh, _step(x), h0, w_ih, w_hh, *kept, stream)


@kernel
def rnn_cell_forward(h, x, h0, w_ih, w_hh, b_ih, b_hh, relu, stream=0):
    """Two launches: the input's product, and the step, which computes states from the tile of its product."""
    _, no_lengths = _absent(x)
    rnn.forward(_step(h), h, _step(x), h0, w_ih, w_hh, b_ih, b_hh, no_lengths, False, relu, stream)


@kernel
def rnn_cell_backward(dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dh, x, h0, w_ih, w_hh, h, relu, accumulate, stream=0):
    """dz; products and a sum for what it came from."""
    none, no_lengths = _absent(x)
    gradients = _step(dx), dh0, dw_ih, dw_hh, db_ih, db_hh
    rnn.backward(*gradients, none, dh, _step(x), h0, w_ih, w_hh, _step(h), no_lengths, False, relu, accumulate, stream)
