"""What all losses share: the reduction of their values, and one backward.

The forward of a loss computes its values and, when asked, the gradient of the (reduced) loss with respect to each
input, for an upstream gradient of one. That gradient is all that backward needs: `loss_backward` multiplies it by
the real upstream gradient, and there is nothing to do when that is one, as it is after `loss.backward()`.

`reduction` is 0 for none, 1 for mean, 2 for sum, in every loss.
"""

import numpy as np

NONE, MEAN, SUM = 0, 1, 2


def loss_backward(dx, dloss, saved):
    """dx[n, c, m] = dloss[n, m] * saved[n, c, m], or dloss[0] * saved for a reduced loss

    dx     (N, C, M)          [inout]  gradient of an input; holds the saved gradient when saved is absent
    dloss  (L,)                        upstream gradient; L = N*M for reduction none, else 1
    saved  (N, C, M) or (0,)           gradient that the forward left; size 0: it is in dx, and stays so if dloss is 1

    Elementwise losses use (N, 1, 1), losses of rows (N, C, 1), losses with trailing dimensions (N, C, M).
    Raises ValueError for shapes that do not fit.
    """
    n, _, m = dx.shape
    if dloss.size not in (1, n * m):
        raise ValueError("loss_backward: dloss: expected one value, or one a sample")
    factor = dloss[0] if dloss.size == 1 else dloss.reshape(n, 1, m)
    dx[...] = factor * (saved if saved.size else dx)


def check_loss(loss, samples, reduction):
    """Refuse a reduction that is none of 0, 1, 2 and a `loss` of the wrong size."""
    if reduction not in (NONE, MEAN, SUM):
        raise ValueError("reduction: expected 0 (none), 1 (mean) or 2 (sum)")
    if loss.size != (samples if reduction == NONE else 1):
        raise ValueError("loss: expected one value a sample for reduction none, else one value")


def reduced(loss, values, reduction, count=None):
    """Write the reduced `values` to loss; return the factor that the reduction puts on their gradients.

    count  what a mean divides by; None: the number of values
    """
    check_loss(loss, values.size, reduction)
    count = values.size if count is None else count
    total = values.sum(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.float64(1) / count if reduction == MEAN else np.float64(1)
        if reduction == NONE:
            loss[...] = values.reshape(loss.shape)
        else:
            loss[...] = total if reduction == SUM else total / np.float64(count)
    return loss.dtype.type(scale)


def save(gradient, value):
    """Write `value` to an optional gradient."""
    if gradient.size:
        gradient[...] = value
