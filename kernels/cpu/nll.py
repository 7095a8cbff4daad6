"""Negative log-likelihood on the CPU: of x only what the labels name is read; the gradient is mostly zeros."""

from ..jit import compiled, kernel, parallel_for, scratch
from .loss import MEAN, NONE, SUMS, check_loss, end_loss
from .loss_labels import check_labels, class_weights, kept_weight


@compiled
def _nll(begin, end, values, dx, x, target, weight, ignored, scale):
    c, m = x.shape[1], x.shape[2]
    for i in range(begin, end):
        if dx.size:
            out = dx[i].reshape(c * m)
            for j in range(c * m):
                out[j] = 0
        for k in range(m):
            t = target[i, k]
            values[i * m + k] = 0 if t == ignored else -weight[t] * x[i, t, k]
            if dx.size and t != ignored:
                dx[i, t, k] = -scale * weight[t]


@kernel
def nll_forward(loss, dx, x, target, weight, ignore_index, reduction):
    """Parallel over N."""
    n, c, m = x.shape
    labels = target.reshape(-1)
    check_loss(loss, labels.size, reduction)
    check_labels(labels, 0, c, ignore_index)
    count = kept_weight(labels, weight, ignore_index)
    w, _ = class_weights(weight, c, x)
    scale = x.dtype.type(1.0 / count) if reduction == MEAN else x.dtype.type(1)
    values = loss if reduction == NONE else scratch(SUMS, labels.size, x)
    if labels.size:
        parallel_for(_nll, n, max(1, 32768 // (c * m)), (values, dx, x, target, w, ignore_index, scale))
    end_loss(loss, values, count, reduction)
