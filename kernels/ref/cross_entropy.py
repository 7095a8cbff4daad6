"""Cross-entropy of a softmax with one label, or a distribution, for each sample; and of log-probabilities (NLL).

Every loss here has the form sum over c of q[c] * (lse - x[c]), lse = log(sum(exp(x))): q is what is left of the
target after smoothing and class weights. Its gradient is softmax(x) * sum(q) - q.
"""

import numpy as np

from .loss import check_loss, reduced, save
from .loss_multiclass import check_labels


def cross_entropy_forward(loss, dx, x, target, weight, ignore_index, label_smoothing, reduction):
    """loss[n, m] = sum over c of q[c] * (lse - x[n, c, m]),  q[c] = weight[c] * ((1 - s) * (c == target[n, m]) + s / C)

    A mean divides by the sum of weight[target] over the samples that are not ignored: NaN when there is none.

    loss             (L,)               [out]  one value a sample for reduction 0, else one value
    dx               (N, C, M) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x                (N, C, M)                 logits
    target           (N, M) int64              0 .. C-1, or ignore_index
    weight           (C,) or (0,)              factor of each class
    ignore_index     int                       samples with this target have loss 0 and gradient 0, whatever their logits
    label_smoothing  float                     s, 0 .. 1
    reduction        int                       0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and smoothing outside 0 .. 1, IndexError for a label out of range.
    Source: as torch.nn.CrossEntropyLoss.
    """
    n, c, m = x.shape
    _check_smoothing(label_smoothing)
    check_labels(target, 0, c, ignore_index)
    kept = target != ignore_index
    label = np.where(kept, target, 0)
    w = weight if weight.size else np.ones(c, x.dtype)
    s = x.dtype.type(label_smoothing)
    q = np.zeros_like(x)
    if c:
        q[...] = (s / c * w)[None, :, None] if label_smoothing else 0
        rows, columns = np.arange(n)[:, None], np.arange(m)[None, :]
        q[rows, label, columns] += (1 - s) * w[label]
    g, values = _softmax_part(np.where(kept[:, None, :], x, 0), q)
    # with no smoothing only the label counts: 0 * inf of the other classes must not
    if not label_smoothing and c:
        values = -q[rows, label, columns] * _log_softmax(x)[rows, label, columns]
    count = w[label[kept]].sum(dtype=np.float64)
    scale = reduced(loss, np.where(kept, values, x.dtype.type(0)), reduction, count)
    save(dx, np.where(kept[:, None, :], scale * g, x.dtype.type(0)))


def cross_entropy_soft_forward(loss, dx, dtarget, x, target, weight, label_smoothing, reduction):
    """loss[n, m] = sum over c of q[c] * (lse - x[n, c, m]),  q[c] = weight[c] * ((1 - s) * target[n, c, m] + s / C)

    A mean divides by the number of samples.

    loss             (L,)               [out]  one value a sample for reduction 0, else one value
    dx               (N, C, M) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    dtarget          (N, C, M) or (0,)  [out]  likewise for target
    x                (N, C, M)                 logits
    target           (N, C, M)                 probabilities, 0 .. 1 (not enforced)
    weight           (C,) or (0,)              factor of each class
    label_smoothing  float                     s, 0 .. 1
    reduction        int                       0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and smoothing outside 0 .. 1. Source: as torch.nn.CrossEntropyLoss.
    """
    _check_smoothing(label_smoothing)
    c = x.shape[1]
    w = (weight if weight.size else np.ones(c, x.dtype))[None, :, None]
    s = x.dtype.type(label_smoothing)
    q = w * ((1 - s) * target + s / x.dtype.type(max(c, 1)))
    g, values = _softmax_part(x, q)
    scale = reduced(loss, values, reduction)
    save(dx, scale * g)
    save(dtarget, -scale * (1 - s) * w * _log_softmax(x))


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


def _log_softmax(x):
    if x.shape[1] == 0:
        return x
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = x - x.max(1, keepdims=True)
        return z - np.log(np.exp(z).sum(1, keepdims=True))


def _softmax_part(x, q):
    """Gradient of sum(q * (lse - x)) with respect to x, and the sum itself."""
    logp = _log_softmax(x)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.exp(logp) * q.sum(1, keepdims=True) - q, -(q * logp).sum(1)


def _check_smoothing(label_smoothing):
    if not 0 <= label_smoothing <= 1:
        raise ValueError("label_smoothing: expected 0 .. 1")
