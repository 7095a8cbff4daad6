"""The vector work of L-BFGS. Sums are in float64 in chunks counted by shape, which are added in order.

The two loops of the direction are one pass over d, y and s for each pair: what a pair changes of d is at hand when the
next pair's dot product wants it.
"""

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .loss import total as total_of
from .loss import wide

GRAIN = 16384
SUMS, FACTORS = 3, 4


@compiled
def _dots(begin, end, partial, a, b):
    for chunk in range(begin, end):
        x, y = a[chunk * GRAIN : (chunk + 1) * GRAIN], b[chunk * GRAIN : (chunk + 1) * GRAIN]
        s = 0.0
        for i in range(x.size):
            s += np.float64(x[i]) * np.float64(y[i])
        partial[chunk] = s


@compiled
def _dot(partial, a, b):
    parallel_for(_dots, partial.size, 1, (partial, a, b))
    return total_of(partial)


@compiled
def _pair(begin, end, difference, step, grad, previous, d, t):
    difference, step, grad = difference[begin:end], step[begin:end], grad[begin:end]
    previous, d = previous[begin:end], d[begin:end]
    for i in range(d.size):
        difference[i] = grad[i] - previous[i]
        step[i] = t * d[i]


@kernel
def memory_forward(difference, step, rho, products, grad, previous, d, t):
    """One pass that makes the pair, and one for each product."""
    parallel_for(_pair, d.size, GRAIN, (difference, step, grad, previous, d, d.dtype.type(t)))
    partial = wide(SUMS, (d.size + GRAIN - 1) // GRAIN, d)
    products[0] = _dot(partial, difference, step)
    products[1] = _dot(partial, difference, difference)
    rho[0] = 1 / products[0]


@compiled
def _advance(begin, end, partial, d, scale, factor, x, y):
    """d = scale * d + factor * x, and of each chunk its product with y."""
    for chunk in range(begin, end):
        first, last = chunk * GRAIN, min(d.size, (chunk + 1) * GRAIN)
        part, along, other = d[first:last], x[first:last], y[first:last]
        s = 0.0
        for i in range(part.size):
            v = scale * part[i] + factor * along[i]
            part[i] = v
            s += np.float64(v) * np.float64(other[i])
        partial[chunk] = s


@kernel
def direction_forward(d, grad, differences, steps, rho, first, count, scale):
    """Two passes for each pair, over three arrays each."""
    rows = rho.size
    if count < 0 or count > rows or first < 0 or first >= max(rows, 1):
        raise ValueError("direction_forward: expected 0 <= first < M and 0 <= count <= M")
    real = d.dtype.type
    partial = wide(SUMS, (d.size + GRAIN - 1) // GRAIN, d)
    factors = wide(FACTORS, count, d)
    one, last = real(1), (first + count - 1) % max(rows, 1)
    for i in range(d.size):
        d[i] = -grad[i]
    if count == 0:
        for i in range(d.size):
            d[i] *= real(scale)
        return
    dot = _dot(partial, steps[last], d)
    for i in range(count - 1, -1, -1):
        k = (first + i) % rows
        factors[i] = rho[k] * dot
        # at the end the first pair of the second loop is the same one
        following = steps[(first + i - 1) % rows] if i > 0 else differences[k]
        parallel_for(_advance, partial.size, 1, (partial, d, one, real(-factors[i]), differences[k], following))
        dot = total_of(partial)
    # what the scale does to d it does to the product
    dot *= scale
    for i in range(count):
        k = (first + i) % rows
        following = differences[(first + i + 1) % rows]
        before = real(scale) if i == 0 else one
        parallel_for(
            _advance, partial.size, 1, (partial, d, before, real(factors[i] - rho[k] * dot), steps[k], following)
        )
        dot = total_of(partial)


@kernel
def dot_forward(total, a, b):
    """One pass over both."""
    total[0] = _dot(wide(SUMS, (a.size + GRAIN - 1) // GRAIN, a), a, b)


@compiled
def _move(begin, end, y, x, d, t):
    y, x, d = y[begin:end], x[begin:end], d[begin:end]
    for i in range(y.size):
        y[i] = x[i] + t * d[i]


@kernel
def move_forward(y, x, d, t):
    """One pass over all three."""
    parallel_for(_move, d.size, GRAIN, (y, x, d, d.dtype.type(t)))
