"""Padding: a thread for each element of the result, and for each element of the gradient, which asks who read it.

Elements are only moved forward: the kernels see them as integers of their size. Where a place reads from is
worked out from pad_modes.py as it comes; that of a thread's row and column once.
"""

import numpy as np

from .. import pad_modes
from .maps import computed, raw
from .planes import TOGETHER, define_planes, i32, over_planes, planes_of
from .target import device, kernel

_source, _kept = device(pad_modes.source), device(pad_modes.kept)
CONSTANT, REFLECT, REPLICATE, CIRCULAR = range(4)


def _check(padded, plain, fronts, mode):
    if not CONSTANT <= mode <= CIRCULAR:
        raise ValueError("pad: expected mode 0 .. 3")
    for places, size, front in zip(padded.shape[1:], plain.shape[1:], fronts, strict=True):
        low, high = pad_modes.kept(size, places, front)
        pad_modes.check_padding(size, places, front, high - low, mode)


@device
def _read(o, size, padded, front, mode):
    """The element that a place reads; -1: none."""
    low, high = _kept(size, padded, front)
    return i32(_source(i32(o - front), size, i32(low), i32(high), mode))


SIZES = """
depth, height, width = i32(x.shape[1]), i32(x.shape[2]), i32(x.shape[3])
planes, depths, rows, columns = y.shape[0], i32(y.shape[1]), i32(y.shape[2]), i32(y.shape[3])
"""
BODY = """
a# = _read(i#, depth, depths, front_d, mode)
v# = x[p#, a#, b, c] if a# >= 0 and b >= 0 and c >= 0 else value
"""
define_planes(
    globals(),
    "_pad",
    "y, x, front_d, front_h, front_w, mode, value",
    SIZES,
    BODY,
    "y[p#, i#, j, k] = v#",
    of_column="c = _read(k, width, columns, front_w, mode)",
    of_row="b = _read(j, height, rows, front_h, mode)",
)


@kernel(half=True)
def pad_forward(y, x, front_d, front_h, front_w, mode, value, stream=0):
    """One launch."""
    fronts = front_d, front_h, front_w
    _check(y, x, fronts, mode)
    constant = np.array(np.float64(value)).astype(y.dtype).view(raw(y).dtype)[()]
    P, OD, OH, OW = y.shape
    args = raw(y), raw(x), *map(np.int32, (*fronts, mode)), constant
    over_planes(_pad, P * OD, OH, OW, stream, *args)  # noqa: F821


@device
def _readers(e, size, padded, front, mode):
    """The places that read element e: its own and how many that is, the first in front of x, the first behind ..."""
    low, high = _kept(size, padded, front)
    # places lie from -front to here, counted from the first element
    end = i32(padded - front)
    own = i32(1) if low <= e and e < high and -front <= e and e < end else i32(0)
    first = last = before = after = i32(0)
    if mode == REPLICATE:
        first, last = i32(-front), i32(max(size, -front))
        if e == 0:
            before = i32(max(min(0, end) + front, 0))
        if e == size - 1:
            after = i32(max(end - last, 0))
    elif mode != CONSTANT:
        if mode == REFLECT:
            first, last = i32(-e), i32(2 * (size - 1) - e)
            low, high = size - size, size
        else:
            first, last = i32(e - (high - low)), i32(e + (high - low))
        if first < low and first >= -front and first < end:
            before = i32(1)
        if last >= high and last >= -front and last < end:
            after = i32(1)
    return i32(e + front), own, i32(first + front), before, i32(last + front), after


@device
def _reader(places, n):
    """The n-th of the places that read an element."""
    own, mine, first, before, last, _ = places
    if n < mine:
        return own
    n = i32(n - mine)
    return i32(first + n) if n < before else i32(last + n - before)


@device
def _count(places):
    return i32(places[1] + places[3] + places[5])


SIZES = "planes = dx.shape[0]"
DEEP = """
deep_ones = _readers({i}, depths, OD, front_d, mode)
deep = _count(deep_ones)
"""
GRADIENT = """
total# = zero
a = i32(0)
while a < deep:
    d = _reader(deep_ones, a)
    b = i32(0)
    while b < down:
        line = i32((d * OH + _reader(high_ones, b)) * OW)
        c = i32(0)
        while c < across:
            at = u32(line + _reader(wide_ones, c))
            v# = wide(dy[u32(p#), at])
            total# += v#
            c = i32(c + 1)
        b = i32(b + 1)
    a = i32(a + 1)
"""
ACROSS = """
wide_ones = _readers(k, columns, OW, front_w, mode)
across = _count(wide_ones)
"""
DOWN = """
high_ones = _readers(j, rows, OH, front_h, mode)
down = _count(high_ones)
"""
ARGUMENTS = "dx, dy, depths, rows, columns, OD, OH, OW, front_d, front_h, front_w, mode, zero"
STORE = "dx[u32(p#), u32((i# * rows + j) * columns + k)] = narrow(dx, total#)"
# planes of one depth, several at a time; or each slice by itself
define_planes(
    globals(), "_flat", ARGUMENTS, SIZES, GRADIENT, STORE, ACROSS, DOWN + DEEP.format(i=0).lstrip(), flat=True
)
_body = DEEP.format(i="i0") + GRADIENT.lstrip()
define_planes(globals(), "_solid", ARGUMENTS, SIZES, _body, STORE, ACROSS, DOWN, together=1)


@kernel(half=True)
def pad_backward(dx, dy, front_d, front_h, front_w, mode, stream=0):
    """One launch: an element adds its own place, then those in front, then those behind."""
    fronts = front_d, front_h, front_w
    _check(dy, dx, fronts, mode)
    P, ID, IH, IW = dx.shape
    function = _flat if ID == 1 and P >= TOGETHER else _solid  # noqa: F821
    numbers = *dx.shape[1:], *dy.shape[1:], *fronts, mode
    args = planes_of(dx), planes_of(dy), *map(np.int32, numbers), computed(dx.dtype)(0)
    over_planes(function, P * ID, IH, IW, stream, *args)
