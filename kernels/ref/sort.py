"""Order along the last dimension. NaN counts as larger than every number, as in torch.sort."""

import numpy as np


def _order(row, descending):
    """Positions of a row in order; equals keep theirs."""
    ranks = np.unique(row, return_inverse=True)[1].reshape(-1)
    return np.argsort(-ranks if descending else ranks, kind="stable")


def sort_forward(y, indices, x, descending):
    """y[n] = x[n] in order; y[n, k] = x[n, indices[n, k]]; equals keep their order

    y           (N, R) same [out]
    indices     (N, R) int64 [out]
    x           (N, R) same
    descending  bool               the largest first, NaN before them
    """
    for n in range(x.shape[0]):
        indices[n] = _order(x[n], descending)
    y[...] = np.take_along_axis(x, indices, 1)


def topk_forward(y, indices, x, largest):
    """The first K of sort_forward(descending=largest)

    y        (N, K) same [out]
    indices  (N, K) int64 [out]
    x        (N, R) same          R >= K, else ValueError
    largest  bool                 the K largest, in descending order; else the smallest, in ascending order
    """
    K = y.shape[1]
    if x.shape[1] < K:
        raise ValueError(f"topk: expected at least K = {K} elements a row, got {x.shape[1]}")
    for n in range(x.shape[0]):
        indices[n] = _order(x[n], largest)[:K]
    y[...] = np.take_along_axis(x, indices, 1)
