"""Windows of pooling on the device: read, checked, and turned round for gradients that are gathered.

A thread that reads a window refuses what reaches beyond the input, by the word of status.py, and takes it for empty:
no memory beyond an array is touched. Gradients want to know of each element of an axis which windows may hold it:
`reach` tells the first and the one past the last. Where windows rise, which all but foreign tables do, they are found
by halving; otherwise by looking at all.
"""

import numpy as np

from .. import template
from . import status
from .planes import TOGETHER, i32, quotient
from .target import THREADS, WARP, device, empty, launch
from .target import cuda as cuda  # for what the template says, as the next
from .target import jit as jit


def check_shapes(planes, tables):
    """Tables are for each plane or for all."""
    for table in tables:
        if table.shape[0] not in (1, planes):
            raise ValueError("pool: a window does not lie in the input")


def alike(y, tables):
    """Whether slices have the same windows, and are enough to be taken several at a time."""
    return y.shape[1] == 1 and y.shape[0] >= TOGETHER and all(t.shape[0] == 1 for t in tables)


@device
def window(table, p, o, size, problem):
    """(first, end, third number) of window o of plane p; empty where it does not lie in the input."""
    q = p if table.shape[0] > 1 else 0
    first, end, third = table[q, o, 0], table[q, o, 1], table[q, o, 2]
    if first < 0 or end < first or end > size:
        problem[0] = status.WINDOW
        first = end = 0
    return i32(first), i32(end), i32(third)


@device
def step_of(third, problem):
    """The third number as a step."""
    if third < 1:
        problem[0] = status.STEP
        return i32(1)
    return third


@device
def _of_windows(table, q, o, size, stepped, problem):
    first, end = table[q, o, 0], table[q, o, 1]
    if first < 0 or end < first or end > size:
        problem[0] = status.WINDOW
    elif stepped and table[q, o, 2] < 1:
        problem[0] = status.STEP
    return first, end


@device
def _of_taps(taps, q, o, size, stepped, problem):
    """The elements that result o looks at, as a window."""
    first, end = size, size - size
    for k in range(taps.shape[0]):
        t = taps[k, o]
        if t < 0 or t > size:
            problem[0] = status.TAP
        elif t < size:
            first, end = min(first, t), max(end, t + 1)
    return min(first, end), end


_SEARCH = """
@device
def _search_{kind}(reach, at, table, q, size, stepped, problem):
    '''reach[at + i] = the windows that may hold element i, for all elements of an axis.'''
    count, rising = table.shape[1], True
    o = cuda.threadIdx.x
    while o < count:
        first, end = _of_{kind}(table, q, o, size, stepped, problem)
        if o > 0:
            before, last = _of_{kind}(table, q, o - 1, size, stepped, problem)
            if first < before or end < last:
                rising = False
        o += cuda.blockDim.x
    rising = cuda.syncthreads_and(i32(1) if rising else i32(0)) != 0
    i = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while i < size:
        if rising:
            # the first that ends behind i, and the first that begins behind it
            low, high, top = 0, 0, count
            while low < top:
                middle = (low + top) >> 1
                if _of_{kind}(table, q, middle, size, stepped, problem)[1] > i:
                    top = middle
                else:
                    low = middle + 1
            high, top = low, count
            while high < top:
                middle = (high + top) >> 1
                if _of_{kind}(table, q, middle, size, stepped, problem)[0] > i:
                    top = middle
                else:
                    high = middle + 1
        else:
            low, high = count, 0
            for o in range(count):
                first, end = _of_{kind}(table, q, o, size, stepped, problem)
                if first <= i and i < end:
                    low, high = min(low, o), o + 1
        reach[at + i, 0], reach[at + i, 1] = low, high
        i += cuda.gridDim.y * cuda.blockDim.x


@jit
def _reach_{kind}(reach, depth, height, width, D, H, W, stepped, problem):
    '''A block for a table of an axis and a stretch of its elements.'''
    r, Q, R = cuda.blockIdx.x, {tables}
    if r < Q:
        at, table, q, size = r * D, depth, r, D
    elif r < Q + R:
        at, table, q, size = Q * D + (r - Q) * H, height, r - Q, H
    else:
        q = r - Q - R
        at, table, size = Q * D + R * H + q * W, width, W
    _search_{kind}(reach, at, table, q, size, stepped, problem)
"""
template.define(globals(), _SEARCH, kind="windows", tables="depth.shape[0], height.shape[0]")
template.define(globals(), _SEARCH, kind="taps", tables="1, 1")


def _reach(function, stream, counts, tables, sizes, stepped):
    rows = sum(count * size for count, size in zip(counts, sizes, strict=True))
    reach = empty((rows, 2), np.int32)
    stretches = min(-(-max(sizes) // THREADS), 1024)
    launch(function, (sum(counts), stretches), THREADS, stream, reach, *tables, *sizes, stepped, status.word())
    return reach


def reach_of_windows(stream, tables, sizes, stepped):
    """(n, 2): of each element along depth, then height, then width: the first window of it, and one past the last."""
    return _reach(_reach_windows, stream, [t.shape[0] for t in tables], tables, sizes, stepped)  # noqa: F821


def reach_of_taps(stream, taps, sizes):
    """The same of the results that look at an element."""
    return _reach(_reach_taps, stream, [1, 1, 1], taps, sizes, False)  # noqa: F821


@device
def reached(reach, before, table, p, size, i):
    """Windows of plane p that may hold element i of an axis; `before`: rows of `reach` of the axes before it."""
    at = before + (p if table.shape[0] > 1 else 0) * size + i
    return reach[at, 0], reach[at, 1]


# elements of the input for each output from which on a warp shares a window
LARGE = 4 * WARP


def large(x, y):
    """Whether windows are so large that a warp shares one."""
    return x.size >= LARGE * y.size


@device
def output_of(o, depths, rows, columns):
    """(plane, depth, row, column) of a flat index, where a warp asks."""
    r = quotient(o, columns)
    s = quotient(r, rows)
    p = quotient(s, depths)
    return p, i32(s - p * depths), i32(r - s * rows), i32(o - r * columns)


@device
def ahead(a, b, c, more, widths, heights):
    """The element of a window that is `more` = (depths, rows, columns) behind (a, b, c)."""
    a, b, c = i32(a + more[0]), i32(b + more[1]), i32(c + more[2])
    if c >= widths:
        b, c = i32(b + 1), i32(c - widths)
    if b >= heights:
        a, b = i32(a + 1), i32(b - heights)
    return a, b, c


@device
def parts_of(n, widths, heights):
    """(depths, rows, columns) of n elements of a window."""
    widths, heights = max(widths, i32(1)), max(heights, i32(1))
    rows = quotient(n, widths)
    depths = quotient(rows, heights)
    return depths, i32(rows - depths * heights), i32(n - rows * widths)
