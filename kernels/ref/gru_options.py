"""The GRU with layer normalisation, recurrent dropout, zoneout. What they are: recurrent_options.py.

The input's part is not made here: it is a product over all steps, normalised or not, that any other kernel makes.
"""

import numpy as np

from ..recurrent_option_checks import check_kept
from .recurrent import into, sigmoid, start, steps
from .recurrent_options import mixed, mixed_grad, normalised, normalised_grad, seen, step_of


def gru_options_forward(
    y, hn, gates, products, states, before,
    given, h0, w_hh, b_hh, norm_hh, mask, zone_h, lengths, reverse, reset_after, eps,
):  # fmt: skip
    """seen = mask * h;  r, z = s(given_rz[t] + norm(seen @ w_rz.T) * norm_rz + b_rz)
    n = tanh(given_n[t] + r * (norm(seen @ w_n.T) * norm_n + b_n))      reset_after
    n = tanh(given_n[t] + norm((r * seen) @ w_n.T) * norm_n + b_n)      otherwise
    y[t] = h = zone_h[t] * h + (1 - zone_h[t]) * ((1 - z) * n + z * h)

    y            (T, N, H)            [out]  states h by time; 0 past a sample's end
    hn           (N, H)               [out]  state after a sample's last step
    gates        (T, N, 4*H) or (0,)  [out]  r, z, n and what n is made of, the factor of r if reset_after, else
                                             r * seen; like the next three 0 past a sample's end, and to be handed
                                             unchanged to gru_options_backward. Size 0: not kept
    products     (T, N, 3*H) or (0,)  [out]  the products, before they are normalised; of use with norm_hh
    states       (T, N, H) or (0,)    [out]  seen
    before       (T, N, H) or (0,)    [out]  the states that each step begins with; of use with a mask
    given        (T, N, 3*H)                 the input's part of r, z and n
    h0           (N, H) or (0,)              state before the first step; size 0: zeros
    w_hh         (3*H, H)                    weights of the state
    b_hh         (3*H,) or (0,)              bias; size 0: none
    norm_hh      (3*H,) or (0,)              gains of the state's products, that of r and z and that of n; size 0: they
                                             are not normalised
    mask         (N, H) or (0,)              factors of the state that the products see; size 0: none
    zone_h       (T, N, H) or (0,)           part of the old state that stays: 0 or 1, or what is expected; size 0: none
    lengths      (N,) or (0,) int64          steps of each sample, 0 .. T; size 0: all of them have T
    reverse      bool                        from a sample's last step to its first
    reset_after  bool                        as torch.nn.GRU; otherwise as in the paper
    eps          float                       added to variances

    Raises ValueError for shapes that do not fit and lengths that are not 0 .. T, TypeError for mixed dtypes.
    Source: as gru_forward; the options: kernels/ref/recurrent_options.py.
    """
    width = hn.shape[1]
    h, bias = start(h0, hn.shape, given.dtype), b_hh if b_hh.size else np.zeros(3 * width, given.dtype)
    (w_rz, w_n), (b_rz, b_n), (norm_rz, norm_n) = (_halves(a, width) for a in (w_hh, bias, norm_hh))
    for t, active in steps(given, lengths, reverse):
        state = seen(h, mask)
        given_rz, given_n = np.split(given[t], [2 * width], 1)
        first = state @ w_rz.T
        r, z = np.split(sigmoid(given_rz + normalised(first, norm_rz, eps) + b_rz), 2, 1)
        second = (state if reset_after else r * state) @ w_n.T
        inner = normalised(second, norm_n, eps) + b_n
        a = inner if reset_after else r * state
        n = np.tanh(given_n + (r * inner if reset_after else inner))
        kept = (r, z, n, a), (first, second), (state,), (h,)
        for target, values in zip((gates, products, states, before), kept, strict=True):
            into(target[t : t + 1], np.where(active, np.concatenate(values, 1), 0))
        h = np.where(active, mixed(h, (1 - z) * n + z * h, step_of(zone_h, t)), h)
        y[t] = np.where(active, h, 0)
    hn[...] = h


def gru_options_backward(
    dgiven, dh0, dw_hh, db_hh, dnorm_hh, dproducts,
    dy, dhn, w_hh, norm_hh, mask, zone_h, gates, products, states, before,
    lengths, reverse, reset_after, eps, accumulate,
):  # fmt: skip
    """Back-propagation through time: the gradients of all that gru_options_forward was given but mask and zones.

    dgiven       (T, N, 3*H)          [out]    gradient of given
    dh0          (N, H) or (0,)       [out]    gradient of the state before the first step; size 0: not wanted
    dw_hh        (3*H, H) or (0,)     [inout]  gradient of w_hh; read only when accumulate; size 0: not wanted
    db_hh        (3*H,) or (0,)       [inout]  of b_hh, likewise
    dnorm_hh     (3*H,) or (0,)       [inout]  of norm_hh, likewise
    dproducts    (T, N, 3*H)          [work]   gradient of the products
    dy           (T, N, H) or (0,)             gradient of y; size 0: zeros. Past a sample's end it does not count
    dhn          (N, H) or (0,)                gradient of hn; size 0: zeros
    w_hh         (3*H, H)                      this and what follows: as in gru_options_forward
    norm_hh      (3*H,) or (0,)
    mask         (N, H) or (0,)
    zone_h       (T, N, H) or (0,)
    gates        (T, N, 4*H)                   as gru_options_forward left it
    products     (T, N, 3*H) or (0,)           likewise
    states       (T, N, H)                     likewise
    before       (T, N, H) or (0,)             likewise
    lengths      (N,) or (0,) int64
    reverse      bool
    reset_after  bool
    eps          float
    accumulate   bool                          add to the gradients of the parameters instead of overwriting them

    Raises ValueError for shapes that do not fit, lengths that are not 0 .. T and arrays that are needed and absent,
    TypeError for mixed dtypes. Source: the derivative of gru_options_forward.
    """
    check_kept(norm_hh.size * states.size, products.size)
    check_kept(mask.size * states.size, before.size)
    width = states.shape[2]
    dh = start(dhn, states.shape[1:], w_hh.dtype)
    (w_rz, w_n), (norm_rz, norm_n) = (_halves(a, width) for a in (w_hh, norm_hh))
    targets = dw_hh, db_hh, dnorm_hh
    grads = [np.zeros_like(a) for a in targets]
    for t, active in steps(gates, lengths, reverse)[::-1]:
        r, z, n, a = np.split(gates[t], 4, 1)
        state, h = states[t], before[t] if mask.size else states[t]
        first, second = _halves(products[t], width, 1) if norm_hh.size else (products, products)
        # 0 for samples that do not have the step
        dold, d = mixed_grad(np.where(active, dh + (dy[t] if dy.size else 0), 0), step_of(zone_h, t))
        dn, dzz = d * (1 - z) * (1 - n**2), d * (h - n) * z * (1 - z)
        dinner = dn * r if reset_after else dn
        dsecond, dgain_n = normalised_grad(dinner, second, norm_n, eps)
        through = dsecond @ w_n
        dr = (dn * a if reset_after else through * state) * r * (1 - r)
        drz = np.concatenate((dr, dzz), 1)
        dfirst, dgain_rz = normalised_grad(drz, first, norm_rz, eps)
        dseen = dfirst @ w_rz + (through if reset_after else through * r)
        dgiven[t] = np.concatenate((drz, dn), 1)
        dh = np.where(active, dold + d * z + seen(dseen, mask), dh)
        parts = (
            np.concatenate((dfirst.T @ state, dsecond.T @ (state if reset_after else a))),
            np.concatenate((drz, dinner), 1).sum(0),
            np.concatenate((dgain_rz, dgain_n)),
        )
        for k, part in enumerate(parts):
            grads[k] = grads[k] + part if targets[k].size else grads[k]
    into(dh0, dh)
    for target, grad in zip(targets, grads, strict=True):
        into(target, grad, accumulate)


def _halves(a, width, axis=0):
    """What belongs to r and z, and to n."""
    return np.split(a, [2 * width], axis)
