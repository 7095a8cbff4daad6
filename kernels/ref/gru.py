"""The GRU over whole sequences, in either form of its reset."""

import numpy as np

from .recurrent import before, into, sigmoid, start, steps


def gru_forward(y, hn, gates, x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after):
    """r, z = s(x[t] @ w_ih.T + b_ih + h @ w_hh.T + b_hh)          their parts of the weights
    n = tanh(x[t] @ w_in.T + b_in + r * (h @ w_hn.T + b_hn))       reset_after
    n = tanh(x[t] @ w_in.T + b_in + (r * h) @ w_hn.T + b_hn)       otherwise
    y[t] = h = (1 - z) * n + z * h

    y            (T, N, H)            [out]  states h by time; 0 past a sample's end
    hn           (N, H)               [out]  state after a sample's last step
    gates        (T, N, 4*H) or (0,)  [out]  r, z, n and what n is made of, h @ w_hn.T + b_hn if reset_after, else
                                             r * h; hand unchanged to gru_backward. Size 0: not kept
    x            (T, N, D)                   input
    h0           (N, H) or (0,)              state before the first step; size 0: zeros
    w_ih         (3*H, D)                    weights of the input: of r, z and n
    w_hh         (3*H, H)                    weights of the state
    b_ih         (3*H,) or (0,)              bias; size 0: none
    b_hh         (3*H,) or (0,)              bias; size 0: none
    lengths      (N,) or (0,) int64          steps of each sample, 0 .. T; size 0: all of them have T
    reverse      bool                        from a sample's last step to its first
    reset_after  bool                        as torch.nn.GRU; otherwise as in the paper

    Past a sample's end gates are 0, too. Raises ValueError for shapes that do not fit and lengths that are not 0 .. T,
    TypeError for mixed dtypes.
    Source: Cho et al. 2014; reset_after as torch.nn.GRU.
    """
    h = start(h0, hn.shape, x.dtype)
    width = hn.shape[1]
    b_ih, b_hh = (b if b.size else np.zeros(3 * width, x.dtype) for b in (b_ih, b_hh))
    for t, active in steps(x, lengths, reverse):
        given = x[t] @ w_ih.T + b_ih
        rz = sigmoid(given[:, : 2 * width] + h @ w_hh[: 2 * width].T + b_hh[: 2 * width])
        r, z = np.split(rz, 2, 1)
        a = h @ w_hh[2 * width :].T + b_hh[2 * width :] if reset_after else r * h
        inner = r * a if reset_after else a @ w_hh[2 * width :].T + b_hh[2 * width :]
        n = np.tanh(given[:, 2 * width :] + inner)
        new = (1 - z) * n + z * h
        h = np.where(active, new, h)
        y[t] = np.where(active, new, 0)
        into(gates[t : t + 1], np.where(active, np.concatenate((r, z, n, a), 1), 0))
    hn[...] = h


def gru_backward(
    dx, dh0, dw_ih, dw_hh, db_ih, db_hh, dy, dhn, x, h0, w_ih, w_hh, y, gates, lengths, reverse, reset_after, accumulate
):
    """Back-propagation through time: the gradients of all that gru_forward was given, from those of all it gave.

    dx           (T, N, D) or (0,)  [out]    gradient of the input; size 0: not wanted
    dh0          (N, H) or (0,)     [out]    gradient of the state before the first step; likewise
    dw_ih        (3*H, D) or (0,)   [inout]  gradient of w_ih; read only when accumulate; size 0: not wanted
    dw_hh        (3*H, H) or (0,)   [inout]  of w_hh, likewise
    db_ih        (3*H,) or (0,)     [inout]  of b_ih, likewise
    db_hh        (3*H,) or (0,)     [inout]  of b_hh, likewise
    dy           (T, N, H) or (0,)           gradient of y; size 0: zeros. Past a sample's end it does not count
    dhn          (N, H) or (0,)              gradient of hn; size 0: zeros
    x            (T, N, D)                   this and what follows: as in gru_forward
    h0           (N, H) or (0,)
    w_ih         (3*H, D)
    w_hh         (3*H, H)
    y            (T, N, H)                   as gru_forward left it
    gates        (T, N, 4*H)                 likewise
    lengths      (N,) or (0,) int64
    reverse      bool
    reset_after  bool
    accumulate   bool                        add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: the derivative of gru_forward.
    """
    width = y.shape[2]
    dh, first = start(dhn, y.shape[1:], x.dtype), start(h0, y.shape[1:], x.dtype)
    w_rz, w_n = w_hh[: 2 * width], w_hh[2 * width :]
    grads = [np.zeros_like(w_ih), np.zeros_like(w_hh), *np.zeros((2, 3 * width), x.dtype)]
    taken = steps(x, lengths, reverse)
    for k in range(len(taken))[::-1]:
        t, active = taken[k]
        r, z, n, a = np.split(gates[t], 4, 1)
        h = before(y, first, taken, k)
        # 0 for samples that do not have the step
        d = np.where(active, dh + (dy[t] if dy.size else 0), 0)
        dn = d * (1 - z) * (1 - n**2)
        if reset_after:
            dr, da, through = dn * a, dn * r, dn * r @ w_n
        else:
            dr, da, through = dn @ w_n * h, dn, dn @ w_n * r
        drz = np.concatenate((dr * r * (1 - r), d * (h - n) * z * (1 - z)), 1)
        dh = np.where(active, d * z + drz @ w_rz + through, dh)
        given, states = np.concatenate((drz, dn), 1), np.concatenate((drz, da), 1)
        into(dx[t : t + 1], given @ w_ih)
        grads[0] += given.T @ x[t]
        grads[1] += np.concatenate((drz.T @ h, da.T @ (h if reset_after else a)))
        grads[2] += given.sum(0)
        grads[3] += states.sum(0)
    into(dh0, dh)
    for target, grad in zip((dw_ih, dw_hh, db_ih, db_hh), grads, strict=True):
        into(target, grad, accumulate)
