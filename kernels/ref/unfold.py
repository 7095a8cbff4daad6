"""Sliding blocks of images as columns, and back: unit dimensions stand for those that are not there."""

import numpy as np

from ..conv_checks import check_geometry


def _seen(tap, places, size, stride, padding, dilation):
    """The blocks whose element `tap` lies in the image, and what they see there, as slices."""
    offset = tap * dilation - padding
    first, last = max(0, -(offset // stride)), min(places, (size - 1 - offset) // stride + 1)
    count, begin = max(0, last - first), first * stride + offset
    return slice(first, first + count), slice(begin, begin + count * stride, stride) if count else slice(0, 0)


def unfold_forward(y, x, sh, sw, ph, pw, dh, dw):
    """y[n, c, r, o] = x[n, c, o * stride + r * dilation - padding], 0 outside of x

    o and r are places in two dimensions.

    y   (N, C, KH, KW, OH, OW)  [out]  the elements r of all blocks o
    x   (N, C, IH, IW)                 images
    sh  int                            stride, 1 or more
    sw  int
    ph  int                            padding in front, 0 or more; what is behind follows from the number of blocks
    pw  int
    dh  int                            dilation, 1 or more
    dw  int

    Raises ValueError for shapes and numbers that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.Unfold.
    """
    check_geometry(1, 1, 1, (sh, sw), (ph, pw), (dh, dw))
    y[...] = 0
    for i, j in np.ndindex(*y.shape[2:4]):
        to_h, from_h = _seen(i, y.shape[4], x.shape[2], sh, ph, dh)
        to_w, from_w = _seen(j, y.shape[5], x.shape[3], sw, pw, dw)
        y[:, :, i, j, to_h, to_w] = x[:, :, from_h, from_w]


def unfold_backward(dx, dy, sh, sw, ph, pw, dh, dw):
    """dx[n, c, i] = the sum of dy[n, c, r, o] over o, r with o * stride + r * dilation - padding = i: torch's fold

    dx  (N, C, IH, IW)          [out]  images
    dy  (N, C, KH, KW, OH, OW)         the elements r of all blocks o
    sh  int                            as in unfold_forward, and so all that follows
    sw  int
    ph  int
    pw  int
    dh  int
    dw  int

    Raises ValueError for shapes and numbers that do not fit, TypeError for mixed dtypes.
    Source: as torch.nn.Fold; the derivative of unfold_forward.
    """
    check_geometry(1, 1, 1, (sh, sw), (ph, pw), (dh, dw))
    dx[...] = 0
    for i, j in np.ndindex(*dy.shape[2:4]):
        from_h, to_h = _seen(i, dy.shape[4], dx.shape[2], sh, ph, dh)
        from_w, to_w = _seen(j, dy.shape[5], dx.shape[3], sw, pw, dw)
        dx[:, :, to_h, to_w] += dy[:, :, i, j, from_h, from_w]
