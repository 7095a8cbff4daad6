"""Pixels made of channels, channels of pixels, channels in another order: rows in parallel.

A row of the image is J rows of channels, one element of each in turn; pairs, the usual case, are vectors that are
interleaved.
"""

from ..jit import compiled, kernel, parallel_for

GRAIN = 32768


@compiled
def _merge(begin, end, y, x, sides):
    H, I, J = sides
    for row in range(begin, end):
        out = y[row]
        p, h, i = row // (I * H), row // I % H, row % I
        first = ((p * I + i) * J) * H + h
        if J == 2:
            even, odd = x[first], x[first + H]
            for w in range(even.size):
                out[2 * w], out[2 * w + 1] = even[w], odd[w]
        else:
            for j in range(J):
                line, place = x[first + j * H], out[j:]
                for w in range(line.size):
                    place[w * J] = line[w]


@compiled
def _split(begin, end, y, x, sides):
    H, I, J = sides
    for row in range(begin, end):
        line = x[row]
        p, h, i = row // (I * H), row // I % H, row % I
        first = ((p * I + i) * J) * H + h
        if J == 2:
            even, odd = y[first], y[first + H]
            for w in range(even.size):
                even[w], odd[w] = line[2 * w], line[2 * w + 1]
        else:
            for j in range(J):
                out, place = y[first + j * H], line[j:]
                for w in range(out.size):
                    out[w] = place[w * J]


@kernel
def pixel_shuffle_forward(y, x):
    """Rows of the result in parallel."""
    P, H, I, W, J = y.shape
    if y.size:
        rows = P * H * I
        lines = y.reshape(rows, W * J), x.reshape(rows * J, W)
        parallel_for(_merge, rows, max(1, GRAIN // (W * J)), (*lines, (H, I, J)))


@kernel
def pixel_unshuffle_forward(y, x):
    """Rows of the input in parallel."""
    P, H, I, W, J = x.shape
    if y.size:
        rows = P * H * I
        lines = y.reshape(rows * J, W), x.reshape(rows, W * J)
        parallel_for(_split, rows, max(1, GRAIN // (W * J)), (*lines, (H, I, J)))


@compiled
def _deal(begin, end, y, x, A, B):
    for row in range(begin, end):
        n, a, b = row // (A * B), row // B % A, row % B
        out, line = y[row], x[(n * B + b) * A + a]
        for i in range(out.size):
            out[i] = line[i]


@kernel
def channel_shuffle_forward(y, x):
    """Channels in parallel."""
    N, A, B, I = y.shape
    if y.size:
        rows = N * A * B
        parallel_for(_deal, rows, max(1, GRAIN // I), (y.reshape(rows, I), x.reshape(rows, I), A, B))
