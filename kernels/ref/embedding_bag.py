"""Sums, means and maxima of rows that are looked up by id, a bag of them at a time; and their gradients."""

import numpy as np

from ..bag_checks import MAX, MEAN, bag_end, check_bags
from .embedding import check_ids, embedding_rows_backward, frequencies


def _bags(indices, offsets, bags, padding_idx):
    """The positions of each bag, but for those of padding_idx."""
    begin, found = 0, []
    for b in range(bags):
        end = bag_end(offsets, bags, indices.size, b)
        found.append(begin + np.flatnonzero(indices[begin:end] != padding_idx))
        begin = end
    return found


def _factors(positions, weights, mode, real):
    """What the rows at some positions, all of one bag, are multiplied by."""
    if weights.size:
        return weights[positions]
    return np.full(positions.size, 1 / max(1, positions.size) if mode == MEAN else 1, real)


def embedding_bag_forward(y, largest, w, indices, offsets, weights, mode, padding_idx):
    """y[b] = sum, mean or maximum of weights[k] * w[indices[k]] over the positions k of bag b;  0 for none

    y            (B, D) [out]                one row a bag
    largest      (B, D) or (0,) int64 [out]  the row each maximum is from, -1 for none; size 0: not wanted
    w            (V, D)                      table
    indices      (K,) int64                  0 .. V-1, bag after bag
    offsets      (A,) or (0,) int64          where each bag begins, from 0 on, and perhaps the end of the last; size 0:
                                             all bags are of one size
    weights      (K,) or (0,)                factors of the rows, for sums only; size 0: 1
    mode         int                         0 sum, 1 mean, 2 maximum
    padding_idx  int                         the row that does not count; -1: none

    Without the end of the last bag this is the end of all; what lies beyond an end that is given is in no bag.

    Raises IndexError for an id out of range, ValueError for offsets that do not fit. Source: as
    torch.nn.functional.embedding_bag.
    """
    bags = y.shape[0]
    check_bags(offsets, bags, indices.size, mode, weights.size)
    check_ids(indices, w.shape[0])
    y[...] = 0
    if largest.size:
        largest[...] = -1
    for b, positions in enumerate(_bags(indices, offsets, bags, padding_idx)):
        rows = w[indices[positions]]
        if mode != MAX:
            y[b] = _factors(positions, weights, mode, w.dtype) @ rows
        elif positions.size:
            y[b] = rows.max(0)
            if largest.size:
                largest[b] = indices[positions][rows.argmax(0)]


def embedding_bag_backward(
    dw, dweights, dy, w, indices, offsets, weights, largest, mode, padding_idx, scale_grad_by_freq, accumulate
):
    """dw[v] = sum of weights[k] * dy[b] over the k with indices[k] = v, b the bag of k;  dweights[k] = dy[b] . w[v]

    dw                  (V, D) or (0,) [acc]    gradient of the table; size 0: not wanted
    dweights            (K,) or (0,) [out]      gradient of weights, for sums only; size 0: not wanted
    dy                  (B, D)                  gradient of the result
    w                   (V, D)                  table
    indices             (K,) int64              as in forward
    offsets             (A,) or (0,) int64      as in forward
    weights             (K,) or (0,)            as in forward
    largest             (B, D) or (0,) int64    of forward, for mode 2
    mode                int                     0 sum, 1 mean: weights are 1 / size of the bag, 2 maximum
    padding_idx         int                     the row that gets no gradient; -1: none
    scale_grad_by_freq  bool                    divide what a row gets by how often its id is in the bags; not mode 2
    accumulate          bool                    add to dw instead of overwriting it

    Raises IndexError for an id out of range, ValueError for offsets that do not fit.
    """
    bags, V = dy.shape[0], w.shape[0]
    check_bags(offsets, bags, indices.size, mode, weights.size + dweights.size)
    check_ids(indices, V)
    if dweights.size:
        dweights[...] = 0
    if dw.size and not accumulate:
        dw[...] = 0
    if mode == MAX:
        if dw.size:
            check_ids(largest[largest != -1], V)
            bag, column = np.nonzero(largest >= 0)
            np.add.at(dw, (largest[bag, column], column), dy[bag, column])
        return
    found = _bags(indices, offsets, bags, padding_idx)
    often = np.ones(indices.size)
    if scale_grad_by_freq:
        inside = np.concatenate([np.empty(0, np.int64), *found])
        often[inside] = frequencies(indices[inside])
    for b, positions in enumerate(found):
        ids = indices[positions]
        if dweights.size:
            dweights[positions] = w[ids] @ dy[b]
        if dw.size:
            factors = (_factors(positions, weights, mode, w.dtype) / often[positions]).astype(w.dtype)
            np.add.at(dw, ids, factors[:, None] * dy[b])


def embedding_bag_rows_backward(rows, values, count, dy, indices, offsets, weights, size, mode, padding_idx):
    """The rows of dw that may be other than 0, ascending, each once: values[u] belongs to row rows[u]

    rows         (K,) int64 [out]        ids that occur, but for padding_idx; the first `count` are written
    values       (K, D) [out]            their gradients, likewise
    count        (1,) int64 [out]        how many
    dy           (B, D)                  gradient of the result
    indices      (K,) int64              as in forward, 0 .. size-1
    offsets      (A,) or (0,) int64      as in forward
    weights      (K,) or (0,)            as in forward
    size         int                     rows of the table
    mode         int                     0 sum, 1 mean
    padding_idx  int                     the row that gets no gradient; -1: none

    Raises IndexError for an id out of range, ValueError for offsets that do not fit and for mode 2.
    """
    bags = dy.shape[0]
    check_bags(offsets, bags, indices.size, mode, weights.size)
    if mode == MAX:
        raise ValueError("embedding_bag_rows_backward: expected mode 0 (sum) or 1 (mean)")
    check_ids(indices, size)
    found = _bags(indices, offsets, bags, padding_idx)
    positions = np.concatenate([np.empty(0, np.int64), *found])
    terms = np.empty((positions.size, dy.shape[1]), dy.dtype)
    begin = 0
    for b, mine in enumerate(found):
        end = begin + mine.size
        terms[begin:end] = _factors(mine, weights, mode, dy.dtype)[:, None] * dy[b]
        begin = end
    embedding_rows_backward(rows, values, count, terms, indices[positions], size, padding_idx)
