"""Maps of two operands that reach their elements through strides of the result's four axes: broadcasts, and halves.

Arguments of such a kernel are results, operands that lie as the results do, a, b and six numbers, each of two integers
of 32 bits: sizes of axes, and strides. A thread finds the place of four neighbours once, with 32-bit divisions. Where
rows are whole vectors, an operand has a vector there or one number; else its elements are found one by one.
"""

import functools
import math

import numpy as np

from .maps import define_map, launch_map
from .ptx import aligned, quotient, wide
from .target import device

AXES = 4
# indices are of 32 bits
MOST = 2**31
# what four neighbours of the result are of a and of b
ANYTHING, VECTORS, VECTOR_AND_NUMBER, NUMBER_AND_VECTOR = range(4)
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
def one4(x, at):
    value = wide(x[at])
    return value, value, value, value


@device
def spread4(x, at, i, n, place, sizes, row, outer, inner):
    """An operand at elements i .. i + 3 of the result; beyond the n-th it is some other element."""
    step = high(inner)
    if place[3] + 4 <= low(row):
        return wide(x[at]), wide(x[at + step]), wide(x[at + 2 * step]), wide(x[at + 3 * step])
    # a row ends among them
    last = n - 1
    at1 = offset(place_of(min(i + 1, last), sizes, row), outer, inner)
    at2 = offset(place_of(min(i + 2, last), sizes, row), outer, inner)
    at3 = offset(place_of(min(i + 3, last), sizes, row), outer, inner)
    return wide(x[at]), wide(x[at1]), wide(x[at2]), wide(x[at3])


def _vector(x):
    return f"load4(of_{x}, at_{x}{{part}})"


def _number(x):
    return f"one4(of_{x}, at_{x}{{part}})"


def _any(x):
    return f"spread4(of_{x}, at_{x}{{part}}, i{{part}}, n, place{{part}}, sizes, row, {x}_outer, {x}_inner)"


BEFORE = [
    "place{part} = group(i{part}, n, sizes, row)",
    "at_a{part} = offset(place{part}, a_outer, a_inner)",
    "at_b{part} = offset(place{part}, b_outer, b_inner)",
]
FAST = [
    (f"whole and high(row) == {VECTORS}", {"a": _vector("a"), "b": _vector("b")}),
    (f"whole and high(row) == {VECTOR_AND_NUMBER}", {"a": _vector("a"), "b": _number("b")}),
    (f"whole and high(row) == {NUMBER_AND_VECTOR}", {"a": _number("a"), "b": _vector("b")}),
]
SLOW = {"a": _any("a"), "b": _any("b")}


def define_spread(namespace, name, results, operands=(), called=()):
    """namespace[name]: as define_map, of operands beside which there are a and b."""
    scope = {"group": group, "offset": offset, "high": high, "one4": one4, "spread4": spread4, **dict(called)}
    ways = {"parameters": PARAMETERS, "before": BEFORE, "fast": FAST, "slow": SLOW}
    return define_map(namespace, name, results, [*operands, "a", "b"], called=scope, **ways)


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
    one_row = len(axes) <= 1
    axes = [(1, 0, 0)] * (AXES - len(axes)) + axes
    (_, n1, n2, n3), a, b = zip(*axes, strict=True)
    ways = tuple(_way(s, on_boundary) for s, on_boundary in ((a, aligned_a), (b, aligned_b)))
    modes = {
        ("vector", "vector"): VECTORS,
        ("vector", "number"): VECTOR_AND_NUMBER,
        ("number", "vector"): NUMBER_AND_VECTOR,
    }
    mode = modes.get(ways, ANYTHING) if one_row or n3 % 4 == 0 else ANYTHING
    numbers = (n1, n2), (n3, mode), a[:2], a[2:], b[:2], b[2:]
    return alike, tuple(pair(*two) for two in numbers)


def _way(strides, on_boundary):
    """What four neighbours of the result, in one row, are of an operand."""
    if strides[3] == 0:
        return "number"
    return "vector" if on_boundary and strides[3] == 1 and all(s % 4 == 0 for s in strides[:3]) else ""


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
        launch_map(function, stream, *flat, a, b, *numbers)


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
