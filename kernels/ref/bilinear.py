"""A bilinear form of two inputs."""

import numpy as np


def bilinear_forward(y, x1, x2, w, b):
    """y[n, h] = sum over i, j of x1[n, i] * w[h, i, j] * x2[n, j], plus b[h]

    y   (N, H)           [out]  result
    x1  (N, D)                  first input
    x2  (N, E)                  second input
    w   (H, D, E)               weight
    b   (H,) or (0,)            bias; size 0: none

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.Bilinear.
    """
    y[...] = np.einsum("ni,hij,nj->nh", x1, w, x2)
    if b.size:
        y += b


def bilinear_backward(dx1, dx2, dw, db, dy, x1, x2, w, accumulate):
    """The gradients of bilinear_forward.

    dx1[n, i] = sum over h, j of dy[n, h] * w[h, i, j] * x2[n, j];  dx2[n, j] likewise with x1
    dw[h, i, j] = sum over n of dy[n, h] * x1[n, i] * x2[n, j];     db[h] = sum over n of dy[n, h]

    dx1  (N, D) or (0,)     [out]    gradient of x1; size 0: not wanted
    dx2  (N, E) or (0,)     [out]    gradient of x2; size 0: not wanted
    dw   (H, D, E) or (0,)  [inout]  gradient of the weight; size 0: not wanted
    db   (H,) or (0,)       [inout]  gradient of the bias; size 0: not wanted
    dy   (N, H)                      gradient of the result
    x1   (N, D)                      first input
    x2   (N, E)                      second input
    w    (H, D, E)                   weight
    accumulate  bool                 add to dw and db instead of overwriting them

    Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.Bilinear.
    """
    if dx1.size:
        dx1[...] = np.einsum("nh,hij,nj->ni", dy, w, x2)
    if dx2.size:
        dx2[...] = np.einsum("nh,hij,ni->nj", dy, w, x1)
    if dw.size:
        dw[...] = (dw if accumulate else 0) + np.einsum("nh,ni,nj->hij", dy, x1, x2)
    if db.size:
        db[...] = (db if accumulate else 0) + dy.sum(0)
