"""Weights as a direction and a length: for each slice along one dimension, or for all of them together."""

import numpy as np


def weight_norm_forward(w, norm, v, g):
    """w = v g / norm;  norm[r] = sqrt(sum of v[:, r, :]^2)

    w     (O, R, I)    [out]      result
    norm  (R,) float64 [out]      hand unchanged to weight_norm_backward
    v     (O, R, I)               direction; where all of a slice is 0 the result is NaN
    g     (R,)                    length

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: Salimans & Kingma 2016; as torch.nn.utils.weight_norm.
    """
    norm[...] = np.sqrt((v.astype(np.float64) ** 2).sum((0, 2)))
    with np.errstate(divide="ignore", invalid="ignore"):
        w[...] = v * (g / norm)[:, None]


def weight_norm_backward(dv, dg, dw, v, g, norm, accumulate):
    """s[r] = sum of dw[:, r, :] v[:, r, :]:  dv (+)= g / norm (dw - v s / norm^2);  dg (+)= s / norm

    dv    (O, R, I) or (0,) [inout]  gradient of the direction; read only when accumulate; size 0: not wanted
    dg    (R,) or (0,)      [inout]  gradient of the length; likewise
    dw    (O, R, I)                  gradient of the result
    v     (O, R, I)                  direction
    g     (R,)                       length
    norm  (R,) float64               as weight_norm_forward left it
    accumulate  bool                 add to dv and dg instead of overwriting them

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: the derivative of weight_norm_forward.
    """
    s = (dw.astype(np.float64) * v).sum((0, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        if dv.size:
            dv[...] = (dv if accumulate else 0) + (g / norm)[:, None] * (dw - v * (s / norm**2)[:, None])
        if dg.size:
            dg[...] = (dg if accumulate else 0) + s / norm
