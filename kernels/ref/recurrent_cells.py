"""One step of an LSTM, a GRU or a simple recurrent network, for recurrences of one's own."""

import numpy as np

from .gru import gru_backward, gru_forward
from .lstm import lstm_backward, lstm_forward
from .rnn import rnn_backward, rnn_forward

_NO_LENGTHS = np.empty(0, np.int64)


def _step(*arrays):
    """Arrays of one step as those of a sequence of one."""
    return [a[None] for a in arrays]


def lstm_cell_forward(h, c, gates, x, h0, c0, w_ih, w_hh, b_ih, b_hh):
    """i, f, g, o = split(x @ w_ih.T + b_ih + h0 @ w_hh.T + b_hh);  c = s(f) * c0 + s(i) * tanh(g);  h = s(o) * tanh(c)

    h      (N, H)            [out]  new state
    c      (N, H)            [out]  new cells
    gates  (N, 4*H) or (0,)  [out]  s(i), s(f), tanh(g), s(o); hand unchanged to lstm_cell_backward. Size 0: not kept
    x      (N, D)                   input
    h0     (N, H) or (0,)           state; size 0: zeros
    c0     (N, H) or (0,)           cells; size 0: zeros
    w_ih   (4*H, D)                 weights of the input: of i, f, g and o
    w_hh   (4*H, H)                 weights of the state
    b_ih   (4*H,) or (0,)           bias; size 0: none
    b_hh   (4*H,) or (0,)           bias; size 0: none

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.LSTMCell.
    """
    hn, cn, none = np.empty_like(h), np.empty_like(c), np.empty(0, x.dtype)
    outputs = *_step(h), hn, cn, *_step(gates, c)
    lstm_forward(*outputs, *_step(x), h0, c0, w_ih, w_hh, b_ih, b_hh, none, _NO_LENGTHS, False)


def lstm_cell_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dh, dc, x, h0, c0, w_ih, w_hh, gates, c, accumulate
):  # fmt: skip
    """The gradients of all that lstm_cell_forward was given, from those of what it gave.

    dx          (N, D) or (0,)    [out]    gradient of the input; size 0: not wanted
    dh0         (N, H) or (0,)    [out]    of the state, likewise
    dc0         (N, H) or (0,)    [out]    of the cells, likewise
    dw_ih       (4*H, D) or (0,)  [inout]  of w_ih; read only when accumulate; size 0: not wanted
    dw_hh       (4*H, H) or (0,)  [inout]  of w_hh, likewise
    db_ih       (4*H,) or (0,)    [inout]  of b_ih, likewise
    db_hh       (4*H,) or (0,)    [inout]  of b_hh, likewise
    dh          (N, H) or (0,)             gradient of the new state; size 0: zeros
    dc          (N, H) or (0,)             gradient of the new cells; size 0: zeros
    x           (N, D)                     this and what follows: as in lstm_cell_forward
    h0          (N, H) or (0,)
    c0          (N, H) or (0,)
    w_ih        (4*H, D)
    w_hh        (4*H, H)
    gates       (N, 4*H)                   as lstm_cell_forward left it
    c           (N, H)                     likewise
    accumulate  bool                       add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: the derivative of lstm_cell_forward.
    """
    none, y = np.empty(0, x.dtype), np.zeros_like(c)
    gradients = *_step(dx), dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, none
    given = none, dh, dc, *_step(x), h0, c0, w_ih, w_hh, none, *_step(y, gates, c)
    lstm_backward(*gradients, *given, _NO_LENGTHS, False, accumulate)


def gru_cell_forward(h, gates, x, h0, w_ih, w_hh, b_ih, b_hh, reset_after):
    """r, z = s(x @ w_ih.T + b_ih + h0 @ w_hh.T + b_hh);  h = (1 - z) * n + z * h0
    n = tanh(x @ w_in.T + b_in + r * (h0 @ w_hn.T + b_hn)), or with (r * h0) @ w_hn.T + b_hn

    h            (N, H)            [out]  new state
    gates        (N, 4*H) or (0,)  [out]  r, z, n and what n is made of, as in gru_forward; hand unchanged to
                                          gru_cell_backward. Size 0: not kept
    x            (N, D)                   input
    h0           (N, H) or (0,)           state; size 0: zeros
    w_ih         (3*H, D)                 weights of the input: of r, z and n
    w_hh         (3*H, H)                 weights of the state
    b_ih         (3*H,) or (0,)           bias; size 0: none
    b_hh         (3*H,) or (0,)           bias; size 0: none
    reset_after  bool                     the first form of n, as torch.nn.GRUCell; otherwise the second

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.GRUCell.
    """
    outputs = *_step(h), np.empty_like(h), *_step(gates)
    gru_forward(*outputs, *_step(x), h0, w_ih, w_hh, b_ih, b_hh, _NO_LENGTHS, False, reset_after)


def gru_cell_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dh, x, h0, w_ih, w_hh, gates, reset_after, accumulate
):  # fmt: skip
    """The gradients of all that gru_cell_forward was given, from that of what it gave.

    dx           (N, D) or (0,)    [out]    gradient of the input; size 0: not wanted
    dh0          (N, H) or (0,)    [out]    of the state, likewise
    dw_ih        (3*H, D) or (0,)  [inout]  of w_ih; read only when accumulate; size 0: not wanted
    dw_hh        (3*H, H) or (0,)  [inout]  of w_hh, likewise
    db_ih        (3*H,) or (0,)    [inout]  of b_ih, likewise
    db_hh        (3*H,) or (0,)    [inout]  of b_hh, likewise
    dh           (N, H)                     gradient of the new state
    x            (N, D)                     this and what follows: as in gru_cell_forward
    h0           (N, H) or (0,)
    w_ih         (3*H, D)
    w_hh         (3*H, H)
    gates        (N, 4*H)                   as gru_cell_forward left it
    reset_after  bool
    accumulate   bool                       add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: the derivative of gru_cell_forward.
    """
    gradients = *_step(dx), dh0, dw_ih, dw_hh, db_ih, db_hh
    given = *_step(dh), np.empty(0, x.dtype), *_step(x), h0, w_ih, w_hh, *_step(np.zeros_like(dh), gates)
    gru_backward(*gradients, *given, _NO_LENGTHS, False, reset_after, accumulate)


def rnn_cell_forward(h, x, h0, w_ih, w_hh, b_ih, b_hh, relu):
    """h = tanh(x @ w_ih.T + b_ih + h0 @ w_hh.T + b_hh), or relu of it

    h     (N, H)          [out]  new state
    x     (N, D)                 input
    h0    (N, H) or (0,)         state; size 0: zeros
    w_ih  (H, D)                 weights of the input
    w_hh  (H, H)                 weights of the state
    b_ih  (H,) or (0,)           bias; size 0: none
    b_hh  (H,) or (0,)           bias; size 0: none
    relu  bool                   max(x, 0) in place of tanh

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.RNNCell.
    """
    rnn_forward(*_step(h), np.empty_like(h), *_step(x), h0, w_ih, w_hh, b_ih, b_hh, _NO_LENGTHS, False, relu)


def rnn_cell_backward(dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dh, x, h0, w_ih, w_hh, h, relu, accumulate):
    """The gradients of all that rnn_cell_forward was given, from that of what it gave.

    dx          (N, D) or (0,)  [out]    gradient of the input; size 0: not wanted
    dh0         (N, H) or (0,)  [out]    of the state, likewise
    dw_ih       (H, D) or (0,)  [inout]  of w_ih; read only when accumulate; size 0: not wanted
    dw_hh       (H, H) or (0,)  [inout]  of w_hh, likewise
    db_ih       (H,) or (0,)    [inout]  of b_ih, likewise
    db_hh       (H,) or (0,)    [inout]  of b_hh, likewise
    dh          (N, H)                   gradient of the new state
    x           (N, D)                   this and what follows: as in rnn_cell_forward
    h0          (N, H) or (0,)
    w_ih        (H, D)
    w_hh        (H, H)
    h           (N, H)                   as rnn_cell_forward left it
    relu        bool
    accumulate  bool                     add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: the derivative of rnn_cell_forward.
    """
    gradients = *_step(dx), dh0, dw_ih, dw_hh, db_ih, db_hh
    given = *_step(dh), np.empty(0, x.dtype), *_step(x), h0, w_ih, w_hh, *_step(h)
    rnn_backward(*gradients, *given, _NO_LENGTHS, False, relu, accumulate)
