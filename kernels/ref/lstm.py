"""The LSTM over whole sequences, and one step of it."""

import numpy as np

from ..recurrent_checks import check_projection
from .recurrent import before, into, sigmoid, start, steps


def lstm_forward(y, hn, cn, gates, c, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, lengths, reverse):
    """i, f, g, o = split(x[t] @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
    c[t] = s(f) * c[t-1] + s(i) * tanh(g);  h = s(o) * tanh(c[t]);  y[t] = h, or h @ w_hr.T

    y        (T, N, P)            [out]  states h by time; 0 past a sample's end
    hn       (N, P)               [out]  state after a sample's last step
    cn       (N, H)               [out]  likewise, of the cells
    gates    (T, N, 4*H) or (0,)  [out]  s(i), s(f), tanh(g), s(o); hand unchanged to lstm_backward. Size 0: not kept
    c        (T, N, H) or (0,)    [out]  cells by time; likewise
    x        (T, N, D)                   input
    h0       (N, P) or (0,)              state before the first step; size 0: zeros
    c0       (N, H) or (0,)              likewise, of the cells
    w_ih     (4*H, D)                    weights of the input: of i, f, g and o
    w_hh     (4*H, P)                    weights of the state
    b_ih     (4*H,) or (0,)              bias; size 0: none
    b_hh     (4*H,) or (0,)              bias; size 0: none
    w_hr     (P, H) or (0,)              projection of the states; size 0: none, P == H
    lengths  (N,) or (0,) int64          steps of each sample, 0 .. T; size 0: all of them have T
    reverse  bool                        from a sample's last step to its first

    Past a sample's end gates and c are 0, too. Raises ValueError for shapes that do not fit and lengths that are not
    0 .. T, TypeError for mixed dtypes.
    Source: Hochreiter & Schmidhuber 1997, Gers et al. 2000; projection: Sak et al. 2014; as torch.nn.LSTM.
    """
    check_projection(hn.shape[1], cn.shape[1], w_hr.size)
    h, cell = start(h0, hn.shape, x.dtype), start(c0, cn.shape, x.dtype)
    bias = (b_ih if b_ih.size else 0) + (b_hh if b_hh.size else 0)
    for t, active in steps(x, lengths, reverse):
        z = x[t] @ w_ih.T + h @ w_hh.T + bias
        zi, zf, zg, zo = np.split(z, 4, 1)
        i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
        new = f * cell + i * g
        state = o * np.tanh(new)
        if w_hr.size:
            state = state @ w_hr.T
        h, cell = np.where(active, state, h), np.where(active, new, cell)
        y[t] = np.where(active, state, 0)
        into(gates[t : t + 1], np.where(active, np.concatenate((i, f, g, o), 1), 0))
        into(c[t : t + 1], np.where(active, new, 0))
    hn[...], cn[...] = h, cell


def lstm_backward(
    dx, dh0, dc0, dw_ih, dw_hh, db_ih, db_hh, dw_hr,
    dy, dhn, dcn, x, h0, c0, w_ih, w_hh, w_hr, y, gates, c, lengths, reverse, accumulate,
):  # fmt: skip
    """Back-propagation through time: the gradients of all that lstm_forward was given, from those of all it gave.

    dx          (T, N, D) or (0,)    [out]    gradient of the input; size 0: not wanted
    dh0         (N, P) or (0,)       [out]    gradient of the state before the first step; likewise
    dc0         (N, H) or (0,)       [out]    likewise, of the cells
    dw_ih       (4*H, D) or (0,)     [inout]  gradient of w_ih; read only when accumulate; size 0: not wanted
    dw_hh       (4*H, P) or (0,)     [inout]  of w_hh, likewise
    db_ih       (4*H,) or (0,)       [inout]  of b_ih, likewise
    db_hh       (4*H,) or (0,)       [inout]  of b_hh, likewise
    dw_hr       (P, H) or (0,)       [inout]  of w_hr, likewise
    dy          (T, N, P) or (0,)             gradient of y; size 0: zeros. Past a sample's end it does not count
    dhn         (N, P) or (0,)                gradient of hn; size 0: zeros
    dcn         (N, H) or (0,)                gradient of cn; size 0: zeros
    x           (T, N, D)                     this and what follows: as in lstm_forward
    h0          (N, P) or (0,)
    c0          (N, H) or (0,)
    w_ih        (4*H, D)
    w_hh        (4*H, P)
    w_hr        (P, H) or (0,)
    y           (T, N, P)                     as lstm_forward left it
    gates       (T, N, 4*H)                   likewise
    c           (T, N, H)                     likewise
    lengths     (N,) or (0,) int64
    reverse     bool
    accumulate  bool                          add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: the derivative of lstm_forward.
    """
    check_projection(y.shape[2], c.shape[2], w_hr.size)
    states, cells = y.shape[1:], c.shape[1:]
    dh, dcell = start(dhn, states, x.dtype), start(dcn, cells, x.dtype)
    h_first, c_first = start(h0, states, x.dtype), start(c0, cells, x.dtype)
    grads = [np.zeros_like(a) for a in (w_ih, w_hh)] + [np.zeros(w_ih.shape[0], x.dtype), np.zeros_like(w_hr)]
    taken = steps(x, lengths, reverse)
    for k in range(len(taken))[::-1]:
        t, active = taken[k]
        i, f, g, o = np.split(gates[t], 4, 1)
        h_before, c_before = before(y, h_first, taken, k), before(c, c_first, taken, k)
        squashed = np.tanh(c[t])
        # of the step's own results; 0 for samples that do not have it
        dstate = np.where(active, dh + (dy[t] if dy.size else 0), 0)
        grads[3] += dstate.T @ (o * squashed) if w_hr.size else 0
        dfull = dstate @ w_hr if w_hr.size else dstate
        dc = np.where(active, dcell + dfull * o * (1 - squashed**2), 0)
        dz = np.concatenate(
            (dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g**2), dfull * squashed * o * (1 - o)), 1
        )
        dh, dcell = np.where(active, dz @ w_hh, dh), np.where(active, dc * f, dcell)
        into(dx[t : t + 1], dz @ w_ih)
        grads[0] += dz.T @ x[t]
        grads[1] += dz.T @ h_before
        grads[2] += dz.sum(0)
    into(dh0, dh)
    into(dc0, dcell)
    for target, grad in zip((dw_ih, dw_hh, db_ih, db_hh, dw_hr), (*grads[:3], *grads[2:]), strict=True):
        into(target, grad, accumulate)
