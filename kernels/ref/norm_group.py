"""Group norm: G groups of P channels, each by its own statistics, weights by channel. Instance norm is P = 1."""

import numpy as np


def _by_channel(v, x):
    """(G * P,) or nothing as something that x can be multiplied by."""
    return v.reshape(1, *x.shape[1:3], 1)


def _mean(v):
    return v.sum((2, 3), keepdims=True) / max(v.shape[2] * v.shape[3], 1)


def group_norm_forward(y, mean, rstd, x, w, b, eps):
    """y = (x - mean) rstd w + b;  rstd = 1 / sqrt(var + eps), the population's variance over P and I

    y     (O, G, P, I) [out]      result
    mean  (O, G) float64 [out]    hand unchanged to group_norm_backward
    rstd  (O, G) float64 [out]    likewise
    x     (O, G, P, I)            input: samples, groups, channels of a group, positions
    w     (G*P,) or (0,)          weight; size 0: 1
    b     (G*P,) or (0,)          bias; size 0: 0
    eps   float                   added to the variance

    Source: Wu, He 2018; as torch.nn.functional.group_norm, and instance_norm where P = 1.
    """
    wide = x.astype(np.float64)
    centre = _mean(wide)
    with np.errstate(divide="ignore"):
        scale = 1 / np.sqrt(_mean((wide - centre) ** 2) + eps)
    mean[...], rstd[...] = centre[:, :, 0, 0], scale[:, :, 0, 0]
    y[...] = (wide - centre) * scale * (_by_channel(w, x) if w.size else 1) + (_by_channel(b, x) if b.size else 0)


def group_norm_backward(dx, dw, db, dy, x, w, mean, rstd, accumulate):
    """g = dy w, n = (x - mean) rstd:  dx = rstd (g - mean(g) - n mean(g n));  dw (+)= sum(dy n);  db (+)= sum(dy)

    dx    (O, G, P, I) or (0,) [out]  gradient of the input; size 0: not wanted
    dw    (G*P,) or (0,) [inout]      gradient of the weight; read only when accumulate; size 0: not wanted
    db    (G*P,) or (0,) [inout]      gradient of the bias; likewise
    dy    (O, G, P, I)                gradient of the result
    x     (O, G, P, I)                input of the forward
    w     (G*P,) or (0,)              weight; size 0: 1
    mean  (O, G) float64              from the forward
    rstd  (O, G) float64              from the forward
    accumulate  bool                  add to dw and db instead of overwriting them
    """
    scale = rstd[:, :, None, None]
    normal, g = (x - mean[:, :, None, None]) * scale, dy * (_by_channel(w, x) if w.size else 1)
    if dx.size:
        dx[...] = scale * (g - _mean(g) - normal * _mean(g * normal))
    if dw.size:
        dw[...] = (dw if accumulate else 0) + (dy * normal).sum((0, 3)).ravel()
    if db.size:
        db[...] = (db if accumulate else 0) + dy.sum((0, 3)).ravel()
