"""Resampling by tables: a thread for each result, which adds up the elements that its three tables name.

What the column's table says is read once for all rows and planes of a thread, where a result has 1, 2 or 4 columns:
nearest, linear and cubic. Backward, an element looks at the results that may look at it (windows.py), always in the
same order, and adds the shares that it has in them.
"""

from .. import template
from . import status
from .maps import computed
from .planes import (
    column,
    column_step,
    first_slice,
    i32,
    over_planes,
    place_of,
    row,
    row_step,
    slice_step,
)
from .ptx import narrow, wide
from .target import device, jit, kernel
from .windows import reach_of_taps

# taps of a column that are kept in registers
KEPT = (1, 2, 4)


def _check(tables):
    if any(taps.shape[0] < 1 for taps in tables[::2]):
        raise ValueError("interpolate: expected a tap or more for each result")


@device
def _tap(taps, k, o, size, problem):
    """The element; -1: none."""
    t = taps[k, o]
    if t < 0 or t > size:
        problem[0] = status.TAP
        t = size
    return i32(t) if t < size else i32(-1)


_RESAMPLE = """
@jit
def _resample_{name}(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, zero, problem):
    depth, height, width = i32(x.shape[1]), i32(x.shape[2]), i32(x.shape[3])
    OD, rows, columns = i32(y.shape[1]), i32(y.shape[2]), i32(y.shape[3])
    slices = i32(y.shape[0] * y.shape[1])
    A, B, C = i32(taps_d.shape[0]), i32(taps_h.shape[0]), i32(taps_w.shape[0])
    k = column()
    while k < columns:
        {keep}
        j = row()
        while j < rows:
            s = first_slice()
            while s < slices:
                p, i = place_of(s, OD)
                total, a = zero, i32(0)
                while a < A:
                    d, b = _tap(taps_d, a, i, depth, problem), i32(0)
                    while b < B and d >= 0:
                        h = _tap(taps_h, b, j, height, problem)
                        if h >= 0:
                            share, part = wide(weights_d[a, i]) * wide(weights_h[b, j]), zero
                            {add}
                            total += share * part
                        b = i32(b + 1)
                    a = i32(a + 1)
                y[p, i, j, k] = narrow(y, total)
                s = i32(s + slice_step())
            j = i32(j + row_step())
        k = i32(k + column_step())
"""
_KEEP = "t{n}, w{n} = _tap(taps_w, {n}, k, width, problem), wide(weights_w[{n}, k])"
_ADD = "part += w{n} * wide(x[p, d, h, t{n}]) if t{n} >= 0 else zero"
for _count in KEPT:
    template.define(
        globals(),
        _RESAMPLE,
        name=_count,
        keep="; ".join(_KEEP.format(n=n) for n in range(_count)),
        add="; ".join(_ADD.format(n=n) for n in range(_count)),
    )
_EACH = """c = i32(0)
                            while c < C:
                                t = _tap(taps_w, c, k, width, problem)
                                part += wide(weights_w[c, k]) * wide(x[p, d, h, t]) if t >= 0 else zero
                                c = i32(c + 1)"""
template.define(globals(), _RESAMPLE, name="any", keep="", add=_EACH)


@kernel(half=True)
def interpolate_forward(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, stream=0):
    """One launch."""
    tables = taps_d, weights_d, taps_h, weights_h, taps_w, weights_w
    _check(tables)
    kept = taps_w.shape[0]
    function = globals()[f"_resample_{kept if kept in KEPT else 'any'}"]
    P, OD, OH, OW = y.shape
    over_planes(function, P * OD, OH, OW, stream, y, x, *tables, computed(x.dtype)(0), status.word())


@device
def _share(taps, weights, o, e, zero):
    """What element e counts for in result o."""
    share, k = zero, i32(0)
    while k < taps.shape[0]:
        if taps[k, o] == e:
            share += wide(weights[k, o])
        k = i32(k + 1)
    return share


@jit
def _gradient(dx, dy, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, reach, zero):
    depth, rows, columns = i32(dx.shape[1]), i32(dx.shape[2]), i32(dx.shape[3])
    slices = i32(dx.shape[0] * dx.shape[1])
    k = column()
    while k < columns:
        w0, w1 = reach[depth + rows + k, 0], reach[depth + rows + k, 1]
        j = row()
        while j < rows:
            h0, h1 = reach[depth + j, 0], reach[depth + j, 1]
            s = first_slice()
            while s < slices:
                p, i = place_of(s, depth)
                d0, d1 = reach[i, 0], reach[i, 1]
                total = zero
                a = d0
                while a < d1:
                    of_depth = _share(taps_d, weights_d, a, i, zero)
                    b = h0
                    while b < h1 and of_depth != zero:
                        share = of_depth * _share(taps_h, weights_h, b, j, zero)
                        c = w0
                        while c < w1 and share != zero:
                            of_width = _share(taps_w, weights_w, c, k, zero)
                            # what does not look at the element may be infinite
                            if of_width != zero:
                                total += share * of_width * wide(dy[p, a, b, c])
                            c = i32(c + 1)
                        b = i32(b + 1)
                    a = i32(a + 1)
                dx[p, i, j, k] = narrow(dx, total)
                s = i32(s + slice_step())
            j = i32(j + row_step())
        k = i32(k + column_step())


@kernel(half=True)
def interpolate_backward(dx, dy, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, stream=0):
    """Two launches: which results may look at an element, and a pass over the gradient."""
    tables = taps_d, weights_d, taps_h, weights_h, taps_w, weights_w
    _check(tables)
    P, ID, IH, IW = dx.shape
    if dx.size:
        reach = reach_of_taps(stream, tables[::2], (ID, IH, IW))
        over_planes(_gradient, P * ID, IH, IW, stream, dx, dy, *tables, reach, computed(dx.dtype)(0))
