"""Margin losses of whole rows of scores: one label, a list of labels, or a yes or no for each class."""

import numpy as np

from ..labels import LabelError
from .loss import reduced, save
from .loss_binary import _sigmoid, _softplus


def multi_margin_forward(loss, dx, x, target, weight, p, margin, reduction):
    """loss[n] = weight[t] / C * sum over c != t of max(0, margin - x[n, t] + x[n, c])**p,  t = target[n]

    loss       (L,)            [out]  one value a row for reduction 0, else one value
    dx         (N, C) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x          (N, C)                 scores
    target     (N,) int64             0 .. C-1
    weight     (C,) or (0,)           factor of each class
    p          int                    1 or 2
    margin     float                  how far the right score should stand out
    reduction  int                    0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and other p, IndexError for a label out of range.
    Source: as torch.nn.MultiMarginLoss.
    """
    if p not in (1, 2):
        raise ValueError("multi_margin_forward: p: expected 1 or 2")
    n, c = x.shape
    check_labels(target, 0, c)
    rows = np.arange(n)
    z = np.maximum(x.dtype.type(margin) - x[rows, target][:, None] + x, 0)
    z = np.where(np.isnan(x), x, z)
    z[rows, target] = 0
    w = (weight[target] if weight.size else np.ones(n, x.dtype))[:, None] / x.dtype.type(max(c, 1))
    scale = reduced(loss, (w * z**p).sum(1), reduction)
    g = scale * w * (np.where(z > 0, x.dtype.type(1), x.dtype.type(0)) if p == 1 else 2 * z)
    g[rows, target] = -g.sum(1)
    save(dx, g)


def multilabel_margin_forward(loss, dx, x, target, reduction):
    """loss[n] = sum over labels t of n, and classes c that are none, of max(0, 1 - x[n, t] + x[n, c]) / C

    loss       (L,)            [out]  one value a row for reduction 0, else one value
    dx         (N, C) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x          (N, C)                 scores
    target     (N, C) int64           labels of the row, ended by the first -1
    reduction  int                    0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit, IndexError for a label outside -1 .. C-1.
    Source: as torch.nn.MultiLabelMarginLoss.
    """
    n, c = x.shape
    check_labels(target, -1, c)
    values, g = np.zeros(n, x.dtype), np.zeros_like(x)
    for i in range(n):
        end = np.flatnonzero(target[i] == -1)
        labels = target[i, : end[0]] if end.size else target[i]
        other = np.ones(c, bool)
        other[labels] = False
        for t in labels:
            z = np.where(other, 1 - x[i, t] + x[i], 0) / x.dtype.type(c)
            values[i] += z[~(z <= 0)].sum()
            g[i] += (z > 0) / x.dtype.type(c)
            g[i, t] -= (z > 0).sum() / x.dtype.type(c)
    save(dx, reduced(loss, values, reduction) * g)


def multilabel_soft_margin_forward(loss, dx, dtarget, x, target, weight, reduction):
    """loss[n] = -mean over c of weight[c] * (target * log(s(x)) + (1 - target) * log(s(-x))),  s the sigmoid

    loss       (L,)            [out]  one value a row for reduction 0, else one value
    dx         (N, C) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget    (N, C) or (0,)  [out]  likewise for target
    x          (N, C)                 logits
    target     (N, C)                 probabilities, 0 .. 1
    weight     (C,) or (0,)           factor of each class
    reduction  int                    0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit. Source: as torch.nn.MultiLabelSoftMarginLoss.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        w = (weight if weight.size else np.ones(x.shape[1], x.dtype)) / x.dtype.type(x.shape[1])
        values = (w * (target * _softplus(-x) + (1 - target) * _softplus(x))).sum(1)
        if x.shape[1] == 0:
            values[...] = np.nan
    scale = reduced(loss, values, reduction)
    save(dx, scale * w * (_sigmoid(x) - target))
    save(dtarget, -scale * w * x)


def check_labels(target, least, classes, ignore_index=None):
    """Refuse labels outside least .. classes-1, but for ignore_index, with the first of them and its range."""
    bad = (target < least) | (target >= classes)
    if ignore_index is not None:
        bad &= target != ignore_index
    if bad.any():
        raise LabelError(int(target[bad][0]), least, classes - 1)
