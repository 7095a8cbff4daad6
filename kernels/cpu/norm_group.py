"""Group norm: a group is a contiguous line, which the second cache holds if any does; groups in parallel.

Forward brings x and y once from memory (8 bytes an element of float32), backward dy, x and dx (12), where a group fits
the second cache; beyond it x and dy come twice. What a channel of a sample adds to the gradients of weight and bias is
what the gradient of the input needs anyway: it is kept, and added up over samples in order.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from .norm_parts import GRAIN, combined, inverse_root, moments, scaled, slopes

# scratch slot: what the channels of samples add to dw and db
SLOT = 3


@compiled
def _group_grain(x):
    return max(1, GRAIN // max(x.shape[2] * x.shape[3], 1))


@compiled
def _points(out, line, near, scale, shift, w, b):
    """A group whose channels are single numbers."""
    for i in range(out.size):
        v = (line[i] - near) * scale + shift
        if w.size:
            v *= w[i]
        if b.size:
            v += b[i]
        out[i] = v


@compiled
def _groups(begin, end, y, mean, rstd, x, w, b, eps):
    G, P, I = x.shape[1:]
    for task in range(begin, end):
        o, g = task // G, task % G
        line, out = x[o, g], y[o, g]
        centre, variance = moments(line.reshape(-1))
        root = inverse_root(variance, eps)
        mean[o, g], rstd[o, g] = centre, root
        near = x.dtype.type(centre)
        if I == 1:
            shift = x.dtype.type((near - centre) * root)
            weights, biases = w[g * P : (g + 1) * P], b[g * P : (g + 1) * P]
            _points(out.reshape(-1), line.reshape(-1), near, x.dtype.type(root), shift, weights, biases)
        else:
            for p in range(P):
                scale = root * w[g * P + p] if w.size else root
                shift = (near - centre) * scale + (b[g * P + p] if b.size else 0.0)
                scaled(out[p], line[p], near, x.dtype.type(scale), x.dtype.type(shift))


@kernel
def group_norm_forward(y, mean, rstd, x, w, b, eps):
    """A pass for the statistics, one for the result, both over a group before the next."""
    parallel_for(_groups, x.shape[0] * x.shape[1], _group_grain(x), (y, mean, rstd, x, w, b, float(eps)))


@compiled
def _gradients(begin, end, dx, weights, biases, dy, x, w, mean, rstd):
    G, P, I = x.shape[1:]
    for task in range(begin, end):
        o, g = task // G, task % G
        centre, root = mean[o, g], rstd[o, g]
        near = x.dtype.type(centre)
        plain, product = 0.0, 0.0
        for p in range(P):
            first, second = slopes(dy[o, g, p], x[o, g, p], near)
            # of dy n: x - mean is (x - near) + (near - mean)
            second = (second + (near - centre) * first) * root
            c = g * P + p
            if weights.size:
                weights[o, c], biases[o, c] = second, first
            factor = float(w[c]) if w.size else 1.0
            plain += factor * first
            product += factor * second
        if dx.size:
            plain, product = plain / (P * I), product / (P * I)
            slope = -root * root * product
            level = x.dtype.type((near - centre) * slope - root * plain)
            for p in range(P):
                factor = root * w[g * P + p] if w.size else root
                combined(dx[o, g, p], dy[o, g, p], x[o, g, p], near, x.dtype.type(factor), x.dtype.type(slope), level)


@compiled
def _add_up(gradient, parts, accumulate):
    if not accumulate:
        gradient[:] = 0
    for o in range(parts.shape[0]):
        for c in range(gradient.size):
            gradient[c] += parts[o, c]


@kernel
def group_norm_backward(dx, dw, db, dy, x, w, mean, rstd, accumulate):
    """A pass for the sums of each channel, one for dx, both over a group before the next."""
    O, G, P, _ = x.shape
    channels = G * P if dw.size or db.size else 0
    space = scratch(SLOT, 2 * O * channels, x)
    weights, biases = (
        space[: O * channels].reshape(O, channels),
        space[O * channels : 2 * O * channels].reshape(O, channels),
    )
    parallel_for(_gradients, O * G, _group_grain(x), (dx, weights, biases, dy, x, w, mean, rstd))
    if dw.size:
        _add_up(dw, weights, accumulate)
    if db.size:
        _add_up(db, biases, accumulate)
