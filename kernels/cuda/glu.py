"""The gated linear unit: forward a map of two operands that lie a half apart; backward the same with two results."""

from .broadcasting import MOST, define_spread, split, start_spread
from .functions import formulas
from .maps import STEP
from .ptx import VECTOR, load4, narrow, on_boundary, store4, wide
from .target import THREADS, cuda, device, jit, kernel, launch

sigmoid = formulas["sigmoid"]

_glu = define_spread(globals(), "_glu", {"y": "a * sigmoid(b)"})


@kernel(half=True)
def glu_forward(y, x, stream=0):
    """One launch."""
    outer, half = y.shape[0], y.shape[1] * y.shape[2]
    flat = x.reshape(-1)
    strides = 0, 0, 2 * half, 1
    start_spread(_glu, stream, [y.reshape(-1)], flat, flat[half:], (1, 1, outer, half), strides, strides)


@device
def gradients(dy, a, b):
    gated = dy * sigmoid(b)
    return gated, gated * a * sigmoid(-b)


@jit
def _glu_gradient(dx, dy, x, half):
    n = dy.size
    i = cuda.blockIdx.x * STEP + cuda.threadIdx.x * VECTOR
    if i < n:
        if half % VECTOR == 0 and on_boundary(dx) and on_boundary(dy) and on_boundary(x):
            row, _ = split(i, half)
            # an element of the result is of that many rows and a half more
            at = i + row * half
            g, a, b = load4(dy, i), load4(x, at), load4(x, at + half)
            r0, r1 = gradients(g[0], a[0], b[0]), gradients(g[1], a[1], b[1])
            r2, r3 = gradients(g[2], a[2], b[2]), gradients(g[3], a[3], b[3])
            store4(dx, at, (r0[0], r1[0], r2[0], r3[0]))
            store4(dx, at + half, (r0[1], r1[1], r2[1], r3[1]))
        else:
            end = min(i + VECTOR, n)
            while i < end:
                row, _ = split(i, half)
                at = i + row * half
                da, db = gradients(wide(dy[i]), wide(x[at]), wide(x[at + half]))
                dx[at], dx[at + half] = narrow(dx, da), narrow(dx, db)
                i += 1


@kernel(half=True)
def glu_backward(dx, dy, x, stream=0):
    """One launch."""
    _in_parts(dx, dy, x, stream)


def _in_parts(dx, dy, x, stream):
    rows = dy.shape[0]
    if dy.size >= MOST and rows > 1:
        # too many for indices of 32 bits: in two
        for part in (slice(rows // 2), slice(rows // 2, rows)):
            _in_parts(dx[part], dy[part], x[part], stream)
        return
    flat = [m.reshape(-1) for m in (dx, dy, x)]
    launch(_glu_gradient, -(-dy.size // STEP), THREADS, stream, *flat, dy.shape[1] * dy.shape[2])
