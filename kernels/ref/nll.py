"""Negative log-likelihood: the loss of labels where logarithms of probabilities are given."""

import numpy as np

from .loss import check_loss, reduced, save
from .loss_multiclass import check_labels


def nll_forward(loss, dx, x, target, weight, ignore_index, reduction):
    """loss[n, m] = -weight[t] * x[n, t, m],  t = target[n, m]

    A mean divides by the sum of weight[target] over the samples that are not ignored: NaN when there is none.

    loss          (L,)               [out]  one value a sample for reduction 0, else one value
    dx            (N, C, M) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x             (N, C, M)                 logarithms of probabilities
    target        (N, M) int64              0 .. C-1, or ignore_index
    weight        (C,) or (0,)              factor of each class
    ignore_index  int                       samples with this target have loss 0 and gradient 0
    reduction     int                       0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit, IndexError for a label out of range. Source: as torch.nn.NLLLoss.
    """
    n, c, m = x.shape
    check_labels(target, 0, c, ignore_index)
    check_loss(loss, target.size, reduction)
    values, g = np.zeros((n, m), x.dtype), np.zeros_like(x)
    count = np.float64(0)
    for i, j in zip(*np.nonzero(target != ignore_index), strict=True):
        t = target[i, j]
        w = weight[t] if weight.size else x.dtype.type(1)
        values[i, j] = -w * x[i, t, j]
        g[i, t, j] = -w
        count += w
    scale = reduced(loss, values, reduction, count)
    with np.errstate(invalid="ignore"):
        save(dx, np.where(g != 0, scale * g, g))
