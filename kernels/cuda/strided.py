"""Copies through strides: transposes, slices and broadcasts.

Axes are sorted as they lie in the result and merged where they lie behind each other on both sides, so that most copies
are of one or two axes. Then elements go in the order of the result; but where the neighbours on one side are not those
on the other, by square tiles through shared memory, which are read along one side and written along the other.
"""

import math

import numpy as np

from .maps import define_map, launch_map
from .ptx import quotient
from .target import SIMULATOR, THREADS, cuda, device, jit, launch

# the edge of a tile, and the rows of it that are moved at once: a thread has four elements
EDGE, LINES = (4, 1) if SIMULATOR else (32, 8)
# one more in a row: a column lies in as many banks as it has elements
PITCH = EDGE + 1
# elements of a thread that goes in the result's order
EACH = 4
# shorter axes are no tiles
SHORTEST = 2 if SIMULATOR else 8
# indices are of 32 bits
MOST = 2**31
AXES = 4

_dense = define_map(globals(), "_dense", {"y": "x"}, ["x"])


@device
def split(i, n):
    """i // n and i % n."""
    q = np.int32(quotient(i, n))
    return q, np.int32(i - q * n)


@device
def place_of(i, y):
    """The four indices of element i of an array."""
    rows, s = split(i, y.shape[3])
    if rows == 0:
        return np.int32(0), np.int32(0), np.int32(0), s
    planes, r = split(rows, y.shape[2])
    p, q = split(planes, y.shape[1])
    return p, q, r, s


@jit
def _elements(y, x):
    n = y.size
    i0 = cuda.blockIdx.x * (EACH * THREADS) + cuda.threadIdx.x
    i1, i2, i3 = i0 + THREADS, i0 + 2 * THREADS, i0 + 3 * THREADS
    if i0 < n:
        at0, at1 = place_of(i0, y), place_of(min(i1, n - 1), y)
        at2, at3 = place_of(min(i2, n - 1), y), place_of(min(i3, n - 1), y)
        v0, v1, v2, v3 = x[at0], x[at1], x[at2], x[at3]
        y[at0] = v0
        if i1 < n:
            y[at1] = v1
        if i2 < n:
            y[at2] = v2
        if i3 < n:
            y[at3] = v3


@jit
def _tiles(y, x):
    """Neighbours are along the last axis in y, along the one before it in x."""
    tile = cuda.shared.array((EDGE, PITCH), x.dtype)
    rows, columns = y.shape[2], y.shape[3]
    rest, left = split(cuda.blockIdx.x, (columns + EDGE - 1) // EDGE)
    planes, top = split(rest, (rows + EDGE - 1) // EDGE)
    p, q = split(planes, y.shape[1])
    across, down = cuda.threadIdx.x, cuda.threadIdx.y
    r, s = min(top * EDGE + across, rows - 1), left * EDGE + down
    v0 = x[p, q, r, min(s, columns - 1)]
    v1 = x[p, q, r, min(s + LINES, columns - 1)]
    v2 = x[p, q, r, min(s + 2 * LINES, columns - 1)]
    v3 = x[p, q, r, min(s + 3 * LINES, columns - 1)]
    tile[down, across] = v0
    tile[down + LINES, across] = v1
    tile[down + 2 * LINES, across] = v2
    tile[down + 3 * LINES, across] = v3
    cuda.syncthreads()
    s = left * EDGE + across
    for line in range(down, EDGE, LINES):
        r = top * EDGE + line
        if r < rows and s < columns:
            y[p, q, r, s] = tile[across, line]


def _axes(y, x):
    """(length, stride of y, stride of x) of each axis that is left, the nearest of y last."""
    given = zip(y.shape, y.strides, x.strides, strict=True)
    axes: list = []
    for n, to, of in sorted((a for a in given if a[0] != 1), key=lambda a: -abs(a[1])):
        if axes and axes[-1][1] == n * to and axes[-1][2] == n * of:
            n, to, of = axes.pop()[0] * n, to, of
        axes.append((n, to, of))
    return axes


def move(y, x, stream):
    """y = x, of one shape and any strides; an Array of integers each, of as many bytes as the elements have."""
    if y.size:
        _move(y, x, _axes(y, x), stream)


def _move(y, x, axes, stream):
    dense = [(a[1], a[2]) == (y.itemsize, x.itemsize) for a in axes]
    if len(axes) > AXES:
        (n, to, of), *rest = axes
        for i in range(n):
            _move(y.view_at(y.shape, y.strides, i * to), x.view_at(x.shape, x.strides, i * of), rest, stream)
        return
    if math.prod(n for n, _, _ in axes) >= MOST and dense != [True]:
        # too many for indices of 32 bits: in two
        longest = max(range(len(axes)), key=lambda k: axes[k][0])
        n, to, of = axes[longest]
        for begin, end in ((0, n // 2), (n // 2, n)):
            to_part, of_part = (a.view_at(a.shape, a.strides, begin * s) for a, s in ((y, to), (x, of)))
            part = [*axes[:longest], (end - begin, to, of), *axes[longest + 1 :]]
            _move(to_part, of_part, part, stream)
        return
    if len(axes) == 0 or dense == [True]:
        shape = [axes[0][0] if axes else 1]
        launch_map(_dense, stream, y.view_at(shape, [y.itemsize]), x.view_at(shape, [x.itemsize]))
        return
    steps = [abs(of) if of else math.inf for _, _, of in axes]
    near = steps.index(min(steps))
    tiled = near < len(axes) - 1 and min(axes[near][0], axes[-1][0]) >= SHORTEST
    if tiled:
        axes = [a for i, a in enumerate(axes[:-1]) if i != near] + [axes[near], axes[-1]]
    axes = [(1, 0, 0)] * (AXES - len(axes)) + axes
    shape, to, of = zip(*axes, strict=True)
    y, x = y.view_at(shape, to), x.view_at(shape, of)
    if tiled:
        tiles = math.prod(shape[:2]) * -(-shape[2] // EDGE) * -(-shape[3] // EDGE)
        launch(_tiles, tiles, (EDGE, LINES), stream, y, x)
    else:
        launch(_elements, -(-y.size // (EACH * THREADS)), THREADS, stream, y, x)
