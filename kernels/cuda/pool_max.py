"""Max pooling: a thread for each output and for each element of the gradient, a warp for an output of a large window.

Backward, an element asks the windows that may hold it whether it is theirs (windows.py), so that nothing is scattered.
"""

import numpy as np

from . import status
from .maps import computed
from .planes import define_planes, i32, over_planes, planes_of, quotient
from .ptx import narrow, shuffle_xor, wide
from .target import BLOCKS, THREADS, WARP, cuda, device, jit, kernel, launch
from .windows import (
    ahead,
    alike,
    check_shapes,
    large,
    output_of,
    parts_of,
    reach_of_windows,
    step_of,
    window,
)
from .windows import reached as reached  # for the lines below

WINDOWS = """
d0, d1, ds = window(windows_d, {p}, {i}, depth, problem)
h0, h1, hs = window(windows_h, {p}, j, height, problem)
w0, w1, ws = window(windows_w, {p}, k, width, problem)
ds, hs, ws = step_of(ds, problem), step_of(hs, problem), step_of(ws, problem)
"""
# of equals the first stays, of NaNs the last
LARGEST = """
best#, found# = low, i32(-1)
a = d0
while a < d1:
    b = h0
    while b < h1:
        line = i32((a * height + b) * width)
        c = w0
        while c < w1:
            at = i32(line + c)
            v# = wide(x[u32(p#), u32(at)])
            better# = (v# > best#) | (v# != v#) | ((found# < 0) & (not rectified))
            best#, found# = v# if better# else best#, at if better# else found#
            c = i32(c + ws)
        b = i32(b + hs)
    a = i32(a + ds)
"""
INDICES = """
if indices.size > 0:
    if s + # * along < slices: indices[u32(p#), u32((i# * rows + j) * columns + k)] = found#
"""
SIZES = """
planes, depths, rows, columns = y.shape[0], i32(windows_d.shape[1]), windows_h.shape[1], windows_w.shape[1]
"""
ARGUMENTS = "y, indices, x, windows_d, windows_h, windows_w, depth, height, width, low, rectified, problem"
STORE = "y[u32(p#), u32((i# * rows + j) * columns + k)] = narrow(y, best#)"
# all planes have the same windows, of one depth; or each slice its own
define_planes(
    globals(),
    "_largest",
    ARGUMENTS,
    SIZES,
    LARGEST + INDICES.lstrip(),
    STORE,
    of_row=WINDOWS.format(p=0, i=0),
    flat=True,
)
OWN = WINDOWS.format(p="p0", i="i0")
define_planes(
    globals(), "_largest_of_own", ARGUMENTS, SIZES, OWN + (LARGEST + INDICES.lstrip()).lstrip(), STORE, together=1
)


@device
def _better(v, at, w, place):
    """Whether (w, place) beats (v, at): of equals the first, of NaNs the last; place -1: there is none."""
    if place < 0:
        return False
    if w != w:
        return v == v or place > at
    if v != v:
        return False
    return at < 0 or w > v or (w == v and place < at)


@jit
def _largest_of_many(y, indices, x, windows_d, windows_h, windows_w, low, rectified, problem):
    """A warp for each output: lanes stride over its window."""
    depth, height, width = i32(x.shape[1]), i32(x.shape[2]), i32(x.shape[3])
    OD, rows, columns = i32(y.shape[1]), i32(y.shape[2]), i32(y.shape[3])
    outputs = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    warps = cuda.blockDim.x // WARP
    lane, first = cuda.threadIdx.x % WARP, cuda.blockIdx.x * warps
    # all threads of a block come to the shuffles
    while first < outputs:
        o = min(first + cuda.threadIdx.x // WARP, outputs - 1)
        p, i, j, k = output_of(o, OD, rows, columns)
        d0, d1, ds = window(windows_d, p, i, depth, problem)
        h0, h1, hs = window(windows_h, p, j, height, problem)
        w0, w1, ws = window(windows_w, p, k, width, problem)
        ds, hs, ws = step_of(ds, problem), step_of(hs, problem), step_of(ws, problem)
        # elements along each axis
        deep, high = quotient(d1 - d0 + ds - 1, ds), quotient(h1 - h0 + hs - 1, hs)
        long = quotient(w1 - w0 + ws - 1, ws)
        a, b, c = parts_of(i32(lane), long, high)
        stride = parts_of(i32(WARP), long, high)
        best, found = low, i32(-1)
        while a < deep and high > 0 and long > 0:
            at = i32(((d0 + a * ds) * height + h0 + b * hs) * width + w0 + c * ws)
            v = wide(x[p, d0 + a * ds, h0 + b * hs, w0 + c * ws])
            if v > best or v != v or (found < 0 and not rectified):
                best, found = v, at
            a, b, c = ahead(a, b, c, stride, long, high)
        span = WARP // 2
        while span > 0:
            w, place = shuffle_xor(best, span), shuffle_xor(found, span)
            if _better(best, found, w, place):
                best, found = w, place
            span //= 2
        if lane == 0 and first + cuda.threadIdx.x // WARP < outputs:
            y[p, i, j, k] = narrow(y, best)
            if indices.size > 0:
                indices[p, i, j, k] = found
        first += cuda.gridDim.x * warps


@kernel(half=True)
def max_pool_forward(y, indices, x, windows_d, windows_h, windows_w, rectified, stream=0):
    """One launch; the input is read once where windows do not overlap, and from cache where they do."""
    tables = windows_d, windows_h, windows_w
    check_shapes(x.shape[0], tables)
    low = computed(x.dtype)(0 if rectified else -np.inf)
    if large(x, y):
        warps = THREADS // WARP
        grid = min(-(-y.size // warps), BLOCKS)
        launch(_largest_of_many, grid, THREADS, stream, y, indices, x, *tables, low, rectified, status.word())
        return
    P, OD, OH, OW = y.shape
    arrays, sizes = map(planes_of, (y, indices, x)), map(i32, x.shape[1:])
    function = _largest if alike(y, tables) else _largest_of_own  # noqa: F821
    over_planes(function, P * OD, OH, OW, stream, *arrays, *tables, *sizes, low, rectified, status.word())


REACH = """
d0, d1 = reached(reach, 0, windows_d, {p}, depths, {i})
h0, h1 = reached(reach, of_height, windows_h, {p}, rows, j)
w0, w1 = reached(reach, of_width, windows_w, {p}, columns, k)
"""
GRADIENT = """
me# = i32((i# * rows + j) * columns + k)
total# = zero
a = d0
while a < d1:
    b = h0
    while b < h1:
        line = i32((a * OH + b) * OW)
        c = w0
        while c < w1:
            at = u32(line + c)
            n#, g# = indices[u32(p#), at], wide(dy[u32(p#), at])
            total# += g# if n# == me# else zero
            c = i32(c + 1)
        b = i32(b + 1)
    a = i32(a + 1)
"""
OF_INPUT = """
planes, OH, OW = dx.shape[0], i32(windows_h.shape[1]), i32(windows_w.shape[1])
of_height = i32(windows_d.shape[0] * depths)
of_width = i32(of_height + windows_h.shape[0] * rows)
"""
SLOPES = "dx, dy, indices, windows_d, windows_h, windows_w, reach, depths, rows, columns, zero"
STORE = "dx[u32(p#), u32(me#)] = narrow(dx, total#)"
define_planes(globals(), "_gradient", SLOPES, OF_INPUT, GRADIENT, STORE, of_row=REACH.format(p=0, i=0), flat=True)
OWN = REACH.format(p="p0", i="i0")
define_planes(globals(), "_gradient_of_own", SLOPES, OF_INPUT, OWN + GRADIENT.lstrip(), STORE, together=1)


@kernel(half=True)
def max_pool_backward(dx, dy, indices, windows_d, windows_h, windows_w, stream=0):
    """Two launches: which windows may hold an element, and a pass over the gradient."""
    tables = windows_d, windows_h, windows_w
    check_shapes(dx.shape[0], tables)
    P, ID, IH, IW = dx.shape
    if dx.size:
        arrays = map(planes_of, (dx, dy, indices))
        reach = reach_of_windows(stream, tables, (ID, IH, IW), True)
        function = _gradient if alike(dx, tables) else _gradient_of_own  # noqa: F821
        over_planes(
            function, P * ID, IH, IW, stream, *arrays, *tables, reach, *map(i32, (ID, IH, IW)), computed(dx.dtype)(0)
        )
