"""Copies, fills and arithmetic on arrays of one shape: flat loops that LLVM turns into vectors, in parallel chunks.

Every body first cuts its operands to the chunk: indices then start at 0, which spares the check for negative ones
(a factor of ten: the loop does not become vectors with it).
"""

import numpy as np  # noqa: F401  (formulas)

from ..formulas import BINARY, COMPARISON
from ..jit import compiled, kernel, parallel_for
from ..template import define

GRAIN = 32768


@compiled
def _copy(begin, end, y, x):
    y, x = y[begin:end], x[begin:end]
    for i in range(y.size):
        y[i] = x[i]


@kernel
def copy_forward(y, x):
    """Flat, in parallel."""
    parallel_for(_copy, y.size, GRAIN, (y, x))


# a transposed copy goes by square tiles, so that both sides stay in cache
TILE = 32


@compiled
def _assign_rows(begin, end, y, x):
    _, Q, R, S = y.shape
    for row in range(begin, end):
        p, q, r = row // (Q * R), row // R % Q, row % R
        for s in range(S):
            y[p, q, r, s] = x[p, q, r, s]


@compiled
def _assign_tiles(begin, end, y, x):
    _, Q, R, S = y.shape
    tiles = (R + TILE - 1) // TILE
    for tile in range(begin, end):
        p, q, r0 = tile // (Q * tiles), tile // tiles % Q, tile % tiles * TILE
        for s0 in range(0, S, TILE):
            for r in range(r0, min(R, r0 + TILE)):
                for s in range(s0, min(S, s0 + TILE)):
                    y[p, q, r, s] = x[p, q, r, s]


@kernel
def assign_forward(y, x):
    """Rows in parallel; square tiles when the last dimension is not the one that is dense in both."""
    P, Q, R, S = y.shape
    if S == 0:
        return
    if (R > 1 and abs(x.strides[2]) < abs(x.strides[3])) or abs(y.strides[2]) < abs(y.strides[3]):
        tiles = (R + TILE - 1) // TILE
        parallel_for(_assign_tiles, P * Q * tiles, max(1, GRAIN // (TILE * S)), (y, x))
    else:
        parallel_for(_assign_rows, P * Q * R, max(1, GRAIN // S), (y, x))


@compiled
def _fill(begin, end, y, value):
    y = y[begin:end]
    for i in range(y.size):
        y[i] = value


@kernel
def fill_forward(y, value):
    """Flat, in parallel."""
    parallel_for(_fill, y.size, GRAIN, (y, value))


@compiled
def _arange(begin, end, y, start, step):
    y = y[begin:end]
    for i in range(y.size):
        y[i] = start + (begin + i) * step


@kernel
def arange_forward(y, start, step):
    """Flat, in parallel; computed in float64."""
    parallel_for(_arange, y.size, GRAIN, (y, start, step))


FORWARD = '''
@compiled
def _{name}(begin, end, y, left, right):
    y, left, right = y[begin:end], left[begin:end], right[begin:end]
    for i in range(y.size):
        a, b = left[i], right[i]
        y[i] = {value}


@kernel
def {name}_forward(y, a, b):
    """Flat, in parallel."""
    parallel_for(_{name}, y.size, GRAIN, (y, a, b))
'''

BACKWARD = '''
@compiled
def _{name}_gradients(begin, end, da, db, gradient, left, right):
    zero, half, one = gradient.dtype.type(0), gradient.dtype.type(0.5), gradient.dtype.type(1)
    gradient, left, right = gradient[begin:end], left[begin:end], right[begin:end]
    if da.size:
        da = da[begin:end]
        for i in range(gradient.size):
            dy, a, b = gradient[i], left[i], right[i]
            da[i] = {da}
    if db.size:
        db = db[begin:end]
        for i in range(gradient.size):
            dy, a, b = gradient[i], left[i], right[i]
            db[i] = {db}


@kernel
def {name}_backward(da, db, dy, a, b):
    """Flat, in parallel; each gradient in its own pass."""
    parallel_for(_{name}_gradients, dy.size, GRAIN, (da, db, dy, a, b))
'''

for _name, (_value, _da, _db) in BINARY.items():
    define(globals(), FORWARD, name=_name, value=_value)
    if _da:
        define(globals(), BACKWARD, name=_name, da=_da, db=_db)
for _name, _value in COMPARISON.items():
    define(globals(), FORWARD, name=_name, value=_value)
