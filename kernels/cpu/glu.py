"""The gated linear unit: flat blocks of the result in parallel, in segments that lie in one half of x and its other."""

from ..jit import compiled, kernel, parallel_for
from .vecmath import sigmoid

GRAIN = 16384


@compiled
def _glu(begin, end, y, x, half):
    i = begin
    while i < end:
        stop = min(end, i + half - i % half)
        # y[i] is of x[i + the halves before it] and the same place a half further
        at = i + i // half * half
        n = stop - i
        out, a, b = y[i:stop], x[at : at + n], x[at + half : at + half + n]
        for k in range(out.size):
            out[k] = a[k] * sigmoid(b[k])
        i = stop


@kernel
def glu_forward(y, x):
    """Flat blocks in parallel."""
    half = max(y.shape[1] * y.shape[2], 1)
    parallel_for(_glu, y.size, GRAIN, (y.reshape(-1), x.reshape(-1), half))


@compiled
def _glu_gradient(begin, end, dx, dy, x, half):
    i = begin
    while i < end:
        stop = min(end, i + half - i % half)
        at = i + i // half * half
        n = stop - i
        slope, a, b = dy[i:stop], x[at : at + n], x[at + half : at + half + n]
        da, db = dx[at : at + n], dx[at + half : at + half + n]
        for k in range(slope.size):
            gated = slope[k] * sigmoid(b[k])
            da[k] = gated
            db[k] = gated * a[k] * sigmoid(-b[k])
        i = stop


@kernel
def glu_backward(dx, dy, x):
    """Flat blocks in parallel."""
    half = max(dy.shape[1] * dy.shape[2], 1)
    parallel_for(_glu_gradient, dy.size, GRAIN, (dx.reshape(-1), dy.reshape(-1), x.reshape(-1), half))
