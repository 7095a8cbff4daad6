"""The simple recurrent network (Elman's) over whole sequences."""

import numpy as np

from .recurrent import before, into, start, steps


def rnn_forward(y, hn, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, relu):
    """y[t] = h = tanh(x[t] @ w_ih.T + b_ih + h @ w_hh.T + b_hh), or relu of it

    y        (T, N, H)           [out]  states h by time; 0 past a sample's end
    hn       (N, H)              [out]  state after a sample's last step
    x        (T, N, D)                  input
    h0       (N, H) or (0,)             state before the first step; size 0: zeros
    w_ih     (H, D)                     weights of the input
    w_hh     (H, H)                     weights of the state
    b_ih     (H,) or (0,)               bias; size 0: none
    b_hh     (H,) or (0,)               bias; size 0: none
    lengths  (N,) or (0,) int64         steps of each sample, 0 .. T; size 0: all of them have T
    reverse  bool                       from a sample's last step to its first
    relu     bool                       max(x, 0) in place of tanh

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: Elman 1990; as torch.nn.RNN.
    """
    h = start(h0, hn.shape, x.dtype)
    bias = (b_ih if b_ih.size else 0) + (b_hh if b_hh.size else 0)
    for t, active in steps(x, lengths, reverse):
        z = x[t] @ w_ih.T + h @ w_hh.T + bias
        new = np.where(z <= 0, 0, z) if relu else np.tanh(z)
        h = np.where(active, new, h)
        y[t] = np.where(active, new, 0)
    hn[...] = h


def rnn_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, lengths, reverse, relu, accumulate
):
    """Back-propagation through time: the gradients of all that rnn_forward was given, from those of all it gave.

    dx          (T, N, D) or (0,)  [out]    gradient of the input; size 0: not wanted
    dh0         (N, H) or (0,)     [out]    gradient of the state before the first step; likewise
    dw_ih       (H, D) or (0,)     [inout]  gradient of w_ih; read only when accumulate; size 0: not wanted
    dw_hh       (H, H) or (0,)     [inout]  of w_hh, likewise
    db_ih       (H,) or (0,)       [inout]  of b_ih, likewise
    db_hh       (H,) or (0,)       [inout]  of b_hh, likewise
    dy          (T, N, H) or (0,)           gradient of y; size 0: zeros. Past a sample's end it does not count
    dhn         (N, H) or (0,)              gradient of hn; size 0: zeros
    x           (T, N, D)                   this and what follows: as in rnn_forward
    h0          (N, H) or (0,)
    w_ih        (H, D)
    w_hh        (H, H)
    y           (T, N, H)                   as rnn_forward left it
    lengths     (N,) or (0,) int64
    reverse     bool
    relu        bool
    accumulate  bool                        add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: the derivative of rnn_forward.
    """
    dh, first = start(dhn, y.shape[1:], x.dtype), start(h0, y.shape[1:], x.dtype)
    grads = [np.zeros_like(w_ih), np.zeros_like(w_hh), np.zeros(y.shape[2], x.dtype)]
    taken = steps(x, lengths, reverse)
    for k in range(len(taken))[::-1]:
        t, active = taken[k]
        # 0 for samples that do not have the step
        d = np.where(active, dh + (dy[t] if dy.size else 0), 0)
        dz = np.where(y[t] <= 0, 0, d) if relu else d * (1 - y[t] ** 2)
        dh = np.where(active, dz @ w_hh, dh)
        into(dx[t : t + 1], dz @ w_ih)
        grads[0] += dz.T @ x[t]
        grads[1] += dz.T @ before(y, first, taken, k)
        grads[2] += dz.sum(0)
    into(dh0, dh)
    for target, grad in zip((dw_ih, dw_hh, db_ih, db_hh), (*grads, grads[2]), strict=True):
        into(target, grad, accumulate)
