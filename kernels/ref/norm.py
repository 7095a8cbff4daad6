"""Layer norm and root-mean-square norm: every row by its own statistics.

Statistics are float64 whatever the rows are: rows with a mean of 1e4 and a deviation of 1 keep their digits.
"""

import numpy as np


def layer_norm_forward(y, mean, rstd, x, w, b, eps):
    """y = (x - mean) rstd w + b;  rstd = 1 / sqrt(var + eps), the population's variance over D

    y     (N, D) [out]          result
    mean  (N,) float64 [out]    hand unchanged to layer_norm_backward
    rstd  (N,) float64 [out]    likewise
    x     (N, D)                input
    w     (D,) or (0,)          weight; size 0: 1
    b     (D,) or (0,)          bias; size 0: 0
    eps   float                 added to the variance

    Source: Ba, Kiros, Hinton 2016; as torch.nn.functional.layer_norm.
    """
    wide = x.astype(np.float64)
    mean[...] = wide.sum(1) / max(x.shape[1], 1)
    deviation = wide - mean[:, None]
    with np.errstate(divide="ignore"):
        rstd[...] = 1 / np.sqrt((deviation**2).sum(1) / max(x.shape[1], 1) + eps)
    y[...] = deviation * rstd[:, None] * (w if w.size else 1) + (b if b.size else 0)


def layer_norm_backward(dx, dw, db, dy, x, w, mean, rstd, accumulate):
    """g = dy w, n = (x - mean) rstd:  dx = rstd (g - mean(g) - n mean(g n));  dw (+)= sum(dy n);  db (+)= sum(dy)

    dx    (N, D) or (0,) [out]    gradient of the input; size 0: not wanted
    dw    (D,) or (0,) [inout]    gradient of the weight; read only when accumulate; size 0: not wanted
    db    (D,) or (0,) [inout]    gradient of the bias; likewise
    dy    (N, D)                  gradient of the result
    x     (N, D)                  input of the forward
    w     (D,) or (0,)            weight; size 0: 1
    mean  (N,) float64            from the forward
    rstd  (N,) float64            from the forward
    accumulate  bool              add to dw and db instead of overwriting them
    """
    normal = (x - mean[:, None]) * rstd[:, None]
    g, count = dy * (w if w.size else 1), max(x.shape[1], 1)
    if dx.size:
        means = g.sum(1, keepdims=True) / count, (g * normal).sum(1, keepdims=True) / count
        dx[...] = rstd[:, None] * (g - means[0] - normal * means[1])
    if dw.size:
        dw[...] = (dw if accumulate else 0) + (dy * normal).sum(0)
    if db.size:
        db[...] = (db if accumulate else 0) + dy.sum(0)


def rms_norm_forward(y, rstd, x, w, eps):
    """y = x rstd w;  rstd = 1 / sqrt(mean(x^2) + eps), the mean over D

    y     (N, D) [out]          result
    rstd  (N,) float64 [out]    hand unchanged to rms_norm_backward
    x     (N, D)                input
    w     (D,) or (0,)          weight; size 0: 1
    eps   float                 added to the mean square

    Source: Zhang, Sennrich 2019; as torch.nn.functional.rms_norm.
    """
    wide = x.astype(np.float64)
    with np.errstate(divide="ignore"):
        rstd[...] = 1 / np.sqrt((wide**2).sum(1) / max(x.shape[1], 1) + eps)
    y[...] = wide * rstd[:, None] * (w if w.size else 1)


def rms_norm_backward(dx, dw, dy, x, w, rstd, accumulate):
    """g = dy w, n = x rstd:  dx = rstd (g - n mean(g n));  dw (+)= sum(dy n)

    dx    (N, D) or (0,) [out]    gradient of the input; size 0: not wanted
    dw    (D,) or (0,) [inout]    gradient of the weight; read only when accumulate; size 0: not wanted
    dy    (N, D)                  gradient of the result
    x     (N, D)                  input of the forward
    w     (D,) or (0,)            weight; size 0: 1
    rstd  (N,) float64            from the forward
    accumulate  bool              add to dw instead of overwriting it
    """
    normal = x * rstd[:, None]
    g = dy * (w if w.size else 1)
    if dx.size:
        dx[...] = rstd[:, None] * (g - normal * ((g * normal).sum(1, keepdims=True) / x.shape[1]))
    if dw.size:
        dw[...] = (dw if accumulate else 0) + (dy * normal).sum(0)
