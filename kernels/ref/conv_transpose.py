"""Transposed convolution of 1, 2 or 3 dimensions: unit dimensions stand for those that are not there."""

import numpy as np

from ..conv_checks import check_geometry
from ..fused import check_activation, check_kept
from .conv import _grouped, _taps
from .linear import _activate, _activate_grad


def conv_transpose_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups):
    """z[n, k, o] = b[k] + sum over c, i, r of w[c, k, r] x[n, c, i], where i * stride + r * dilation - padding = o;
    y = activation(z)

    i, o and r are places in three dimensions; c is a channel of k's group. How much of the result there is at its end,
    the output padding, is the shape of y.

    y           (N, K, OD, OH, OW)            [out]  result
    z           (N, K, OD, OH, OW) or (0,)    [out]  what the activation was given, for conv_transpose_backward; size 0:
                                                     not kept, right for all activations but those of
                                                     scalar.NEEDS_INPUT
    x           (N, C, ID, IH, IW)                   input
    w           (C, K//groups, KD, KH, KW)           weight
    b           (K,) or (0,)                         bias; size 0: none
    activation  int                                  code of scalar.ACTIVATIONS; 0: none
    sd          int                                  stride, 1 or more
    sh          int
    sw          int
    pd          int                                  padding, 0 or more: what is cut off in front
    ph          int
    pw          int
    dd          int                                  dilation, 1 or more
    dh          int
    dw          int
    groups      int                                  divides C and K

    Raises ValueError for shapes and numbers that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.ConvTranspose3d.
    """
    check_activation(activation)
    check_geometry(x.shape[1], y.shape[1], groups, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw))
    total = np.zeros_like(y)
    total += b[:, None, None, None] if b.size else 0
    given, weights, sums = _grouped(x, 1, groups), _grouped(w, 0, groups), _grouped(total, 1, groups)
    if y.size and x.size and w.size:
        # the convolution whose input has the shape of y
        for (i, j, l), at, out in _taps(y, x.shape, w.shape, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw)):
            sums[(..., *out)] += np.einsum("gck,ngczyx->ngkzyx", weights[..., i, j, l], given[(..., *at)])
    if z.size:
        z[...] = total
    y[...] = _activate(activation, total) if activation and y.size else total


def conv_transpose_backward(
    dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate
):
    """dz = dy * activation'(z), and the gradients of the sums of conv_transpose_forward

    dx          (N, C, ID, IH, IW) or (0,)          [out]    gradient of the input; size 0: not wanted
    dweight     (C, K//groups, KD, KH, KW) or (0,)  [inout]  gradient of the weight; read only when accumulate; size 0:
                                                             not wanted
    db          (K,) or (0,)                        [inout]  gradient of the bias; likewise
    dy          (N, K, OD, OH, OW)                           gradient of the result
    x           (N, C, ID, IH, IW)                           input
    w           (C, K//groups, KD, KH, KW)                   weight
    y           (N, K, OD, OH, OW) or (0,)                   result; size 0: there is no activation
    z           (N, K, OD, OH, OW) or (0,)                   as conv_transpose_forward left it
    activation  int                                          as in conv_transpose_forward, and so all that follows
    sd          int
    sh          int
    sw          int
    pd          int
    ph          int
    pw          int
    dd          int
    dh          int
    dw          int
    groups      int
    accumulate  bool                                         add to dweight and db instead of overwriting them

    Raises ValueError for shapes and numbers that do not fit, TypeError for mixed dtypes.
    Source: the derivative of conv_transpose_forward.
    """
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    check_geometry(x.shape[1], dy.shape[1], groups, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw))
    dz = _activate_grad(activation, dy, y, z if z.size else y) if activation and dy.size else dy
    dx_sum, dw_sum = np.zeros_like(x), np.zeros_like(w)
    given, weights, grads = _grouped(x, 1, groups), _grouped(w, 0, groups), _grouped(dz, 1, groups)
    dx_groups, dw_groups = _grouped(dx_sum, 1, groups), _grouped(dw_sum, 0, groups)
    if dz.size and x.size and w.size:
        for (i, j, l), at, out in _taps(dy, x.shape, w.shape, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw)):
            dy_seen, x_seen = grads[(..., *out)], given[(..., *at)]
            dw_groups[..., i, j, l] += np.einsum("ngczyx,ngkzyx->gck", x_seen, dy_seen)
            dx_groups[(..., *at)] += np.einsum("gck,ngkzyx->ngczyx", weights[..., i, j, l], dy_seen)
    if dx.size:
        dx[...] = dx_sum
    if dweight.size:
        dweight[...] = (dweight if accumulate else 0) + dw_sum
    if db.size:
        db[...] = (db if accumulate else 0) + dz.sum((0, 2, 3, 4))
