"""Maps of two operands that reach their elements through strides of the result's four axes: broadcasts, and halves.

Arguments of such a kernel are results, operands that lie as the results do, a, b and six numbers, each of two integers
of 32 bits: sizes of axes, and strides. A thread finds the place of four neighbours once, with 32-bit divisions; where
they lie in one row of an operand they are one vector, one number, or four steps from there.
"""

import functools
import math

import numpy as np

from .maps import TILE, define_map, launch_map
from .ptx import aligned, load4, quotient, wide
from .target import THREADS, device, launch

AXES = 4
# indices are of 32 bits
MOST = 2**31
BY_VECTORS_A, BY_VECTORS_B = 1, 2
PARAMETERS = ["sizes", "row", "a_outer", "a_inner", "b_outer", "b_inner"]


def pair(low, high):
    return low | high << 32


@device
def low(numbers):
    return np.int32(numbers & 0xFFFFFFFF)


@device
def high(numbers):
    return np.int32(numbers >> 32)


@device
def split(i, n):
    q = np.int32(quotient(i, n))
    return q, np.int32(i - q * n)


@device
def place_of(i, sizes, row):
    """The four indices of element i of the result."""
    rows, s = split(i, low(row))
    planes, r = split(rows, high(sizes))
    p, q = split(planes, low(sizes))
    return p, q, r, s


@device
def offset(place, outer, inner):
    p, q, r, s = place
    return np.int32(p * low(outer) + q * high(outer) + r * low(inner) + s * high(inner))


@device
def group(i, n, sizes, row):
    """The place of element i, or of the last four where i lies beyond."""
    return place_of(min(i, (n - 1) // 4 * 4), sizes, row)


@device
def take_spread(x, i, n, place, sizes, row, outer, inner, by_vectors):
    """An operand at elements i .. i + 3 of the result; beyond the n-th it is some other element."""
    at = offset(place, outer, inner)
    if by_vectors:
        return load4(x, at)
    step = high(inner)
    if place[3] + 4 <= low(row):
        if step == 0:
            value = wide(x[at])
            return value, value, value, value
        return wide(x[at]), wide(x[at + step]), wide(x[at + 2 * step]), wide(x[at + 3 * step])
    # a row ends among them
    last = n - 1
    at1 = offset(place_of(min(i + 1, last), sizes, row), outer, inner)
    at2 = offset(place_of(min(i + 2, last), sizes, row), outer, inner)
    at3 = offset(place_of(min(i + 3, last), sizes, row), outer, inner)
    return wide(x[at]), wide(x[at1]), wide(x[at2]), wide(x[at3])


def define_spread(namespace, name, results, operands=(), called=()):
    """namespace[name]: as define_map, of operands beside which there are a and b."""
    reach = "i{part}, n, place{part}, sizes, row"
    takes = {
        "a": f"take_spread(of_a, {reach}, a_outer, a_inner, high(row) & {BY_VECTORS_A} != 0)",
        "b": f"take_spread(of_b, {reach}, b_outer, b_inner, high(row) & {BY_VECTORS_B} != 0)",
    }
    before = ["place{part} = group(i{part}, n, sizes, row)"]
    scope = {"take_spread": take_spread, "group": group, "high": high, **dict(called)}
    return define_map(namespace, name, results, [*operands, "a", "b"], (), scope, takes, PARAMETERS, before)


def check_inside(x, shape, strides):
    """IndexError where strides lead out of a flat operand."""
    if 0 in shape:
        return
    if min(strides) < 0 or _extent(shape, strides) >= x.size:
        raise IndexError("broadcast: a stride leads out of an operand")


def _merged(shape, a_strides, b_strides):
    """(length, stride of a, stride of b) of each axis that is left, neighbours last."""
    axes: list = []
    for n, a, b in zip(shape, a_strides, b_strides, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == n * a and axes[-1][2] == n * b:
            n *= axes.pop()[0]
        axes.append((n, a, b))
    return axes


@functools.lru_cache(maxsize=1024)
def _plan(shape, a_strides, b_strides, aligned_a, aligned_b):
    """(whether all operands lie alike, the six numbers)."""
    axes = _merged(shape, a_strides, b_strides)
    alike = [axis[1:] for axis in axes] == [(1, 1)]
    axes = [(1, 0, 0)] * (AXES - len(axes)) + axes
    (_, n1, n2, n3), a, b = zip(*axes, strict=True)
    vectors = 0
    for bit, strides, on_boundary in ((BY_VECTORS_A, a, aligned_a), (BY_VECTORS_B, b, aligned_b)):
        # four neighbours of the result are always a vector of the operand
        if on_boundary and strides[3] == 1 and all(n % 4 == 0 for n in (n3, *strides[:3])):
            vectors |= bit
    return alike, tuple(pair(*two) for two in ((n1, n2), (n3, vectors), a[:2], a[2:], b[:2], b[2:]))


def start_spread(function, stream, flat, a, b, shape, a_strides, b_strides, same=None):
    """Launch a map of define_spread.

    flat       results and operands that lie as they do, flattened
    a, b       flat operands
    same       the map for operands that all lie alike
    """
    size = math.prod(shape)
    if size == 0:
        return
    if size >= MOST or max(_extent(shape, a_strides), _extent(shape, b_strides)) >= MOST:
        _start_parts(function, stream, flat, a, b, shape, a_strides, b_strides, same)
        return
    alike, numbers = _plan(tuple(shape), a_strides, b_strides, aligned(a), aligned(b))
    if same and alike:
        launch_map(same, stream, *flat, a[:size], b[:size])
    else:
        launch(function, -(-size // TILE), THREADS, stream, *flat, a, b, *numbers)


def _extent(shape, strides):
    return sum((n - 1) * s for n, s in zip(shape, strides, strict=True))


def _start_parts(function, stream, flat, a, b, shape, a_strides, b_strides, same):
    """Too many for 32 bits: the first axis that can be cut, in two."""
    axis = next(i for i, n in enumerate(shape) if n > 1)
    half, beyond = shape[axis] // 2, math.prod(shape[axis + 1 :])
    for begin, end in ((0, half), (half, shape[axis])):
        part = (*shape[:axis], end - begin, *shape[axis + 1 :])
        cut = [x[begin * beyond : end * beyond] for x in flat]
        shifted = a[begin * a_strides[axis] :], b[begin * b_strides[axis] :]
        start_spread(function, stream, cut, *shifted, part, a_strides, b_strides, same)
