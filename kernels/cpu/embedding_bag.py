"""Bags of rows: sums of rows as in embedding.py, forward over the ids of a bag, backward over the bags of an id.

Ids and offsets are checked by the calling thread before anything moves. A mean is a sum with factors. Of a maximum
the row that it is from is kept; its gradient goes there column by column, so it is parallel over blocks of columns.
"""

from ..bag_checks import MAX, MEAN, bag_end, check_bags
from ..jit import compiled, kernel, parallel_for, scratch
from .embedding import FACTORS, GRAIN, clear_others, sum_rows
from .grouping import check_ids, check_range, grouped

# workspace of positions and bags; parallel bodies leave it alone
BAGS = 5
# columns of a maximum's gradient that one thread adds up: a line of the cache
COLUMNS = 16

_check_bags, _bag_end = compiled(check_bags), compiled(bag_end)


@compiled
def _kept(indices, offsets, bags, padding_idx, weights, mode, like):
    """order, factors, begins: the ids of each bag but for padding_idx, what their rows are multiplied by, and where the
    bags begin among them, with the end after the last."""
    K = indices.size
    space, factors = scratch(BAGS, K + bags + 1, indices), scratch(FACTORS, K, like)
    order, begins = space[:K], space[K:]
    one = like.dtype.type(1)
    n = first = 0
    for b in range(bags):
        begins[b], end = n, _bag_end(offsets, bags, K, b)
        for k in range(first, end):
            if indices[k] != padding_idx:
                order[n] = indices[k]
                factors[n] = weights[k] if weights.size else one
                n += 1
        first = end
        if mode == MEAN and n > begins[b]:
            factors[begins[b] : n] = one / like.dtype.type(n - begins[b])
    begins[bags] = n
    return order[:n], factors[:n], begins


@compiled
def _maxima(begin, end, y, largest, w, order, begins):
    for b in range(begin, end):
        out, n = y[b], begins[b + 1] - begins[b]
        ids = order[begins[b] : begins[b + 1]]
        if n == 0:
            out[:] = 0
            if largest.size:
                largest[b] = -1
            continue
        row = w[ids[0]]
        for i in range(out.size):
            out[i] = row[i]
        if largest.size:
            largest[b] = ids[0]
        for j in range(1, n):
            row = w[ids[j]]
            if largest.size:
                source, v = largest[b], ids[j]
                for i in range(out.size):
                    # a NaN is larger than all
                    more = (row[i] > out[i]) | ((row[i] != row[i]) & (out[i] == out[i]))
                    out[i] = row[i] if more else out[i]
                    source[i] = v if more else source[i]
            else:
                for i in range(out.size):
                    more = (row[i] > out[i]) | (row[i] != row[i])
                    out[i] = row[i] if more else out[i]


@kernel
def embedding_bag_forward(y, largest, w, indices, offsets, weights, mode, padding_idx):
    """Bags in parallel."""
    bags = y.shape[0]
    _check_bags(offsets, bags, indices.size, mode, weights.size)
    check_ids(indices, w.shape[0])
    order, factors, begins = _kept(indices, offsets, bags, padding_idx, weights, mode, w)
    if mode == MAX:
        grain = max(1, GRAIN * bags // max(1, (order.size + bags) * w.shape[1]))
        parallel_for(_maxima, bags, grain, (y, largest, w, order, begins))
    else:
        sum_rows(y, order[:0], w, order, factors, begins, False)


@compiled
def _terms(indices, offsets, bags, size, padding_idx, weights, mode, by_frequency, like):
    """order, factors, begins, ids: for each id the bags that hold it, and with which factor; see grouped."""
    K = indices.size
    # what lies behind the last bag is in none
    covered = _bag_end(offsets, bags, K, bags - 1) if bags else 0
    order, begins, ids = grouped(indices[:covered], size, padding_idx)
    space, factors = scratch(BAGS, K + bags, indices), scratch(FACTORS, K, like)
    bag_of, counts = space[:K], space[K:]
    real = like.dtype.type
    first = 0
    for b in range(bags):
        counts[b], end = 0, _bag_end(offsets, bags, K, b)
        for k in range(first, end):
            bag_of[k] = b
            counts[b] += indices[k] != padding_idx
        first = end
    for u in range(ids.size):
        share = real(1.0 / (begins[u + 1] - begins[u])) if by_frequency else real(1)
        for j in range(begins[u], begins[u + 1]):
            k = order[j]
            factor = weights[k] if weights.size else real(1.0 / counts[bag_of[k]]) if mode == MEAN else real(1)
            order[j], factors[j] = bag_of[k], factor * share
    return order, factors, begins, ids


@compiled
def _dots(begin, end, dweights, dy, w, indices, offsets, padding_idx):
    K, bags = indices.size, dy.shape[0]
    for b in range(begin, end):
        first = 0 if b == 0 else _bag_end(offsets, bags, K, b - 1)
        for k in range(first, _bag_end(offsets, bags, K, b)):
            a, row, s = dy[b], w[indices[k]], w.dtype.type(0)
            if indices[k] != padding_idx:
                for i in range(a.size):
                    s += a[i] * row[i]
            dweights[k] = s


@compiled
def _gradient_of_weights(dweights, dy, w, indices, offsets, padding_idx):
    K, bags = indices.size, dy.shape[0]
    covered = _bag_end(offsets, bags, K, bags - 1) if bags else 0
    dweights[covered:] = 0
    grain = max(1, GRAIN * bags // max(1, K * w.shape[1]))
    parallel_for(_dots, bags, grain, (dweights, dy, w, indices, offsets, padding_idx))


@compiled
def _add_maxima(begin, end, dw, dy, largest):
    D = dy.shape[1]
    for block in range(begin, end):
        for b in range(dy.shape[0]):
            for i in range(block * COLUMNS, min(D, (block + 1) * COLUMNS)):
                v = largest[b, i]
                if v >= 0:
                    dw[v, i] += dy[b, i]


@compiled
def _gradient_of_maxima(dw, dy, largest, indices, accumulate):
    B, D = dy.shape
    check_range(largest.reshape(-1), -1, dw.shape[0])
    if not accumulate:
        clear_others(dw, indices[:0])
    parallel_for(_add_maxima, (D + COLUMNS - 1) // COLUMNS, max(1, GRAIN // max(1, B * COLUMNS)), (dw, dy, largest))


@kernel
def embedding_bag_backward(
    dw, dweights, dy, w, indices, offsets, weights, largest, mode, padding_idx, scale_grad_by_freq, accumulate
):
    """The bags of each id are brought together; zeros where there is no id, then sums. Rows and blocks of columns in
    parallel; bags for the gradient of weights."""
    bags, V = dy.shape[0], w.shape[0]
    _check_bags(offsets, bags, indices.size, mode, weights.size + dweights.size)
    check_ids(indices, V)
    if dweights.size:
        _gradient_of_weights(dweights, dy, w, indices, offsets, padding_idx)
    if dw.size == 0:
        return
    if mode == MAX:
        if largest.size != dy.size:
            raise ValueError("embedding_bag_backward: mode 2 needs largest of dy's shape, got size 0")
        _gradient_of_maxima(dw, dy, largest, indices, accumulate)
        return
    order, factors, begins, ids = _terms(indices, offsets, bags, V, padding_idx, weights, mode, scale_grad_by_freq, dy)
    if not accumulate:
        clear_others(dw, ids)
    sum_rows(dw, ids, dy, order, factors, begins, accumulate)


@kernel
def embedding_bag_rows_backward(rows, values, count, dy, indices, offsets, weights, size, mode, padding_idx):
    """The same sums, side by side."""
    bags = dy.shape[0]
    _check_bags(offsets, bags, indices.size, mode, weights.size)
    if mode == MAX:
        raise ValueError("embedding_bag_rows_backward: expected mode 0 (sum) or 1 (mean)")
    check_ids(indices, size)
    order, factors, begins, ids = _terms(indices, offsets, bags, size, padding_idx, weights, mode, False, dy)
    sum_rows(values, ids[:0], dy, order, factors, begins, False)
    count[0] = ids.size
    for u in range(ids.size):
        rows[u] = ids[u]
