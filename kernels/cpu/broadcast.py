"""Arithmetic between operands of different shapes: rows of the result in parallel.

A row is the last of the four dimensions. Along it an operand is either one number or dense (stride 0 or 1): three
loops without strides, all vectors.
"""

import numpy as np  # noqa: F401  (formulas)

from ..formulas import BINARY, COMPARISON
from ..jit import compiled, kernel, parallel_for  # noqa: F401  (in the templates)
from ..template import define

GRAIN = 32768


@compiled
def _inside(shape, strides, size):
    if shape[0] == 0 or shape[1] == 0 or shape[2] == 0 or shape[3] == 0:
        return True
    last = 0
    for i in range(4):
        if strides[i] < 0:
            return False
        last += (shape[i] - 1) * strides[i]
    return last < size and strides[3] <= 1


@compiled
def _place(row, shape):
    """(p, q, r) of a row of the result."""
    return row // (shape[2] * shape[1]), row // shape[2] % shape[1], row % shape[2]


@compiled
def _next(place, shape):
    """The place of the row after it, without a division: rows may be short."""
    p, q, r = place
    r += 1
    if r == shape[2]:
        r, q = 0, q + 1
        if q == shape[1]:
            q, p = 0, p + 1
    return p, q, r


@compiled
def _offset(place, strides):
    return place[0] * strides[0] + place[1] * strides[1] + place[2] * strides[2]


@compiled
def _row(x, start, stride, n):
    """The elements of one row: n of them, or the one that is repeated."""
    return x[start : start + (n if stride else 1)]


FORWARD = '''
@compiled
def _{name}(begin, end, y, left, right, shape, a_strides, b_strides):
    S, place = shape[3], _place(begin, shape)
    for row in range(begin, end):
        out = y[row * S : row * S + S]
        x = _row(left, _offset(place, a_strides), a_strides[3], S)
        z = _row(right, _offset(place, b_strides), b_strides[3], S)
        place = _next(place, shape)
        if a_strides[3] == 0:
            a = x[0]
            for i in range(out.size):
                b = z[i if b_strides[3] else 0]
                out[i] = {value}
        elif b_strides[3] == 0:
            b = z[0]
            for i in range(out.size):
                a = x[i]
                out[i] = {value}
        else:
            for i in range(out.size):
                a, b = x[i], z[i]
                out[i] = {value}


@kernel
def {name}_forward(y, a, b, a0, a1, a2, a3, b0, b1, b2, b3):
    """Rows in parallel."""
    a_strides, b_strides = (a0, a1, a2, a3), (b0, b1, b2, b3)
    if not _inside(y.shape, a_strides, a.size) or not _inside(y.shape, b_strides, b.size):
        raise IndexError("broadcast: a stride leads out of an operand")
    rows = y.shape[0] * y.shape[1] * y.shape[2]
    grain = max(1, GRAIN // max(1, y.shape[3]))
    parallel_for(_{name}, rows, grain, (y.reshape(-1), a, b, y.shape, a_strides, b_strides))
'''

BACKWARD = '''
@compiled
def _{name}_gradients(begin, end, da, db, gradient, left, right, shape, a_strides, b_strides):
    zero, half, one = gradient.dtype.type(0), gradient.dtype.type(0.5), gradient.dtype.type(1)
    S, place = shape[3], _place(begin, shape)
    for row in range(begin, end):
        g = gradient[row * S : row * S + S]
        x = _row(left, _offset(place, a_strides), a_strides[3], S)
        z = _row(right, _offset(place, b_strides), b_strides[3], S)
        place = _next(place, shape)
        if da.size:
            out = da[row * S : row * S + S]
            for i in range(out.size):
                dy, a, b = g[i], x[i if a_strides[3] else 0], z[i if b_strides[3] else 0]
                out[i] = {da}
        if db.size:
            out = db[row * S : row * S + S]
            for i in range(out.size):
                dy, a, b = g[i], x[i if a_strides[3] else 0], z[i if b_strides[3] else 0]
                out[i] = {db}


@kernel
def {name}_backward(da, db, dy, a, b, a0, a1, a2, a3, b0, b1, b2, b3):
    """Rows in parallel."""
    a_strides, b_strides = (a0, a1, a2, a3), (b0, b1, b2, b3)
    if not _inside(dy.shape, a_strides, a.size) or not _inside(dy.shape, b_strides, b.size):
        raise IndexError("broadcast: a stride leads out of an operand")
    rows = dy.shape[0] * dy.shape[1] * dy.shape[2]
    grain = max(1, GRAIN // max(1, dy.shape[3]))
    operands = (da.reshape(-1), db.reshape(-1), dy.reshape(-1), a, b, dy.shape, a_strides, b_strides)
    parallel_for(_{name}_gradients, rows, grain, operands)
'''

for _name, (_value, _da, _db) in BINARY.items():
    define(globals(), FORWARD, name=_name, value=_value)
    if _da:
        define(globals(), BACKWARD, name=_name, da=_da, db=_db)
for _name, _value in COMPARISON.items():
    define(globals(), FORWARD, name=_name, value=_value)
