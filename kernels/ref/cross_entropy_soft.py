"""Cross-entropy of a softmax with a distribution over the classes for each sample."""

import numpy as np

from .cross_entropy import check_smoothing, log_softmax, softmax_part
from .loss import reduced, save


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
    check_smoothing(label_smoothing)
    c = x.shape[1]
    w = (weight if weight.size else np.ones(c, x.dtype))[None, :, None]
    s = x.dtype.type(label_smoothing)
    q = w * ((1 - s) * target + s / x.dtype.type(max(c, 1)))
    g, values = softmax_part(x, q)
    scale = reduced(loss, values, reduction)
    save(dx, scale * g)
    save(dtarget, -scale * (1 - s) * w * log_softmax(x))
