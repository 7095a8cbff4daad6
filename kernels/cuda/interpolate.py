"""Resampling by tables: a thread for each result, which adds up the elements that its three tables name.

What the column's table says is read once for all rows and planes of a thread, where a result has 1, 2 or 4 columns:
nearest, linear and cubic. Backward, an element looks at the results that may look at it (windows.py), always in the
same order, and adds the shares that it has in them.
"""

from . import status
from .maps import computed
from .planes import TOGETHER, define_planes, i32, over_planes, planes_of
from .ptx import wide
from .target import device, kernel
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


SIZES = """
planes, depths, rows, columns = y.shape[0], i32(taps_d.shape[1]), taps_h.shape[1], taps_w.shape[1]
A, B, C = i32(taps_d.shape[0]), i32(taps_h.shape[0]), i32(taps_w.shape[0])
"""
KEEP = "t{n}, w{n} = _tap(taps_w, {n}, k, width, problem), wide(weights_w[{n}, k])\n"
RESAMPLE = """
total#, a = zero, i32(0)
while a < A:
    d, b = _tap(taps_d, a, {i}, depth, problem), i32(0)
    while b < B and d >= 0:
        h = _tap(taps_h, b, j, height, problem)
        if h >= 0:
            share, line = wide(weights_d[a, {i}]) * wide(weights_h[b, j]), i32((d * height + h) * width)
            {add}
        b = i32(b + 1)
    a = i32(a + 1)
"""
ADD = """if t{n} >= 0:
                v# = wide(x[u32(p#), u32(line + t{n})])
                total# += share * w{n} * v#
            """
EACH = """c = i32(0)
            while c < C:
                t = _tap(taps_w, c, k, width, problem)
                if t >= 0:
                    w = share * wide(weights_w[c, k])
                    v# = wide(x[u32(p#), u32(line + t)])
                    total# += w * v#
                c = i32(c + 1)"""
ARGUMENTS = "y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, depth, height, width, zero, problem"
STORE = "y[u32(p#), u32((i# * rows + j) * columns + k)] = narrow(y, total#)"
# planes of one depth, several at a time; or each slice by itself
for _name, _i, _together in (("flat", "0", TOGETHER), ("solid", "i0", 1)):
    for _count in (*KEPT, 0):
        _add = "".join(ADD.format(n=n) for n in range(_count)).rstrip() or EACH
        _keep = "".join(KEEP.format(n=n) for n in range(_count))
        _body = RESAMPLE.format(i=_i, add=_add)
        define_planes(
            globals(),
            f"_{_name}_{_count}",
            ARGUMENTS,
            SIZES,
            _body,
            STORE,
            of_column=_keep,
            together=_together,
            flat=_together > 1,
        )


@kernel(half=True)
def interpolate_forward(y, x, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, stream=0):
    """One launch."""
    tables = taps_d, weights_d, taps_h, weights_h, taps_w, weights_w
    _check(tables)
    kept = taps_w.shape[0]
    P, OD, OH, OW = y.shape
    arrays, sizes = map(planes_of, (y, x)), map(i32, x.shape[1:])
    kind = "flat" if OD == 1 and P >= TOGETHER else "solid"
    function = globals()[f"_{kind}_{kept if kept in KEPT else 0}"]
    over_planes(function, P * OD, OH, OW, stream, *arrays, *tables, *sizes, computed(x.dtype)(0), status.word())


@device
def _share(taps, weights, o, e, zero):
    """What element e counts for in result o."""
    share, k = zero, i32(0)
    while k < taps.shape[0]:
        if taps[k, o] == e:
            share += wide(weights[k, o])
        k = i32(k + 1)
    return share


@device
def _shares(taps, weights, first, end, e, zero):
    """Those in results first .. first + 3, before `end`: kept in registers."""
    return (
        _share(taps, weights, first, e, zero) if first < end else zero,
        _share(taps, weights, first + 1, e, zero) if first + 1 < end else zero,
        _share(taps, weights, first + 2, e, zero) if first + 2 < end else zero,
        _share(taps, weights, first + 3, e, zero) if first + 3 < end else zero,
    )


@device
def _of_result(shares, taps, weights, first, o, e, zero):
    """The share in result o."""
    n = o - first
    if n >= 4:
        return _share(taps, weights, o, e, zero)
    return (shares[0] if n == 0 else shares[1]) if n < 2 else (shares[2] if n == 2 else shares[3])


OF_INPUT = """
planes, OH, OW = dx.shape[0], i32(taps_h.shape[1]), i32(taps_w.shape[1])
"""
OF_COLUMN = """
w0, w1 = reach[depths + rows + k, 0], reach[depths + rows + k, 1]
of_columns = _shares(taps_w, weights_w, w0, w1, k, zero)
"""
OF_ROW = """
h0, h1 = reach[depths + j, 0], reach[depths + j, 1]
of_rows = _shares(taps_h, weights_h, h0, h1, j, zero)
"""
# what does not look at the element may be infinite
GRADIENT = """
d0, d1 = reach[{i}, 0], reach[{i}, 1]
total# = zero
a = d0
while a < d1:
    of_depth = _share(taps_d, weights_d, a, {i}, zero)
    b = h0
    while b < h1 and of_depth != zero:
        share = of_depth * _of_result(of_rows, taps_h, weights_h, h0, b, j, zero)
        line = i32((a * OH + b) * OW)
        c = w0
        while c < w1 and share != zero:
            of_width = _of_result(of_columns, taps_w, weights_w, w0, c, k, zero)
            if of_width != zero:
                v# = wide(dy[u32(p#), u32(line + c)])
                total# += share * of_width * v#
            c = i32(c + 1)
        b = i32(b + 1)
    a = i32(a + 1)
"""
SLOPES = "dx, dy, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, reach, depths, rows, columns, zero"
for _name, _i, _together in (("_gradient_flat", "0", TOGETHER), ("_gradient_solid", "i0", 1)):
    _store = "dx[u32(p#), u32((i# * rows + j) * columns + k)] = narrow(dx, total#)"
    _body = GRADIENT.format(i=_i)
    define_planes(
        globals(), _name, SLOPES, OF_INPUT, _body, _store, OF_COLUMN, OF_ROW, together=_together, flat=_together > 1
    )


@kernel(half=True)
def interpolate_backward(dx, dy, taps_d, weights_d, taps_h, weights_h, taps_w, weights_w, stream=0):
    """Two launches: which results may look at an element, and a pass over the gradient."""
    tables = taps_d, weights_d, taps_h, weights_h, taps_w, weights_w
    _check(tables)
    P, ID, IH, IW = dx.shape
    if dx.size:
        arrays = map(planes_of, (dx, dy))
        reach = reach_of_taps(stream, tables[::2], (ID, IH, IW))
        function = _gradient_flat if ID == 1 and P >= TOGETHER else _gradient_solid  # noqa: F821
        over_planes(
            function, P * ID, IH, IW, stream, *arrays, *tables, reach, *map(i32, (ID, IH, IW)), computed(dx.dtype)(0)
        )
