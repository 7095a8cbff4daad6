"""Rows of a table by id. Ids are checked, all of them, by the calling thread before anything moves.

Forward copies rows, in parallel. For the gradient positions are first brought together by id (grouping.py): then each
row of it is written once, either zeros or its whole sum (lines.py), and no two threads meet. Sums are shared in blocks
of columns, too: one id may be a fifth of all.
"""

import math

import numpy as np

from ..jit import compiled, kernel, parallel_for, scratch
from .grouping import check_ids, first_from, grouped
from .lines import STREAM, settle, sum_lines, zero_line

# a chunk is tens of microseconds of memory traffic; columns that one thread sums
GRAIN, BLOCK = 32768, 128
# workspace of the factors of terms; parallel bodies leave it alone
FACTORS = 4


@compiled
def _look_up(begin, end, y, w, indices):
    for k in range(begin, end):
        out, row = y[k], w[indices[k]]
        for i in range(out.size):
            out[i] = row[i]


@kernel
def embedding_forward(y, w, indices):
    """Rows of the result in parallel."""
    check_ids(indices, w.shape[0])
    parallel_for(_look_up, indices.size, max(1, GRAIN // max(1, y.shape[1])), (y, w, indices))


@compiled
def _clear(begin, end, flat, width, ids, stream):
    u = first_from(ids, begin)
    while begin < end:
        # up to the next row that has a sum
        stop = min(end, ids[u]) if u < ids.size else end
        zero_line(flat, begin * width, stop * width, stream)
        begin, u = stop + 1, u + 1
    if stream:
        settle()


@compiled
def clear_others(dw, ids):
    """Zero in all rows but those named by the ascending `ids`."""
    V, D = dw.shape
    stream = dw.size * dw.itemsize > STREAM
    parallel_for(_clear, V, max(1, GRAIN // max(1, D)), (dw.reshape(-1), D, ids, stream))


@compiled
def _sums(begin, end, out, targets, terms, order, factors, begins, blocks, accumulate):
    D = out.shape[1]
    for task in range(begin, end):
        u, first = task // blocks, task % blocks * BLOCK
        to = (targets[u] if targets.size else u) * D + first
        width = min(BLOCK, D - first)
        sum_lines(out, to, width, terms, D, first, order, factors, begins[u], begins[u + 1], accumulate)


@compiled
def sum_rows(out, targets, terms, order, factors, begins, accumulate):
    """out[targets[u]] (+)= sum of factors[j] * terms[order[j]] over begins[u] <= j < begins[u + 1]; no targets: u."""
    D = out.shape[1]
    blocks = (D + BLOCK - 1) // BLOCK
    tasks = (begins.size - 1) * blocks
    work = max(1, (order.size + begins.size) * D)
    operands = (out, targets, terms, order, factors, begins, blocks, accumulate)
    parallel_for(_sums, tasks, max(1, GRAIN * tasks // work), operands)


@compiled
def shares(begins, by_frequency, like):
    """Factors of the terms of all sums: 1 divided, by_frequency, by the number of terms. In the workspace FACTORS."""
    factors = scratch(FACTORS, begins[begins.size - 1], like)
    for u in range(begins.size - 1):
        terms = begins[u + 1] - begins[u] if by_frequency else 1
        factors[begins[u] : begins[u + 1]] = like.dtype.type(1.0 / terms)
    return factors


@kernel
def embedding_backward(dw, dy, indices, padding_idx, scale_grad_by_freq, accumulate):
    """Zeros where no id points, then sums: rows and blocks of columns in parallel."""
    check_ids(indices, dw.shape[0])
    order, begins, ids = grouped(indices, dw.shape[0], padding_idx)
    if not accumulate:
        clear_others(dw, ids)
    sum_rows(dw, ids, dy, order, shares(begins, scale_grad_by_freq, dy), begins, accumulate)


@kernel
def embedding_rows_backward(rows, values, count, dy, indices, size, padding_idx):
    """The same sums, side by side."""
    check_ids(indices, size)
    order, begins, ids = grouped(indices, size, padding_idx)
    sum_rows(values, ids[:0], dy, order, shares(begins, False, dy), begins, False)
    count[0] = ids.size
    for u in range(ids.size):
        rows[u] = ids[u]


@compiled
def _norm(row, p):
    total = 0.0
    if p == 2:
        for i in range(row.size):
            total += np.float64(row[i]) * np.float64(row[i])
        return math.sqrt(total)
    for i in range(row.size):
        size = abs(np.float64(row[i]))
        if math.isinf(p):
            total = size if size > total or size != size else total
        elif p == 0:
            total += size != 0
        elif p == 1:
            total += size
        else:
            total += size**p
    return total if p == 0 or p == 1 or math.isinf(p) else total ** (1 / p)


@compiled
def _renorm(begin, end, w, ids, max_norm, norm_type):
    for u in range(begin, end):
        row = w[ids[u]]
        norm = _norm(row, norm_type)
        if norm > max_norm:
            factor = w.dtype.type(max_norm / (norm + 1e-7))
            for i in range(row.size):
                row[i] *= factor


@kernel
def embedding_renorm_update(w, indices, max_norm, norm_type):
    """Rows in parallel, each once; norms in float64."""
    check_ids(indices, w.shape[0])
    ids = grouped(indices, w.shape[0], -1)[2]
    parallel_for(_renorm, ids.size, max(1, GRAIN // max(1, w.shape[1])), (w, ids, max_norm, norm_type))
