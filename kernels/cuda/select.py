"""Choosing and bounding elements: maps. What only moves elements moves their bits; triangles know how far an element is
from the diagonal of its matrix."""

import numpy as np

from .broadcasting import MOST, split
from .functions import formulas
from .maps import computed, define_map, in_dtype, launch_map, raw
from .target import device, kernel

_where = define_map(globals(), "_where", {"y": "a if condition else b"}, ["condition", "a", "b"])
LEFT, RIGHT = "dy if condition else zero", "zero if condition else dy"
_where_gradients = define_map(globals(), "_where_gradients", {"da": LEFT, "db": RIGHT}, ["dy", "condition"])
_where_left = define_map(globals(), "_where_left", {"da": LEFT}, ["dy", "condition"])
_where_right = define_map(globals(), "_where_right", {"db": RIGHT}, ["dy", "condition"])
_masked_fill = define_map(globals(), "_masked_fill", {"y": "value if mask else x"}, ["x", "mask"], ["value"])
# NaN is neither below nor above, and so passes
BOUND = {"bounded": formulas["hardtanh"]}
_clamp = define_map(globals(), "_clamp", {"y": "bounded(x, low, high)"}, ["x"], ["low", "high"], BOUND)
_clamp_gradient = define_map(
    globals(), "_clamp_gradient", {"dx": "dy if low <= x and x <= high else zero"}, ["dy", "x"], ["low", "high"]
)
_lerp = define_map(globals(), "_lerp", {"y": "a + weight * (b - a)"}, ["a", "b"], ["weight"])


@kernel
def where_forward(y, condition, a, b, stream=0):
    """One launch."""
    launch_map(_where, stream, raw(y), condition, raw(a), raw(b))


@kernel(half=True)
def where_backward(da, db, dy, condition, stream=0):
    """One launch."""
    if da.size and db.size:
        launch_map(_where_gradients, stream, da, db, dy, condition)
    elif da.size:
        launch_map(_where_left, stream, da, dy, condition)
    elif db.size:
        launch_map(_where_right, stream, db, dy, condition)


@kernel
def masked_fill_forward(y, x, mask, value, stream=0):
    """One launch; the value is converted on the host."""
    launch_map(_masked_fill, stream, raw(y), raw(x), mask, in_dtype(value, y.dtype))


@kernel(half=True)
def clamp_forward(y, x, low, high, stream=0):
    """One launch."""
    real = computed(x.dtype)
    launch_map(_clamp, stream, y, x, real(low), real(high))


@kernel(half=True)
def clamp_backward(dx, dy, x, low, high, stream=0):
    """One launch."""
    real = computed(x.dtype)
    launch_map(_clamp_gradient, stream, dx, dy, x, real(low), real(high))


@kernel(half=True)
def lerp_forward(y, a, b, weight, stream=0):
    """One launch."""
    launch_map(_lerp, stream, y, a, b, computed(a.dtype)(weight))


@device
def right_of_diagonal(i, columns, rows):
    """How far element i lies on the right of its matrix's diagonal."""
    line, column = split(i, columns)
    _, row = split(line, rows)
    return column - row


@device
def four_right_of_diagonal(i, columns, rows):
    # of elements beyond the last one nothing is kept
    return (
        right_of_diagonal(i, columns, rows),
        right_of_diagonal(i + 1, columns, rows),
        right_of_diagonal(i + 2, columns, rows),
        right_of_diagonal(i + 3, columns, rows),
    )


RIGHT_OF = {"far": "four_right_of_diagonal(i{part}, columns, rows)"}


def _triangle(name, formula):
    return define_map(
        globals(), name, {"y": formula}, ["x"], ["diagonal"], made=RIGHT_OF, parameters=["columns", "rows"]
    )


_tril = _triangle("_tril", "x if far <= diagonal else zero")
_triu = _triangle("_triu", "x if far >= diagonal else zero")


def _keep(function, y, x, diagonal, stream):
    matrices, rows, columns = y.shape
    if y.size >= MOST and (matrices > 1 or rows > 1):
        # too many for indices of 32 bits: in two
        if matrices > 1:
            cuts, shift = [np.s_[: matrices // 2], np.s_[matrices // 2 :]], 0
        else:
            cuts, shift = [np.s_[:, : rows // 2], np.s_[:, rows // 2 :]], rows // 2
        for cut, further in zip(cuts, (0, shift), strict=True):
            _keep(function, y[cut], x[cut], diagonal + further, stream)
        return
    flat = raw(y).reshape(-1), raw(x).reshape(-1)
    launch_map(function, stream, *flat, max(-rows, min(columns, diagonal)), columns, rows)


@kernel
def tril_forward(y, x, diagonal, stream=0):
    """One launch."""
    _keep(_tril, y, x, diagonal, stream)


@kernel
def triu_forward(y, x, diagonal, stream=0):
    """One launch."""
    _keep(_triu, y, x, diagonal, stream)
