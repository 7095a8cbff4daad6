"""Order along the last dimension: a bottom-up merge sort of positions in scratch memory, rows in parallel.

topk keeps the K best so far in order while it reads a row once; above SHORT of them it sorts the row.
"""

from ..jit import compiled, kernel, parallel_for, scratch

GRAIN, RUN, SHORT = 8192, 16, 64


@compiled
def _before(a, b, descending):
    """Whether a comes strictly before b; NaN is the largest."""
    if descending:
        return a > b or (a != a and b == b)
    return a < b or (b != b and a == a)


@compiled
def _sort_row(order, spare, row, descending):
    """order = positions of row in order; spare of the same length is overwritten."""
    n = row.size
    for start in range(0, n, RUN):
        for k in range(start, min(n, start + RUN)):
            v, at = row[k], k
            while at > start and _before(v, row[order[at - 1]], descending):
                order[at] = order[at - 1]
                at -= 1
            order[at] = k
    width = RUN
    while width < n:
        for start in range(0, n, 2 * width):
            middle, end = min(n, start + width), min(n, start + 2 * width)
            i, j = start, middle
            for k in range(start, end):
                if i < middle and (j >= end or not _before(row[order[j]], row[order[i]], descending)):
                    spare[k] = order[i]
                    i += 1
                else:
                    spare[k] = order[j]
                    j += 1
        for k in range(n):
            order[k] = spare[k]
        width *= 2


@compiled
def _sort(begin, end, y, indices, x, descending):
    K, R = y.shape[1], x.shape[1]
    order, spare = scratch(3, R, indices), scratch(4, R, indices)
    for n in range(begin, end):
        row = x[n]
        _sort_row(order, spare, row, descending)
        for k in range(K):
            indices[n, k] = order[k]
            y[n, k] = row[order[k]]


@kernel
def sort_forward(y, indices, x, descending):
    """Rows in parallel."""
    parallel_for(_sort, x.shape[0], max(1, GRAIN // max(1, x.shape[1])), (y, indices, x, descending))


@compiled
def _best(begin, end, y, indices, x, largest):
    K, R = y.shape[1], x.shape[1]
    for n in range(begin, end):
        row, best, where = x[n], y[n], indices[n]
        for r in range(R):
            v, at = row[r], min(r, K)
            if at == K and not _before(v, best[K - 1], largest):
                continue
            if at == K:
                at -= 1
            while at > 0 and _before(v, best[at - 1], largest):
                best[at] = best[at - 1]
                where[at] = where[at - 1]
                at -= 1
            best[at] = v
            where[at] = r


@kernel
def topk_forward(y, indices, x, largest):
    """Rows in parallel."""
    K, R = y.shape[1], x.shape[1]
    if R < K:
        raise ValueError("topk: expected at least K elements a row")
    if K == 0:
        return
    if K <= SHORT:
        parallel_for(_best, x.shape[0], max(1, GRAIN // R), (y, indices, x, largest))
    else:
        parallel_for(_sort, x.shape[0], max(1, GRAIN // R), (y, indices, x, largest))
