"""Largest and smallest of the middle dimension. Values alone are folded by levels as sums are; positions are looked
up in rows afterwards; in columns a task scans R for a block of them and keeps value and position side by side."""

from ..jit import compiled, kernel, parallel_for
from ..template import define
from .reduce import largest_levels, smallest_levels  # noqa: F401  (in FORWARD)

BLOCK, GRAIN = 256, 32768


@compiled
def _find(begin, end, y, indices, x, R):
    """indices[o] = the first r where x is y, in rows; NaN is NaN."""
    for o in range(begin, end):
        line, best = x[o * R : o * R + R], y[o]
        r = 0
        if best == best:
            while line[r] != best:
                r += 1
        else:
            while line[r] == line[r]:
                r += 1
        indices[o] = r


FORWARD = '''
@compiled
def _{name}_scan(begin, end, y, indices, x, blocks):
    R, I = x.shape[1:]
    for task in range(begin, end):
        o, first = task // blocks, task % blocks * BLOCK
        last = min(I, first + BLOCK)
        best, where = y[o, first:last], indices[o, first:last]
        line = x[o, 0, first:last]
        for i in range(best.size):
            best[i], where[i] = line[i], 0
        for r in range(1, R):
            line = x[o, r, first:last]
            for i in range(best.size):
                v, s = line[i], best[i]
                better = v {sign} s or (v != v and s == s)
                best[i] = v if better else s
                where[i] = r if better else where[i]


@kernel
def {name}_forward(y, indices, x):
    """By levels, or with positions by a scan of each block of columns."""
    O, R, I = x.shape
    if y.size == 0:
        return
    if R == 0:
        raise ValueError("max/min: the dimension to reduce has no elements")
    if indices.size == 0 or I == 1:
        {levels}_levels(y.reshape(-1), x.reshape(-1), O, R, I)
        if indices.size:
            operands = (y.reshape(-1), indices.reshape(-1), x.reshape(-1), R)
            parallel_for(_find, O, max(1, GRAIN // R), operands)
    else:
        blocks = (I + BLOCK - 1) // BLOCK
        parallel_for(_{name}_scan, O * blocks, max(1, GRAIN // (R * min(I, BLOCK))), (y, indices, x, blocks))
'''

define(globals(), FORWARD, name="max", sign=">", levels="largest")
define(globals(), FORWARD, name="min", sign="<", levels="smallest")


@compiled
def _place(begin, end, dx, dy, indices):
    I = dx.shape[2]
    for o in range(begin, end):
        dx[o] = 0
        for i in range(I):
            dx[o, indices[o, i], i] = dy[o, i]


@kernel
def max_backward(dx, dy, indices):
    """Zeros, then one element a column; parallel over O."""
    O, R, I = dx.shape
    if dx.size == 0:
        return
    for o in range(O):
        for i in range(I):
            if indices[o, i] < 0 or indices[o, i] >= R:
                raise IndexError("max_backward: an index is out of range")
    parallel_for(_place, O, max(1, GRAIN // (R * I)), (dx, dy, indices))


@compiled
def _share(begin, end, dx, dy, x, y):
    R, I = x.shape[1:]
    zero = x.dtype.type(0)
    for o in range(begin, end):
        for i in range(I):
            count = 0
            for r in range(R):
                count += 1 if x[o, r, i] == y[o, i] else 0
            share = dy[o, i] / x.dtype.type(count)
            for r in range(R):
                dx[o, r, i] = share if x[o, r, i] == y[o, i] else zero


@kernel
def amax_backward(dx, dy, x, y):
    """Count, then write; parallel over O."""
    parallel_for(_share, x.shape[0], max(1, GRAIN // max(1, x.shape[1] * x.shape[2])), (dx, dy, x, y))
