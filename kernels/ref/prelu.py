"""Rectifiers whose slope on the left of 0 is data: learnt for a channel (PReLU) or drawn for an element (RReLU)."""

import numpy as np


def prelu_forward(y, x, w):
    """y = x where x > 0, else w[c] x

    y  (O, C, I) [out]  result
    x  (O, C, I)        input; C is the channels, 1 for a single slope
    w  (C,)             slopes

    Source: as torch.nn.functional.prelu.
    """
    y[...] = np.where(x > 0, x, w[:, None] * x)


def prelu_backward(dx, dw, dy, x, w, accumulate):
    """dx = dy where x > 0, else w[c] dy;  dw[c] = sum(dy x) where x <= 0

    dx  (O, C, I) or (0,) [out]  gradient of the input; size 0: not wanted
    dw  (C,) or (0,) [acc]       gradient of the slopes; size 0: not wanted
    dy  (O, C, I)                gradient of the result
    x   (O, C, I)                input of the forward
    w   (C,)                     slopes
    accumulate  bool             add to dw instead of overwriting it
    """
    if dx.size:
        dx[...] = np.where(x > 0, dy, w[:, None] * dy)
    if dw.size:
        dw[...] = (dw if accumulate else 0) + np.where(x > 0, 0, dy * x).sum(axis=(0, 2))


def rrelu_forward(y, x, slope):
    """y = x where x > 0, else slope x

    y      (...) [out]  result
    x      (...)        input
    slope  (...)        a slope for each element

    Source: Xu et al. 2015; as torch.nn.functional.rrelu in training.
    """
    y[...] = np.where(x > 0, x, slope * x)


def rrelu_backward(dx, dy, x, slope):
    """dx = dy where x > 0, else slope dy

    dx     (...) [out]  gradient of the input
    dy     (...)        gradient of the result
    x      (...)        input of the forward
    slope  (...)        a slope for each element
    """
    dx[...] = np.where(x > 0, dy, slope * dy)
