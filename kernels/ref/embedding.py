"""Tables of rows that are looked up by id, and the gradients of the rows."""

import numpy as np

from ..labels import IdError


def check_ids(indices, size):
    """IdError for the first id outside 0 .. size-1."""
    bad = (indices < 0) | (indices >= size)
    if bad.any():
        raise IdError(int(indices[bad][0]), 0, size - 1)


def frequencies(indices):
    """How often the id at each position stands in all of them."""
    _, inverse, counts = np.unique(indices, return_inverse=True, return_counts=True)
    return counts[inverse]


def embedding_forward(y, w, indices):
    """y[k] = w[indices[k]]

    y        (K, D) [out]    rows
    w        (V, D)          table
    indices  (K,) int64      0 .. V-1

    Raises IndexError for an id out of range. Source: as torch.nn.functional.embedding.
    """
    check_ids(indices, w.shape[0])
    y[...] = w[indices]


def embedding_backward(dw, dy, indices, padding_idx, scale_grad_by_freq, accumulate):
    """dw[v] = sum of dy[k] over the k with indices[k] = v, in the order of k;  0 for v = padding_idx

    dw                  (V, D) [acc]  gradient of the table
    dy                  (K, D)        gradient of the rows
    indices             (K,) int64    0 .. V-1
    padding_idx         int           the row that gets no gradient; -1: none
    scale_grad_by_freq  bool          divide each sum by its number of terms
    accumulate          bool          add to dw instead of overwriting it

    Raises IndexError for an id out of range.
    """
    check_ids(indices, dw.shape[0])
    if not accumulate:
        dw[...] = 0
    kept = indices != padding_idx
    terms = dy / frequencies(indices)[:, None].astype(dy.dtype) if scale_grad_by_freq else dy
    np.add.at(dw, indices[kept], terms[kept])


def embedding_rows_backward(rows, values, count, dy, indices, size, padding_idx):
    """The rows of that gradient that may be other than 0, ascending, each once: values[u] belongs to row rows[u]

    rows         (K,) int64 [out]  ids that occur, but for padding_idx; the first `count` are written
    values       (K, D) [out]      their sums, likewise
    count        (1,) int64 [out]  how many
    dy           (K, D)            gradient of the rows that were looked up
    indices      (K,) int64        0 .. size-1
    size         int               rows of the table
    padding_idx  int               the row that gets no gradient; -1: none

    Raises IndexError for an id out of range.
    """
    check_ids(indices, size)
    kept = indices != padding_idx
    found, inverse = np.unique(indices[kept], return_inverse=True)
    count[0] = n = found.size
    rows[:n], values[:n] = found, 0
    np.add.at(values, inverse, dy[kept])


def embedding_renorm_update(w, indices, max_norm, norm_type):
    """w[v] = w[v] * max_norm / (norm + 1e-7) for those v in indices whose norm is above max_norm

    w          (V, D) [inout]  table
    indices    (K,) int64      0 .. V-1; a row that is named twice is scaled once
    max_norm   float           what norms are to be at most
    norm_type  float           order of the norm; inf: the largest absolute value, 0: how many are not 0

    Raises IndexError for an id out of range. Source: as torch.embedding_renorm_.
    """
    check_ids(indices, w.shape[0])
    for v in np.unique(indices):
        norm = np.linalg.norm(w[v].astype(np.float64), norm_type) if w.shape[1] else 0.0
        if norm > max_norm:
            w[v] *= w.dtype.type(max_norm / (norm + 1e-7))
