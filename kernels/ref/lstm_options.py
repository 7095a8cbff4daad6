"""The LSTM with layer normalisation, recurrent dropout, zoneout, peepholes. What they are: recurrent_options.py.

The input's part is not made here: it is a product over all steps, normalised or not, that any other kernel makes.
"""

import numpy as np

from ..recurrent_checks import check_projection
from ..recurrent_option_checks import check_kept
from .recurrent import into, sigmoid, start, steps
from .recurrent_options import mixed, mixed_grad, normalised, normalised_grad, seen, step_of


def lstm_options_forward(
    y, hn, cn, gates, products, states, cells, made,
    given, h0, c0, w_hh, b_hh, w_hr, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c, lengths, reverse, eps,
):  # fmt: skip
    """i, f, g, o = split(given[t] + norm((mask * h) @ w_hh.T) * norm_hh + b_hh)
    new = s(f + p_f * c) * c + s(i + p_i * c) * tanh(g)
    made = s(o + p_o * new) * tanh(norm(new) * norm_c + shift_c), and then @ w_hr.T
    y[t] = h = zone_h[t] * h + (1 - zone_h[t]) * made;  c = zone_c[t] * c + (1 - zone_c[t]) * new

    y          (T, N, P)            [out]  states h by time; 0 past a sample's end
    hn         (N, P)               [out]  state after a sample's last step
    cn         (N, H)               [out]  likewise, of the cells
    gates      (T, N, 4*H) or (0,)  [out]  s(i), s(f), tanh(g), s(o); like the next four 0 past a sample's end, and to
                                           be handed unchanged to lstm_options_backward. Size 0: not kept
    products   (T, N, 4*H) or (0,)  [out]  (mask * h) @ w_hh.T; of use with norm_hh
    states     (T, N, P) or (0,)    [out]  mask * h, which the product sees
    cells      (T, N, H) or (0,)    [out]  the cells that each step begins with
    made       (T, N, H) or (0,)    [out]  what the projection is given; of use with w_hr
    given      (T, N, 4*H)                 the input's part of i, f, g and o
    h0         (N, P) or (0,)              state before the first step; size 0: zeros
    c0         (N, H) or (0,)              likewise, of the cells
    w_hh       (4*H, P)                    weights of the state
    b_hh       (4*H,) or (0,)              bias; size 0: none
    w_hr       (P, H) or (0,)              projection of the states; size 0: none, P == H
    norm_hh    (4*H,) or (0,)              gains of the state's product; size 0: it is not normalised
    norm_c     (H,) or (0,)                gains of the cell; likewise
    shift_c    (H,) or (0,)                added to the cell where its tanh is taken; size 0: nothing
    peepholes  (3*H,) or (0,)              p_i, p_f and p_o; size 0: none
    mask       (N, P) or (0,)              factors of the state that the product sees; size 0: none
    zone_h     (T, N, P) or (0,)           part of the old state that stays: 0 or 1, or what is expected; size 0: none
    zone_c     (T, N, H) or (0,)           likewise, of the cells
    lengths    (N,) or (0,) int64          steps of each sample, 0 .. T; size 0: all of them have T
    reverse    bool                        from a sample's last step to its first
    eps        float                       added to variances

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: as lstm_forward; the options: kernels/ref/recurrent_options.py.
    """
    check_projection(hn.shape[1], cn.shape[1], w_hr.size)
    h, c = start(h0, hn.shape, given.dtype), start(c0, cn.shape, given.dtype)
    p_i, p_f, p_o = np.split(peepholes, 3) if peepholes.size else (0, 0, 0)
    for t, active in steps(given, lengths, reverse):
        state = seen(h, mask)
        product = state @ w_hh.T
        z = given[t] + normalised(product, norm_hh, eps) + (b_hh if b_hh.size else 0)
        zi, zf, zg, zo = np.split(z, 4, 1)
        i, f, g = sigmoid(zi + p_i * c), sigmoid(zf + p_f * c), np.tanh(zg)
        new = f * c + i * g
        o = sigmoid(zo + p_o * new)
        full = o * np.tanh(normalised(new, norm_c, eps) + (shift_c if shift_c.size else 0))
        kept = (gates, np.concatenate((i, f, g, o), 1)), (products, product), (states, state), (cells, c), (made, full)
        for target, value in kept:
            into(target[t : t + 1], np.where(active, value, 0))
        h = np.where(active, mixed(h, full @ w_hr.T if w_hr.size else full, step_of(zone_h, t)), h)
        c = np.where(active, mixed(c, new, step_of(zone_c, t)), c)
        y[t] = np.where(active, h, 0)
    hn[...], cn[...] = h, c


def lstm_options_backward(
    dgiven, dh0, dc0, dw_hh, db_hh, dw_hr, dnorm_hh, dnorm_c, dshift_c, dpeepholes, dproducts, dout,
    dy, dhn, dcn, w_hh, w_hr, norm_hh, norm_c, shift_c, peepholes, mask, zone_h, zone_c,
    gates, products, states, cells, made, lengths, reverse, eps, accumulate,
):  # fmt: skip
    """Back-propagation through time: the gradients of all that lstm_options_forward was given but mask and zones.

    dgiven      (T, N, 4*H)           [out]    gradient of given
    dh0         (N, P) or (0,)        [out]    gradient of the state before the first step; size 0: not wanted
    dc0         (N, H) or (0,)        [out]    likewise, of the cells
    dw_hh       (4*H, P) or (0,)      [inout]  gradient of w_hh; read only when accumulate; size 0: not wanted
    db_hh       (4*H,) or (0,)        [inout]  of b_hh, likewise
    dw_hr       (P, H) or (0,)        [inout]  of w_hr, likewise
    dnorm_hh    (4*H,) or (0,)        [inout]  of norm_hh, likewise
    dnorm_c     (H,) or (0,)          [inout]  of norm_c, likewise
    dshift_c    (H,) or (0,)          [inout]  of shift_c, likewise
    dpeepholes  (3*H,) or (0,)        [inout]  of peepholes, likewise
    dproducts   (T, N, 4*H) or (0,)   [work]   needed with norm_hh
    dout        (T, N, P) or (0,)     [work]   needed with w_hr
    dy          (T, N, P) or (0,)              gradient of y; size 0: zeros. Past a sample's end it does not count
    dhn         (N, P) or (0,)                 gradient of hn; size 0: zeros
    dcn         (N, H) or (0,)                 gradient of cn; size 0: zeros
    w_hh        (4*H, P)                       this and what follows: as in lstm_options_forward
    w_hr        (P, H) or (0,)
    norm_hh     (4*H,) or (0,)
    norm_c      (H,) or (0,)
    shift_c     (H,) or (0,)
    peepholes   (3*H,) or (0,)
    mask        (N, P) or (0,)
    zone_h      (T, N, P) or (0,)
    zone_c      (T, N, H) or (0,)
    gates       (T, N, 4*H)                    as lstm_options_forward left it
    products    (T, N, 4*H) or (0,)            likewise
    states      (T, N, P)                      likewise
    cells       (T, N, H)                      likewise
    made        (T, N, H) or (0,)              likewise
    lengths     (N,) or (0,) int64
    reverse     bool
    eps         float
    accumulate  bool                           add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit, lengths that are not 0 .. T and arrays that are needed and absent,
    TypeError for mixed dtypes. Source: the derivative of lstm_options_forward.
    """
    check_projection(states.shape[2], cells.shape[2], w_hr.size)
    check_kept(norm_hh.size * states.size, min(products.size, dproducts.size))
    check_kept(w_hr.size * states.size, min(made.size, dout.size))
    dh, dc = start(dhn, states.shape[1:], w_hh.dtype), start(dcn, cells.shape[1:], w_hh.dtype)
    p_i, p_f, p_o = np.split(peepholes, 3) if peepholes.size else (0, 0, 0)
    targets = dw_hh, db_hh, dw_hr, dnorm_hh, dnorm_c, dshift_c, dpeepholes
    grads = [np.zeros_like(a) for a in targets]
    for t, active in steps(gates, lengths, reverse)[::-1]:
        i, f, g, o = np.split(gates[t], 4, 1)
        c = cells[t]
        new = f * c + i * g
        squashed = np.tanh(normalised(new, norm_c, eps) + (shift_c if shift_c.size else 0))
        # 0 for samples that do not have the step
        dold, dmade = mixed_grad(np.where(active, dh + (dy[t] if dy.size else 0), 0), step_of(zone_h, t))
        dcell, dnew = mixed_grad(np.where(active, dc, 0), step_of(zone_c, t))
        dfull = dmade @ w_hr if w_hr.size else dmade
        dzo = dfull * squashed * o * (1 - o)
        dinner = dfull * o * (1 - squashed**2)
        dcut, dgain_c = normalised_grad(dinner, new, norm_c, eps)
        dnew = dnew + dcut + p_o * dzo
        dzi, dzf, dzg = dnew * g * i * (1 - i), dnew * c * f * (1 - f), dnew * i * (1 - g**2)
        dz = np.concatenate((dzi, dzf, dzg, dzo), 1)
        draw, dgain = normalised_grad(dz, products[t] if norm_hh.size else products, norm_hh, eps)
        dgiven[t] = dz
        dh = np.where(active, dold + seen(draw @ w_hh, mask), dh)
        dc = np.where(active, dcell + dnew * f + p_i * dzi + p_f * dzf, dc)
        dpeep = np.concatenate(((dzi * c).sum(0), (dzf * c).sum(0), (dzo * new).sum(0)))
        dw_r = dmade.T @ made[t] if w_hr.size else 0
        parts = draw.T @ states[t], dz.sum(0), dw_r, dgain, dgain_c, dinner.sum(0), dpeep
        for k, part in enumerate(parts):
            grads[k] = grads[k] + part if targets[k].size else grads[k]
    into(dh0, dh)
    into(dc0, dc)
    for target, grad in zip(targets, grads, strict=True):
        into(target, grad, accumulate)
