"""Norms of gradients: sums in float64 and extremes, one of each block, which another launch gathers in order.

The norm stays on the device: what is clipped by it reads it there.
"""

import math

from .functions import sqrt
from .lanes import WARPS, block_max
from .maps import STEP, TILE, put4, take4
from .ptx import VECTOR, load4, on_boundary
from .target import THREADS, cuda, device, empty, jit, kernel, launch
from .totals import blocks_for, define_total, run_total

# an order has a formula of its own where powers are more than is needed
_SUMS = {
    2.0: define_total("_squares", "x * x"),
    1.0: define_total("_sizes", "abs(x)"),
    0.0: define_total("_counts", "1.0 if x != 0 else 0.0"),
}
_powers = define_total("_powers", "abs(x) ** p", ["p"])


@device
def further(best, value):
    """The larger one; NaN where either is."""
    return best if best != best or value <= best else value


@jit
def _extremes(out, of, keep, sign):
    """out[block] = the largest abs(of), or with sign -1 the smallest; out[0] takes part where `keep`."""
    parts = cuda.shared.array(WARPS, of.dtype)
    # of the sizes with that sign, the largest is wanted
    best = of.dtype.type(-math.inf)
    fours = of.size // VECTOR if on_boundary(of) else 0
    q, step = cuda.grid(1), cuda.gridsize(1)
    while q + step < fours:
        v, w = load4(of, VECTOR * q), load4(of, VECTOR * (q + step))
        a, b = further(sign * abs(v[0]), sign * abs(v[1])), further(sign * abs(v[2]), sign * abs(v[3]))
        c, d = further(sign * abs(w[0]), sign * abs(w[1])), further(sign * abs(w[2]), sign * abs(w[3]))
        best = further(best, further(further(a, b), further(c, d)))
        q += 2 * step
    if q < fours:
        v = load4(of, VECTOR * q)
        a, b = further(sign * abs(v[0]), sign * abs(v[1])), further(sign * abs(v[2]), sign * abs(v[3]))
        best = further(best, further(a, b))
    i = VECTOR * fours + cuda.grid(1)
    while i < of.size:
        best = further(best, sign * abs(of[i]))
        i += step
    best = block_max(parts, best)
    if cuda.threadIdx.x == 0:
        out[cuda.blockIdx.x] = sign * further(sign * out[0], best) if keep else sign * best


@kernel
def gradient_norm_forward(total, x, p, stream=0):
    """One pass, and a launch that gathers what the blocks found."""
    if not math.isinf(p):
        numbers = () if p in _SUMS else (float(p),)
        run_total(_SUMS.get(p, _powers), total, x, True, stream, *numbers)
        return
    sign, blocks = x.dtype.type(1 if p > 0 else -1), blocks_for(x.size)
    if blocks > 1:
        found = empty((blocks,), x.dtype)
        launch(_extremes, blocks, THREADS, stream, found, x, False, sign)
        x = found
    launch(_extremes, 1, THREADS, stream, total, x, True, sign)


@jit
def _root(norm, total, p):
    if p == 2:
        norm[0] = sqrt(total[0])
    else:
        norm[0] = total[0] if p == 0 or math.isinf(p) else total[0] ** (1 / p)


@kernel
def gradient_norm_root_forward(norm, total, p, stream=0):
    """One thread."""
    launch(_root, 1, 1, stream, norm, total, float(p))


@device
def scale_for(norm, max_norm):
    """What brings the norm to max_norm: at most 1, and NaN for NaN."""
    scale = max_norm / (norm[0] + 1e-6)
    return 1.0 if scale >= 1 else scale


@jit
def _scale(scale, norm, max_norm):
    scale[0] = scale_for(norm, max_norm)


@kernel
def gradient_scale_forward(scale, norm, max_norm, stream=0):
    """One thread."""
    launch(_scale, 1, 1, stream, scale, norm, float(max_norm))


@jit
def _clip(x, norm, max_norm):
    n = x.size
    i = cuda.blockIdx.x * TILE + cuda.threadIdx.x * VECTOR
    scale = scale_for(norm, max_norm)
    # nothing is read where nothing changes
    if scale != 1 and i < n:
        factor, j, straight = x.dtype.type(scale), i + STEP, on_boundary(x)
        whole_i, whole_j = straight and i + VECTOR <= n, straight and j + VECTOR <= n
        v, w = take4(x, i, n, whole_i), take4(x, j, n, whole_j)
        put4(x, i, n, whole_i, (factor * v[0], factor * v[1], factor * v[2], factor * v[3]))
        put4(x, j, n, whole_j, (factor * w[0], factor * w[1], factor * w[2], factor * w[3]))


@kernel
def gradient_clip_forward(x, norm, max_norm, stream=0):
    """One launch; no access to x when the norm is below max_norm."""
    launch(_clip, -(-x.size // TILE), THREADS, stream, x, norm, float(max_norm))
