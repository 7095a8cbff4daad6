"""Variance, Euclidean norm and log-sum-exp: sums of a function of each element, by the levels of reduce.py.

The first level applies the function while it adds; what it leaves is folded by sum_levels.
"""

from ..jit import compiled, kernel, parallel_for, scratch
from ..template import define
from .reduce import BLOCK, COLUMN_CHUNK, GRAIN, ROW_CHUNK, largest_levels, sum_levels  # noqa: F401  (in SUM)
from .vecmath import exp, log

# name: what is added, of an element v and the centre m of its column
TERMS = {"deviations": "(v - m) * (v - m)", "exponentials": "exp(v - m)"}

SUM = '''
@compiled
def _{name}_rows(begin, end, y, x, centre, R, chunks):
    for task in range(begin, end):
        o, c = task // chunks, task % chunks
        line = x[o * R + c * ROW_CHUNK : o * R + min(R, (c + 1) * ROW_CHUNK)]
        s, m = x.dtype.type(0), centre[o]
        for i in range(line.size):
            v = line[i]
            s += {term}
        y[task] = s


@compiled
def _{name}_columns(begin, end, y, x, centre, R, I, chunks, blocks):
    for task in range(begin, end):
        b, oc = task % blocks, task // blocks
        o, c = oc // chunks, oc % chunks
        width, at = min(BLOCK, I - b * BLOCK), oc * I + b * BLOCK
        out = y[at : at + width]
        middle = centre[o * I + b * BLOCK : o * I + b * BLOCK + width]
        out[:] = 0
        for r in range(c * COLUMN_CHUNK, min(R, (c + 1) * COLUMN_CHUNK)):
            at = (o * R + r) * I + b * BLOCK
            line = x[at : at + width]
            for i in range(out.size):
                v, m = line[i], middle[i]
                out[i] += {term}


@compiled
def _sum_of_{name}(y, x, centre):
    """y (O, I) = sum over r of the term of x (O, R, I) and centre (O, I)"""
    O, R, I = x.shape
    chunk = ROW_CHUNK if I == 1 else COLUMN_CHUNK
    chunks, blocks = (R + chunk - 1) // chunk, (I + BLOCK - 1) // BLOCK
    sums = scratch(6, O * chunks * I, x)
    grain = max(1, GRAIN // max(1, min(R, chunk) * min(I, BLOCK)))
    if I == 1:
        parallel_for(_{name}_rows, O * chunks, grain, (sums, x.reshape(-1), centre.reshape(-1), R, chunks))
    else:
        operands = (sums, x.reshape(-1), centre.reshape(-1), R, I, chunks, blocks)
        parallel_for(_{name}_columns, O * chunks * blocks, grain, operands)
    sum_levels(y.reshape(-1), sums, O, chunks, I)
'''

for _name, _term in TERMS.items():
    define(globals(), SUM, name=_name, term=_term)


@kernel
def var_forward(y, mean, x, correction):
    """Two passes: the mean, then the squared deviations from it."""
    sum_levels(mean.reshape(-1), x.reshape(-1), *x.shape)
    count = x.dtype.type(x.shape[1])
    degrees = x.dtype.type(max(0.0, x.shape[1] - correction))
    flat = mean.reshape(-1)
    for i in range(flat.size):
        flat[i] /= count
    _sum_of_deviations(y, x, mean)  # noqa: F821  (defined from SUM)
    flat = y.reshape(-1)
    for i in range(flat.size):
        flat[i] /= degrees


@compiled
def _var_gradient(begin, end, dx, dy, x, mean, scale):
    R, I = x.shape[1:]
    for o in range(begin, end):
        if I == 1:
            out, line, m, d = dx[o].reshape(-1), x[o].reshape(-1), mean[o, 0], dy[o, 0] * scale
            for r in range(R):
                out[r] = d * (line[r] - m)
        else:
            for r in range(R):
                out, line = dx[o, r], x[o, r]
                for i in range(I):
                    out[i] = dy[o, i] * scale * (line[i] - mean[o, i])


@kernel
def var_backward(dx, dy, x, mean, correction):
    """Parallel over O."""
    scale = x.dtype.type(2) / x.dtype.type(max(0.0, x.shape[1] - correction))
    grain = max(1, GRAIN // max(1, x.shape[1] * x.shape[2]))
    parallel_for(_var_gradient, x.shape[0], grain, (dx, dy, x, mean, scale))


@compiled
def _std_gradient(begin, end, dvar, dy, y):
    zero, two = y.dtype.type(0), y.dtype.type(2)
    dvar, dy, y = dvar[begin:end], dy[begin:end], y[begin:end]
    for i in range(y.size):
        dvar[i] = zero if y[i] == zero else dy[i] / (two * y[i])


@kernel
def std_backward(dvar, dy, y):
    """Flat, in parallel."""
    parallel_for(_std_gradient, y.size, GRAIN, (dvar, dy, y))


@kernel
def norm_forward(y, x):
    """The squared deviations from 0, then a root."""
    centre = scratch(7, y.size, x)
    centre[:] = 0
    _sum_of_deviations(y, x, centre)  # noqa: F821  (defined from SUM)
    flat = y.reshape(-1)
    for i in range(flat.size):
        flat[i] = flat[i] ** x.dtype.type(0.5)


@compiled
def _norm_gradient(begin, end, dx, dy, x, y):
    R, I = x.shape[1:]
    zero = x.dtype.type(0)
    for o in range(begin, end):
        for r in range(R):
            for i in range(I):
                dx[o, r, i] = zero if y[o, i] == zero else dy[o, i] * x[o, r, i] / y[o, i]


@kernel
def norm_backward(dx, dy, x, y):
    """Parallel over O."""
    parallel_for(_norm_gradient, x.shape[0], max(1, GRAIN // max(1, x.shape[1] * x.shape[2])), (dx, dy, x, y))


@kernel
def logsumexp_forward(y, x):
    """The largest by levels, the exponentials relative to it, their logarithm."""
    O, R, I = x.shape
    flat = y.reshape(-1)
    if R == 0:
        flat[:] = -x.dtype.type(1) / x.dtype.type(0)
        return
    shift = scratch(7, flat.size, x)
    largest_levels(shift, x.reshape(-1), O, R, I)
    for i in range(shift.size):
        # an infinite shift would make NaN of it; NaN itself stays
        if shift[i] - shift[i] != x.dtype.type(0) and shift[i] == shift[i]:
            shift[i] = 0
    _sum_of_exponentials(y, x, shift)  # noqa: F821  (defined from SUM)
    for i in range(flat.size):
        flat[i] = log(flat[i]) + shift[i]


@compiled
def _logsumexp_gradient(begin, end, dx, dy, x, y):
    R, I = x.shape[1:]
    for o in range(begin, end):
        if I == 1:
            out, line, total, d = dx[o].reshape(-1), x[o].reshape(-1), y[o, 0], dy[o, 0]
            for r in range(R):
                out[r] = d * exp(line[r] - total)
        else:
            for r in range(R):
                out, line = dx[o, r], x[o, r]
                for i in range(I):
                    out[i] = dy[o, i] * exp(line[i] - y[o, i])


@kernel
def logsumexp_backward(dx, dy, x, y):
    """Parallel over O."""
    parallel_for(_logsumexp_gradient, x.shape[0], max(1, GRAIN // max(1, x.shape[1] * x.shape[2])), (dx, dy, x, y))
