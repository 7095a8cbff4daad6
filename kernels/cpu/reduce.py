"""Reductions of the middle dimension, by levels: each replaces a chunk of consecutive elements by one.

Chunks are counted by shape alone, so the bits do not depend on threads, and an error grows with the number of levels.
Where I = 1 a chunk lies in a row and is folded in LANES sums side by side; else it is a few rows.
"""

from ..jit import compiled, kernel, parallel_for, scratch  # noqa: F401  (in FOLD)
from ..template import define

ROW_CHUNK, COLUMN_CHUNK, LANES, BLOCK, GRAIN = 4096, 128, 128, 1024, 32768

# name: (one step of the fold; its value for no elements)
FOLDS = {
    "sum": ("s + v", "0"),
    "prod": ("s * v", "1"),
    "any": ("s | v", "False"),
    "all": ("s & v", "True"),
    # no kernels of their own: extreme.py builds on these; a NaN is kept
    "largest": ("v if v > s or v != v else s", "0"),
    "smallest": ("v if v < s or v != v else s", "0"),
}

FOLD = '''
@compiled
def _{name}_rows(begin, end, y, x, R, chunk, chunks):
    lanes = scratch(5, LANES, x)
    for task in range(begin, end):
        o, c = task // chunks, task % chunks
        line = x[o * R + c * chunk : o * R + min(R, (c + 1) * chunk)]
        start = 0
        if line.size >= 2 * LANES:
            for i in range(LANES):
                lanes[i] = line[i]
            for start in range(LANES, line.size - LANES + 1, LANES):
                part = line[start : start + LANES]
                for i in range(LANES):
                    s, v = lanes[i], part[i]
                    lanes[i] = {step}
            line = line[line.size // LANES * LANES :]
            width = LANES // 2
            while width:
                upper = lanes[width : 2 * width]
                for i in range(width):
                    s, v = lanes[i], upper[i]
                    lanes[i] = {step}
                width //= 2
            s = lanes[0]
        else:
            s = line[0]
            line = line[1:]
        for i in range(line.size):
            v = line[i]
            s = {step}
        y[task] = s


@compiled
def _{name}_columns(begin, end, y, x, R, I, chunk, chunks, blocks):
    for task in range(begin, end):
        b, oc = task % blocks, task // blocks
        o, c = oc // chunks, oc % chunks
        width = min(BLOCK, I - b * BLOCK)
        at = oc * I + b * BLOCK
        out = y[at : at + width]
        at = (o * R + c * chunk) * I + b * BLOCK
        line = x[at : at + width]
        for i in range(out.size):
            out[i] = line[i]
        for r in range(1, min(chunk, R - c * chunk)):
            line = x[at + r * I : at + r * I + width]
            for i in range(out.size):
                s, v = out[i], line[i]
                out[i] = {step}


@compiled
def {name}_levels(y, x, O, R, I):
    """y (O * I) = fold of x (O * R * I), both flat."""
    if R == 0:
        y[:] = {empty}
        return
    source, slot, blocks = x, 3, (I + BLOCK - 1) // BLOCK
    chunk = ROW_CHUNK if I == 1 else COLUMN_CHUNK
    while True:
        chunks = (R + chunk - 1) // chunk
        target = y if chunks == 1 else scratch(slot, O * chunks * I, x)
        grain = max(1, GRAIN // (min(R, chunk) * min(I, BLOCK))) if I else 1
        if I == 1:
            parallel_for(_{name}_rows, O * chunks, grain, (target, source, R, chunk, chunks))
        else:
            parallel_for(_{name}_columns, O * chunks * blocks, grain, (target, source, R, I, chunk, chunks, blocks))
        if chunks == 1:
            return
        source, R, slot = target, chunks, 7 - slot
'''

FORWARD = '''
@kernel
def {name}_forward(y, x):
    """By levels."""
    {name}_levels(y.reshape(-1), x.reshape(-1), *x.shape)
'''

for _name, (_step, _empty) in FOLDS.items():
    define(globals(), FOLD, name=_name, step=_step, empty=_empty)
for _name in ("sum", "prod", "any", "all"):
    define(globals(), FORWARD, name=_name)


@compiled
def _spread_row(begin, end, dx, dy, R, chunks, scale):
    for task in range(begin, end):
        o, c = task // chunks, task % chunks
        out, value = dx[o * R + c * GRAIN : o * R + min(R, (c + 1) * GRAIN)], dy[o] * scale
        for i in range(out.size):
            out[i] = value


@compiled
def _spread_columns(begin, end, dx, dy, R, I, scale):
    for row in range(begin, end):
        out, line = dx[row * I : row * I + I], dy[row // R * I : row // R * I + I]
        for i in range(out.size):
            out[i] = line[i] * scale


@compiled
def spread(dx, dy, scale):
    """dx[o, r, i] = dy[o, i] * scale"""
    O, R, I = dx.shape
    if dx.size == 0:
        return
    if I == 1:
        chunks = (R + GRAIN - 1) // GRAIN
        grain = max(1, GRAIN // R)
        parallel_for(_spread_row, O * chunks, grain, (dx.reshape(-1), dy.reshape(-1), R, chunks, scale))
    else:
        parallel_for(_spread_columns, O * R, max(1, GRAIN // I), (dx.reshape(-1), dy.reshape(-1), R, I, scale))


@kernel
def sum_backward(dx, dy):
    """Rows in parallel."""
    spread(dx, dy, dy.dtype.type(1))


@kernel
def mean_forward(y, x):
    """The sum by levels, then one division an element."""
    sum_levels(y.reshape(-1), x.reshape(-1), *x.shape)  # noqa: F821  (defined from FOLD)
    y, count = y.reshape(-1), y.dtype.type(x.shape[1])
    for i in range(y.size):
        y[i] /= count


@kernel
def mean_backward(dx, dy):
    """Rows in parallel."""
    if dx.size:
        spread(dx, dy, dy.dtype.type(1) / dy.dtype.type(dx.shape[1]))


@compiled
def _prod_gradient(begin, end, dx, dy, x):
    R, I = x.shape[1:]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for o in range(begin, end):
        for i in range(I):
            zeros, others = 0, one
            for r in range(R):
                if x[o, r, i] == zero:
                    zeros += 1
                else:
                    others *= x[o, r, i]
            for r in range(R):
                v = x[o, r, i]
                if zeros == 0:
                    dx[o, r, i] = dy[o, i] * (others / v)
                else:
                    dx[o, r, i] = dy[o, i] * others if zeros == 1 and v == zero else zero


@kernel
def prod_backward(dx, dy, x):
    """Serial over R: one zero leaves a gradient at itself alone, two leave none."""
    parallel_for(_prod_gradient, x.shape[0], max(1, GRAIN // max(1, x.shape[1] * x.shape[2])), (dx, dy, x))


@kernel
def count_forward(y, x):
    """One pass, serial: bytes are few."""
    total = 0
    for i in range(x.size):
        total += 1 if x[i] else 0
    y[0] = total


@compiled
def _running(begin, end, y, x, backwards):
    R, I = x.shape[1:]
    for o in range(begin, end):
        if I == 1:
            out, line = y[o].reshape(-1), x[o].reshape(-1)
            total = y.dtype.type(0)
            for step in range(R):
                r = R - 1 - step if backwards else step
                total += line[r]
                out[r] = total
            continue
        for step in range(R):
            r = R - 1 - step if backwards else step
            out, line = y[o, r], x[o, r]
            if step == 0:
                for i in range(I):
                    out[i] = line[i]
            else:
                before = y[o, r + 1 if backwards else r - 1]
                for i in range(I):
                    out[i] = before[i] + line[i]


@kernel
def cumsum_forward(y, x):
    """Serial along R, parallel over O."""
    parallel_for(_running, x.shape[0], max(1, GRAIN // max(1, x.shape[1] * x.shape[2])), (y, x, False))


@kernel
def cumsum_backward(dx, dy):
    """Serial along R from its end, parallel over O."""
    parallel_for(_running, dy.shape[0], max(1, GRAIN // max(1, dy.shape[1] * dy.shape[2])), (dx, dy, True))
