"""Adam on a table of which few rows have gradients."""

import numpy as np

from .rows import check_rows


def sparse_adam_update(param, exp_avg, exp_avg_sq, rows, values, step, hyper, maximize):
    """One step of Adam for the rows that have gradients, in place; all others, and their moments, stay as they are.

    t = step + 1;   g = -values if maximize else values;   for the rows alone:
    m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g * g
    param = param - lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)

    param       (V, D)        [inout]  parameters
    exp_avg     (V, D)        [inout]  m, zero before the first step
    exp_avg_sq  (V, D)        [inout]  v, zero before the first step
    rows        (K,) int64             those that have gradients: 0 .. V-1, ascending
    values      (K, D)                 their gradients
    step        (P,) float64  [inout]  steps made before this one, of the whole table; 1 is added
    hyper       (4,) float64           lr, beta1, beta2, eps
    maximize    bool                   climb instead of descending

    eps is added before the bias correction of the root.

    Raises ValueError when step has size 0 or rows do not ascend, IndexError for a row out of range.
    Source: as torch.optim.SparseAdam.
    """
    check_rows(rows, param.shape[0])
    if step.size == 0:
        raise ValueError("step needs size 1 or more, got size 0")
    lr, beta1, beta2, eps = hyper
    step += 1
    cast = param.dtype.type
    step_size = cast(lr * np.sqrt(1 - beta2 ** step[0]) / (1 - beta1 ** step[0]))
    g = -values if maximize else values
    m, v = exp_avg[rows], exp_avg_sq[rows]
    m += cast(1 - beta1) * (g - m)
    v += cast(1 - beta2) * (g * g - v)
    exp_avg[rows], exp_avg_sq[rows] = m, v
    param[rows] -= step_size * (m / (np.sqrt(v) + cast(eps)))
