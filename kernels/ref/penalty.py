"""The elastic-net penalty of weights: l1 * sum |w| + l2 * sum w**2."""

import numpy as np


def penalty_forward(value, w, l1, l2):
    """value = l1 * sum(|w|) + l2 * sum(w * w)

    value  (1,)  [out]  penalty
    w      (...)        weights
    l1     float        factor of the absolute values
    l2     float        factor of the squares

    The sums are made in float64. Source: Zou & Hastie 2005, with l2 unhalved as in Keras.
    """
    wide = w.astype(np.float64)
    value[0] = l1 * np.abs(wide).sum() + l2 * (wide * wide).sum()


def penalty_backward(dw, dvalue, w, l1, l2, accumulate):
    """dw = dvalue * (l1 * sign(w) + 2 * l2 * w)

    dw          (...)  [inout]  gradient; read only when accumulate
    dvalue      (1,)            gradient of the penalty
    w           (...)           weights
    l1          float           factor of the absolute values
    l2          float           factor of the squares
    accumulate  bool            add to dw instead of overwriting

    At w = 0 the gradient of |w| is 0.
    """
    real = w.dtype.type
    gradient = dvalue[0] * (real(l1) * np.sign(w) + real(2 * l2) * w)
    dw[...] = dw + gradient if accumulate else gradient
