"""Rotary positions: one launch, a thread for four pairs of a row, or for one where rows are no whole vectors.

Heads lie anywhere: arrays go to the device flat, with the strides of their axes beside them. Cosines and sines are read
once for each head, from the caches.
"""

import numpy as np

from ..rotary_checks import check
from .layout import over_rows
from .ptx import aligned, load4, narrow, quotient, store4, wide
from .target import cuda, device, jit, kernel

# rows of a launch: their numbers have 32 bits
MOST = 2**31 - 1


@device
def split(i, n):
    q = np.int32(quotient(i, n))
    return q, np.int32(i - q * n)


@device
def opposite(v):
    return -v[0], -v[1], -v[2], -v[3]


@device
def first4(a, b, c, s):
    return a[0] * c[0] - b[0] * s[0], a[1] * c[1] - b[1] * s[1], a[2] * c[2] - b[2] * s[2], a[3] * c[3] - b[3] * s[3]


@device
def second4(a, b, c, s):
    return b[0] * c[0] + a[0] * s[0], b[1] * c[1] + a[1] * s[1], b[2] * c[2] + a[2] * s[2], b[3] * c[3] + a[3] * s[3]


@device
def turn4(y, to, x, at, u, pairs, c, s, interleaved):
    """Pairs 4 u .. 4 u + 3 of a row."""
    i = 8 * u if interleaved else 4 * u
    j = i + 4 if interleaved else i + pairs
    v, w = load4(x, at + i), load4(x, at + j)
    if interleaved:
        a, b = (v[0], v[2], w[0], w[2]), (v[1], v[3], w[1], w[3])
        p, q = first4(a, b, c, s), second4(a, b, c, s)
        store4(y, to + i, (p[0], q[0], p[1], q[1]))
        store4(y, to + j, (p[2], q[2], p[3], q[3]))
    else:
        store4(y, to + i, first4(v, w, c, s))
        store4(y, to + j, second4(v, w, c, s))


@device
def turn1(y, to, x, at, u, pairs, c, s, interleaved):
    i = 2 * u if interleaved else u
    j = i + 1 if interleaved else i + pairs
    a, b = wide(x[at + i]), wide(x[at + j])
    y[to + i] = narrow(y, a * c - b * s)
    y[to + j] = narrow(y, b * c + a * s)


@jit
def _turn(
    y,
    x,
    cos,
    sin,
    # of y, then of x: the first element, and strides of samples, steps and heads
    y0,
    yn,
    yt,
    yh,
    x0,
    xn,
    xt,
    xh,
    rows,
    L,
    H,
    pairs,
    turning,
    units,
    samples,
    interleaved,
    back,
    vectors,
):
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        step, h = split(row, H)
        n, t = split(step, L)
        to, at = y0 + n * yn + t * yt + h * yh, x0 + n * xn + t * xt + h * xh
        angle = np.int64(step if samples else t) * pairs
        width = 4 if vectors else 1
        u = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while u < units:
            if u >= turning:
                i = 2 * pairs + (u - turning) * width
                if vectors:
                    store4(y, to + i, load4(x, at + i))
                else:
                    y[to + i] = x[at + i]
            elif vectors:
                c, s = load4(cos, angle + 4 * u), load4(sin, angle + 4 * u)
                turn4(y, to, x, at, u, pairs, c, opposite(s) if back else s, interleaved)
            else:
                c, s = cos[angle + u], sin[angle + u]
                turn1(y, to, x, at, u, pairs, c, -s if back else s, interleaved)
            u += cuda.gridDim.y * cuda.blockDim.x


def _flat(a):
    """The memory that a view's elements lie in, and where in it: the first one, and the strides but the last."""
    size = a.itemsize
    spans = [(n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)]
    low = sum(min(s, 0) for s in spans)
    flat = a.view_at(((sum(map(abs, spans)) + size) // size,), (size,), low)
    return flat, tuple(np.int64(s // size) for s in (-low, *a.strides[:3]))


def _run(y, x, cos, sin, interleaved, back, stream):
    check(y, x, cos, sin)
    N, L, H, D = x.shape
    if not x.size:
        return
    most = max(1, MOST // (L * H))
    if most < N:
        parts = (slice(begin, begin + most) for begin in range(0, N, most))
        for part in parts:
            tables = (cos[part], sin[part]) if cos.shape[0] > 1 else (cos, sin)
            _run(y[part], x[part], *tables, interleaved, back, stream)
        return
    pairs = cos.shape[2]
    rest = D - 2 * pairs
    (y, to), (x, at), cos, sin = _flat(y), _flat(x), cos.reshape(-1), sin.reshape(-1)
    # an absent table begins nowhere: there is nothing to turn
    vectors = aligned(y, x, *((cos, sin) if pairs else ())) and all(n % 4 == 0 for n in (pairs, rest, *to, *at))
    width = 4 if vectors else 1
    turning, units = pairs // width, (pairs + rest) // width
    samples = cos.size > L * pairs
    sizes = (np.int32(n) for n in (N * L * H, L, H, pairs, turning, units))
    over_rows(_turn, N * L * H, units, stream, y, x, cos, sin, *to, *at, *sizes, samples, interleaved, back, vectors)


@kernel(half=True)
def rotary_forward(y, x, cos, sin, interleaved, stream=0):
    """One launch, vectors of four numbers where they fit."""
    _run(y, x, cos, sin, interleaved, False, stream)


@kernel(half=True)
def rotary_backward(dx, dy, cos, sin, interleaved, stream=0):
    """The same launch with the sign of the sines turned."""
    _run(dx, dy, cos, sin, interleaved, True, stream)
