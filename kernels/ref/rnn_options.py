"""The simple recurrent network with options: layer normalisation, recurrent dropout, zoneout: recurrent_options.py.

The input's part is not made here: it is a product over all steps, normalised or not, that any other kernel makes.
"""

import numpy as np

from ..recurrent_option_checks import check_kept
from .recurrent import into, start, steps
from .recurrent_options import mixed, mixed_grad, normalised, normalised_grad, seen, step_of


def rnn_options_forward(
    y, hn, made, products, states, given, h0, w_hh, b_hh, norm_hh, mask, zone_h, lengths, reverse, relu, eps
):
    """made = tanh(given[t] + norm((mask * h) @ w_hh.T) * norm_hh + b_hh), or relu of it
    y[t] = h = zone_h[t] * h + (1 - zone_h[t]) * made

    y         (T, N, H)            [out]  states h by time; 0 past a sample's end
    hn        (N, H)               [out]  state after a sample's last step
    made      (T, N, H) or (0,)    [out]  like the next two 0 past a sample's end, and to be handed unchanged to
                                          rnn_options_backward. Size 0: not kept
    products  (T, N, H) or (0,)    [out]  (mask * h) @ w_hh.T; of use with norm_hh
    states    (T, N, H) or (0,)    [out]  mask * h, which the product sees
    given     (T, N, H)                   the input's part
    h0        (N, H) or (0,)              state before the first step; size 0: zeros
    w_hh      (H, H)                      weights of the state
    b_hh      (H,) or (0,)                bias; size 0: none
    norm_hh   (H,) or (0,)                gains of the state's product; size 0: it is not normalised
    mask      (N, H) or (0,)              factors of the state that the product sees; size 0: none
    zone_h    (T, N, H) or (0,)           part of the old state that stays: 0 or 1, or what is expected; size 0: none
    lengths   (N,) or (0,) int64          steps of each sample, 0 .. T; size 0: all of them have T
    reverse   bool                        from a sample's last step to its first
    relu      bool                        max(x, 0) in place of tanh
    eps       float                       added to variances

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: as rnn_forward; the options: kernels/ref/recurrent_options.py.
    """
    h = start(h0, hn.shape, given.dtype)
    for t, active in steps(given, lengths, reverse):
        state = seen(h, mask)
        product = state @ w_hh.T
        z = given[t] + normalised(product, norm_hh, eps) + (b_hh if b_hh.size else 0)
        new = np.where(z <= 0, 0, z) if relu else np.tanh(z)
        for target, value in ((made, new), (products, product), (states, state)):
            into(target[t : t + 1], np.where(active, value, 0))
        h = np.where(active, mixed(h, new, step_of(zone_h, t)), h)
        y[t] = np.where(active, h, 0)
    hn[...] = h


def rnn_options_backward(
    dgiven, dh0, dw_hh, db_hh, dnorm_hh, dproducts,
    dy, dhn, w_hh, norm_hh, mask, zone_h, made, products, states, lengths, reverse, relu, eps, accumulate,
):  # fmt: skip
    """Back-propagation through time: the gradients of all that rnn_options_forward was given but mask and zone.

    dgiven      (T, N, H)          [out]    gradient of given
    dh0         (N, H) or (0,)     [out]    gradient of the state before the first step; size 0: not wanted
    dw_hh       (H, H) or (0,)     [inout]  gradient of w_hh; read only when accumulate; size 0: not wanted
    db_hh       (H,) or (0,)       [inout]  of b_hh, likewise
    dnorm_hh    (H,) or (0,)       [inout]  of norm_hh, likewise
    dproducts   (T, N, H) or (0,)  [work]   needed with norm_hh
    dy          (T, N, H) or (0,)           gradient of y; size 0: zeros. Past a sample's end it does not count
    dhn         (N, H) or (0,)              gradient of hn; size 0: zeros
    w_hh        (H, H)                      this and what follows: as in rnn_options_forward
    norm_hh     (H,) or (0,)
    mask        (N, H) or (0,)
    zone_h      (T, N, H) or (0,)
    made        (T, N, H)                   as rnn_options_forward left it
    products    (T, N, H) or (0,)           likewise
    states      (T, N, H)                   likewise
    lengths     (N,) or (0,) int64
    reverse     bool
    relu        bool
    eps         float
    accumulate  bool                        add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit, lengths that are not 0 .. T and arrays that are needed and absent,
    TypeError for mixed dtypes. Source: the derivative of rnn_options_forward.
    """
    check_kept(norm_hh.size * states.size, min(products.size, dproducts.size))
    dh = start(dhn, states.shape[1:], w_hh.dtype)
    targets = dw_hh, db_hh, dnorm_hh
    grads = [np.zeros_like(a) for a in targets]
    for t, active in steps(made, lengths, reverse)[::-1]:
        # 0 for samples that do not have the step
        dold, d = mixed_grad(np.where(active, dh + (dy[t] if dy.size else 0), 0), step_of(zone_h, t))
        dz = np.where(made[t] <= 0, 0, d) if relu else d * (1 - made[t] ** 2)
        draw, dgain = normalised_grad(dz, products[t] if norm_hh.size else products, norm_hh, eps)
        dgiven[t] = dz
        dh = np.where(active, dold + seen(draw @ w_hh, mask), dh)
        for k, part in enumerate((draw.T @ states[t], dz.sum(0), dgain)):
            grads[k] = grads[k] + part if targets[k].size else grads[k]
    into(dh0, dh)
    for target, grad in zip(targets, grads, strict=True):
        into(target, grad, accumulate)
