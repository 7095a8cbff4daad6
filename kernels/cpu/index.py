"""Reading and writing at positions. Positions are checked, all of them, by the calling thread before anything moves.

Reads run in parallel over rows of the result. Writes may meet at one row, so they are parallel over what never meets:
O, and blocks of I.
"""

from ..jit import compiled, kernel, parallel_for

BLOCK, GRAIN = 1024, 32768


@compiled
def _check(indices, R):
    wrong = False
    for k in range(indices.size):
        wrong = wrong or indices[k] < -R or indices[k] >= R
    if wrong:
        raise IndexError("an index is out of range for the dimension it indexes")


@compiled
def _select(begin, end, y, x, indices):
    (K, I), R = y.shape[1:], x.shape[1]
    for row in range(begin, end):
        o, k = row // K, row % K
        r = indices[k]
        out, line = y[o, k], x[o, r + R if r < 0 else r]
        for i in range(I):
            out[i] = line[i]


@kernel
def gather_rows_forward(y, x, indices):
    """Rows of the result in parallel."""
    _check(indices, x.shape[0])
    K, D = y.shape
    operands = (y.reshape(1, K, D), x.reshape(1, x.shape[0], D), indices)
    parallel_for(_select, K, max(1, GRAIN // max(1, D)), operands)


@kernel
def select_forward(y, x, indices):
    """Rows of the result in parallel."""
    _check(indices, x.shape[1])
    O, K, I = y.shape
    parallel_for(_select, O * K, max(1, GRAIN // max(1, I)), (y, x, indices))


@compiled
def _put(begin, end, y, x, indices, blocks, accumulate):
    R, I = y.shape[1:]
    for task in range(begin, end):
        o, first = task // blocks, task % blocks * BLOCK
        last = min(I, first + BLOCK)
        for k in range(indices.size):
            r = indices[k]
            out, line = y[o, r + R if r < 0 else r, first:last], x[o, k, first:last]
            if accumulate:
                for i in range(out.size):
                    out[i] += line[i]
            else:
                for i in range(out.size):
                    out[i] = line[i]


@compiled
def _put_all(y, x, indices, accumulate):
    O, _, I = y.shape
    blocks = (I + BLOCK - 1) // BLOCK
    grain = max(1, GRAIN // max(1, min(I, BLOCK) * indices.size))
    parallel_for(_put, O * blocks, grain, (y, x, indices, blocks, accumulate))


@compiled
def _zero(begin, end, y):
    y = y[begin:end]
    for i in range(y.size):
        y[i] = 0


@kernel
def select_backward(dx, dy, indices, accumulate):
    """Zeros, then sums: parallel over O and blocks of I."""
    _check(indices, dx.shape[1])
    if not accumulate:
        parallel_for(_zero, dx.size, GRAIN, (dx.reshape(-1),))
    _put_all(dx, dy, indices, True)


@kernel
def put_forward(y, x, indices, accumulate):
    """Parallel over O and blocks of I."""
    _check(indices, y.shape[1])
    _put_all(y, x, indices, accumulate)


@compiled
def _gather(begin, end, y, x, indices):
    (K, I), R = y.shape[1:], x.shape[1]
    for row in range(begin, end):
        o, k = row // K, row % K
        out, rows = y[o, k], indices[o, k]
        for i in range(I):
            r = rows[i]
            out[i] = x[o, r + R if r < 0 else r, i]


@kernel
def gather_forward(y, x, indices):
    """Rows of the result in parallel."""
    _check(indices.reshape(-1), x.shape[1])
    O, K, I = y.shape
    parallel_for(_gather, O * K, max(1, GRAIN // max(1, I)), (y, x, indices))


@compiled
def _scatter(begin, end, y, x, indices, accumulate):
    (K, I), R = x.shape[1:], y.shape[1]
    for o in range(begin, end):
        for k in range(K):
            line, rows = x[o, k], indices[o, k]
            for i in range(I):
                r = rows[i] + R if rows[i] < 0 else rows[i]
                if accumulate:
                    y[o, r, i] += line[i]
                else:
                    y[o, r, i] = line[i]


@kernel
def gather_backward(dx, dy, indices, accumulate):
    """Zeros, then sums: parallel over O."""
    _check(indices.reshape(-1), dx.shape[1])
    if not accumulate:
        parallel_for(_zero, dx.size, GRAIN, (dx.reshape(-1),))
    parallel_for(_scatter, dy.shape[0], max(1, GRAIN // max(1, dy.shape[1] * dy.shape[2])), (dx, dy, indices, True))


@kernel
def scatter_forward(y, x, indices, accumulate):
    """Parallel over O."""
    _check(indices.reshape(-1), y.shape[1])
    parallel_for(_scatter, x.shape[0], max(1, GRAIN // max(1, x.shape[1] * x.shape[2])), (y, x, indices, accumulate))


@kernel
def offsets_forward(y, indices, size, stride):
    """Serial: positions are few beside what they move."""
    _check(indices, size)
    for i in range(y.size):
        y[i] += (indices[i] + size if indices[i] < 0 else indices[i]) * stride


@kernel
def nonzero_forward(y, x):
    """One pass, serial."""
    found = 0
    for i in range(x.size):
        if x[i]:
            if found < y.size:
                y[found] = i
            found += 1
    if found != y.size:
        raise ValueError("nonzero: the result has not the length that count_forward counts")


@compiled
def _one_hot(begin, end, y, labels):
    for n in range(begin, end):
        y[n] = 0
        y[n, labels[n]] = 1


@kernel
def one_hot_forward(y, labels):
    """Rows in parallel."""
    N, C = y.shape
    for n in range(N):
        if labels[n] < 0 or labels[n] >= C:
            raise IndexError("one_hot: expected labels in 0 .. C-1")
    parallel_for(_one_hot, N, max(1, GRAIN // max(1, C)), (y, labels))
