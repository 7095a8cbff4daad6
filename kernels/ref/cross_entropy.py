"""Cross-entropy of a softmax with one label for each sample.

This loss, and that of distributions (cross_entropy_soft.py), has the form sum over c of q[c] * (lse - x[c]) with
lse = log(sum(exp(x))): q is what is left of the target after smoothing and class weights. Its gradient is
softmax(x) * sum(q) - q.
"""

import numpy as np

from .loss import reduced, save
from .loss_multiclass import check_labels


def cross_entropy_forward(loss, dx, x, target, weight, ignore_index, label_smoothing, reduction):
    """loss[n, m] = sum over c of q[c] * (lse - x[n, c, m]),  q[c] = weight[c] * ((1 - s) * (c == target[n, m]) + s / C)

    A mean divides by the sum of weight[target] over the samples that are not ignored: NaN when there is none.

    loss             (L,)               [out]  one value a sample for reduction 0, else one value
    dx               (N, C, M) or (0,)  [out]  gradient for an upstream gradient of one; hand to loss_backward
    x                (N, C, M)                 logits
    target           (N, M) int64              0 .. C-1, or ignore_index
    weight           (C,) or (0,)              factor of each class
    ignore_index     int                       samples of this target have loss 0 and gradient 0, whatever their logits
    label_smoothing  float                     s, 0 .. 1
    reduction        int                       0 none, 1 mean, 2 sum

    Raises ValueError for shapes that do not fit and smoothing outside 0 .. 1, IndexError for a label out of range.
    Source: as torch.nn.CrossEntropyLoss.
    """
    n, c, m = x.shape
    check_smoothing(label_smoothing)
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
    g, values = softmax_part(np.where(kept[:, None, :], x, 0), q)
    # with no smoothing only the label counts: 0 * inf of the other classes must not
    if not label_smoothing and c:
        values = -q[rows, label, columns] * log_softmax(x)[rows, label, columns]
    count = w[label[kept]].sum(dtype=np.float64)
    scale = reduced(loss, np.where(kept, values, x.dtype.type(0)), reduction, count)
    save(dx, np.where(kept[:, None, :], scale * g, x.dtype.type(0)))


def log_softmax(x):
    if x.shape[1] == 0:
        return x
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = x - x.max(1, keepdims=True)
        return z - np.log(np.exp(z).sum(1, keepdims=True))


def softmax_part(x, q):
    """Gradient of sum(q * (lse - x)) with respect to x, and the sum itself."""
    logp = log_softmax(x)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.exp(logp) * q.sum(1, keepdims=True) - q, -(q * logp).sum(1)


def check_smoothing(label_smoothing):
    if not 0 <= label_smoothing <= 1:
        raise ValueError("label_smoothing: expected 0 .. 1")
