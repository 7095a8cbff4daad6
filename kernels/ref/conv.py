"""Convolution of 1, 2 or 3 dimensions: unit dimensions stand for those that are not there."""

import numpy as np

from ..conv_checks import check_geometry
from ..fused import check_activation, check_kept
from .linear import _activate, _activate_grad


def _taps(x, y_shape, w_shape, strides, paddings, dilations):
    """For every tap of the kernel: its place, the outputs it contributes to, the inputs it reads (index tuples)."""
    for tap in np.ndindex(*w_shape[2:]):
        outputs, inputs = [], []
        for k, o, i, s, p, d in zip(tap, y_shape[2:], x.shape[2:], strides, paddings, dilations, strict=True):
            # output places whose input k * d - p + s * place lies inside
            first = max(0, -((k * d - p) // s))
            last = min(o, (i - 1 - k * d + p) // s + 1)
            count = max(0, last - first)
            begin = k * d - p + s * first
            outputs.append(slice(first, first + count))
            inputs.append(slice(begin, begin + s * count, s) if count else slice(0, 0))
        yield tap, tuple(outputs), tuple(inputs)


def _grouped(a, axis, groups):
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def conv_forward(y, z, x, w, b, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups):
    """z[n, k, o] = b[k] + sum over c, r of w[k, c, r] x[n, c, o * stride + r * dilation - padding];  y = activation(z)

    o and r are places in three dimensions; k sees the channels c of its group. x is 0 outside. The padding is the one
    in front: how far the outputs go, and with them how much is padded behind, is the shape of y.

    y           (N, K, OD, OH, OW)            [out]  result
    z           (N, K, OD, OH, OW) or (0,)    [out]  what the activation was given, for conv_backward; size 0: not kept,
                                                     right for all activations but those of scalar.NEEDS_INPUT
    x           (N, C, ID, IH, IW)                   input
    w           (K, C//groups, KD, KH, KW)           weight
    b           (K,) or (0,)                         bias; size 0: none
    activation  int                                  code of scalar.ACTIVATIONS; 0: none
    sd          int                                  stride, 1 or more
    sh          int
    sw          int
    pd          int                                  padding in front, 0 or more
    ph          int
    pw          int
    dd          int                                  dilation, 1 or more
    dh          int
    dw          int
    groups      int                                  divides C and K

    Raises ValueError for shapes and numbers that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.Conv3d.
    """
    check_activation(activation)
    check_geometry(x.shape[1], w.shape[0], groups, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw))
    total = np.zeros_like(y)
    total += b[:, None, None, None] if b.size else 0
    given, weights, sums = _grouped(x, 1, groups), _grouped(w, 0, groups), _grouped(total, 1, groups)
    if y.size and x.size and w.size:
        for (i, j, l), out, at in _taps(x, y.shape, w.shape, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw)):
            sums[(..., *out)] += np.einsum("gkc,ngczyx->ngkzyx", weights[..., i, j, l], given[(..., *at)])
    if z.size:
        z[...] = total
    y[...] = _activate(activation, total) if activation and y.size else total


def conv_backward(dx, dweight, db, dy, x, w, y, z, activation, sd, sh, sw, pd, ph, pw, dd, dh, dw, groups, accumulate):
    """dz = dy * activation'(z), and the gradients of the sums of conv_forward

    dx          (N, C, ID, IH, IW) or (0,)          [out]    gradient of the input; size 0: not wanted
    dweight     (K, C//groups, KD, KH, KW) or (0,)  [inout]  gradient of the weight; read only when accumulate; size 0:
                                                             not wanted
    db          (K,) or (0,)                        [inout]  gradient of the bias; likewise
    dy          (N, K, OD, OH, OW)                           gradient of the result
    x           (N, C, ID, IH, IW)                           input
    w           (K, C//groups, KD, KH, KW)                   weight
    y           (N, K, OD, OH, OW) or (0,)                   result; size 0: there is no activation
    z           (N, K, OD, OH, OW) or (0,)                   as conv_forward left it
    activation  int                                          as in conv_forward, and so all that follows
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
    Source: the derivative of conv_forward.
    """
    check_activation(activation)
    check_kept(activation, dy.size, y.size, z.size)
    check_geometry(x.shape[1], w.shape[0], groups, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw))
    dz = _activate_grad(activation, dy, y, z if z.size else y) if activation and dy.size else dy
    dx_sum, dw_sum = np.zeros_like(x), np.zeros_like(w)
    given, weights, grads = _grouped(x, 1, groups), _grouped(w, 0, groups), _grouped(dz, 1, groups)
    dx_groups, dw_groups = _grouped(dx_sum, 1, groups), _grouped(dw_sum, 0, groups)
    if dz.size and x.size and w.size:
        for (i, j, l), out, at in _taps(x, dy.shape, w.shape, (sd, sh, sw), (pd, ph, pw), (dd, dh, dw)):
            dy_seen, x_seen = grads[(..., *out)], given[(..., *at)]
            dw_groups[..., i, j, l] += np.einsum("ngkzyx,ngczyx->gkc", dy_seen, x_seen)
            dx_groups[(..., *at)] += np.einsum("gkc,ngkzyx->ngczyx", weights[..., i, j, l], dy_seen)
    if dx.size:
        dx[...] = dx_sum
    if dweight.size:
        dweight[...] = (dweight if accumulate else 0) + dw_sum
    if db.size:
        db[...] = (db if accumulate else 0) + dz.sum((0, 2, 3, 4))
