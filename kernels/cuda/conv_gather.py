"""Images and results as operands of products: an element, or 16 bytes, wherever its tap sees it.

Either as they lie, channels before places, copied an element at a time, where neighbours in a warp are neighbouring
places; nothing is rearranged beforehand. Or rearranged to channels last (conv_layout.py), for tensor cores, which want
16 bytes at a time. The depth of a product is (channel, tap) or (tap, channel), or the places of all images for the
gradient of the weight. It is taken apart by multiplications with reciprocals, and where a tap sees is checked along
each axis.
"""

import math

import numpy as np

from ..template import define
from .conv_geometry import divided, high, inside, low, over, pairs, reciprocal
from .conv_layout import Held
from .target import device
from .tile import DEPTH, LINES, Operand
from .tile_launch import Side

# what the templates below use
__all__ = ["device", "divided", "given", "high", "inside", "low", "over", "seen", "tapped"]


def _words(count):
    return tuple(f"n{i}" for i in range(count))


# lines are places of a lattice, the depth is what they see of a group. {deep}: whether there are three dimensions;
# {last}: whether channels lie last
SEEN = """
@device
def {name}_begin(g, {words}):
    return np.int64(g) * low(n0)


@device
def {name}_line(i, {words}):
    lines, width, height = high(n0), low(n1), high(n1)
    i = np.int32(i if i < lines else 0)
    rest = divided(i, width)
    x = np.int32((i - rest * width) * low(n4) + high(n2))
    image = divided(rest, height)
    y = np.int32((rest - image * height) * high(n3) + low(n3))
    z = np.int32(0)
    if {deep}:
        plane, depth = image, low(n5)
        image = divided(plane, depth)
        z = np.int32((plane - image * depth) * high(n5) + high(n4))
    # what the first tap sees: its offset, and its place along each axis
    offset = np.int32((z * low(n6) + y) * high(n6) + x)
    if {last}:
        offset = np.int32(offset * low(n11))
    return np.int32(image * low(n2) + offset), z, y, x


@device
def {name}_place(state, k, {words}):
    offset, z, y, x = state
    height, width = low(n6), high(n6)
    outer = over(k, n12)
    inner = np.int32(k - outer * low(n7))
    channel, tap = outer, inner
    if {last}:
        channel, tap = inner, outer
    there = k < high(n7)
    planes = np.int32(0) if {last} else channel
    if {deep}:
        depth_tap = over(tap, n14)
        tap = np.int32(tap - depth_tap * low(n8))
        back = np.int32(depth_tap * high(n10))
        there = there & inside(z + back, low(n10))
        planes = np.int32(planes * low(n10) + back)
    row_tap = over(tap, n13)
    down, right = np.int32(row_tap * low(n9)), np.int32((tap - row_tap * high(n8)) * high(n9))
    there = there & inside(y + down, height) & inside(x + right, width)
    moved = np.int32((planes * height + down) * width + right)
    if {last}:
        moved = np.int32(moved * low(n11) + channel)
    return np.int32(offset + moved) if there else np.int32(-1)
"""

# the gradient of the result: lines are channels of a group, the depth is places of all images
GIVEN = """
@device
def {name}_begin(g, {words}):
    return np.int64(g) * low(n0)


@device
def {name}_line(i, {words}):
    i = np.int32(i if i < high(n0) else 0)
    return i if {last} else np.int32(i * low(n1))


@device
def {name}_place(state, k, {words}):
    if {last}:
        at = k * low(n1)
    else:
        at = over(k, n3) * (low(n2) - low(n1)) + k
    return np.int32(state + at) if k < high(n1) else np.int32(-1)
"""

# the image through taps: lines are (channel, tap), channels last (tap, channel); the depth is places of all images
TAPPED = """
@device
def {name}_begin(g, {words}):
    return np.int64(g) * low(n0)


@device
def {name}_line(i, {words}):
    i = np.int32(i if i < high(n0) else 0)
    outer = over(i, n12)
    inner = np.int32(i - outer * low(n1))
    channel, tap = outer, inner
    if {last}:
        channel, tap = inner, outer
    z, planes = np.int32(0), np.int32(0) if {last} else channel
    if {deep}:
        depth_tap = over(tap, n14)
        tap = np.int32(tap - depth_tap * high(n1))
        z = np.int32(depth_tap * low(n3) - high(n4))
        planes = np.int32(planes * low(n6) + z)
    row_tap = over(tap, n13)
    y = np.int32(row_tap * high(n3) - low(n5))
    x = np.int32((tap - row_tap * low(n2)) * low(n4) - high(n5))
    offset = np.int32((planes * high(n6) + y) * low(n7) + x)
    if {last}:
        offset = np.int32(offset * high(n11) + channel)
    return offset, z, y, x


@device
def {name}_place(state, k, {words}):
    offset, z, y, x = state
    height, width = high(n6), low(n7)
    image = over(k, n15)
    place = np.int32(k - image * high(n7))
    there = k < low(n9)
    back = np.int32(0)
    if {deep}:
        plane = over(place, n17)
        place = np.int32(place - plane * low(n8))
        back = np.int32(plane * high(n9))
        there = there & inside(z + back, low(n6))
    row = over(place, n16)
    down, right = np.int32(row * low(n10)), np.int32((place - row * high(n8)) * high(n10))
    there = there & inside(y + down, height) & inside(x + right, width)
    moved = np.int32((back * height + down) * width + right)
    if {last}:
        moved = np.int32(moved * high(n11))
    return np.int32(offset + image * high(n2) + moved) if there else np.int32(-1)
"""


def _operand(source, name, contiguous, count, **flags):
    define(globals(), source, name=name, words=", ".join(_words(count)), **flags)
    functions = (globals()[f"{name}_{part}"] for part in ("begin", "line", "place"))
    return Operand(name, contiguous, _words(count), *functions)


def _operands(source, name, first, then, count):
    """By (deep, last); first, then: what is contiguous as it lies, and with channels last."""
    return {
        (deep, last): _operand(
            source, f"{name}_{int(deep)}{int(last)}", then if last else first, count, deep=deep, last=last
        )
        for deep in (False, True)
        for last in (False, True)
    }


_SEEN, _TAPPED = _operands(SEEN, "seen", LINES, DEPTH, 15), _operands(TAPPED, "tapped", DEPTH, LINES, 18)
_GIVEN = {last: _operand(GIVEN, f"given_{int(last)}", LINES if last else DEPTH, 4, last=last) for last in (False, True)}


def _side(held, operand, words):
    return Side(held.flat, operand, tuple(map(np.int64, words)), held.last)


def seen(held: Held, sizes, lattice, images):
    """The Side of columns: an image or result of these sizes as places of the lattice see it."""
    (ld, lh, lw), (nd, nh, nw), taps = lattice.counts, lattice.taps, lattice.tap_count
    (oz, oy, ox), (az, ay, ax), (mz, my, mx) = lattice.origin, lattice.advance, lattice.move
    plane, inner = math.prod(sizes), held.group if held.last else taps
    words = pairs(
        held.group * (1 if held.last else plane), images * lattice.places, lw, lh, held.channels * plane, ox, oy, ay,
        ax, oz, ld, az, sizes[1], sizes[2], inner, held.group * taps, nh * nw, nw, my, mx, sizes[0], mz, held.channels,
    )  # fmt: skip
    reciprocals = (reciprocal(max(1, n)) for n in (inner, nw, nh * nw))
    deep = not sizes[0] == ld == nd == 1
    return _side(held, _SEEN[deep, held.last], (*words, *reciprocals))


def given(held: Held, geometry):
    """The Side of rows for the gradient of the weight: the gradient of the result."""
    g = geometry
    places = math.prod(g.result)
    group, step = (1, held.channels) if held.last else (places, places)
    words = pairs(held.group * group, held.group, step, g.places, held.channels * places, 0)
    return _side(held, _GIVEN[held.last], (*words, reciprocal(places)))


def tapped(held: Held, geometry):
    """The Side of columns for it: the image as taps see it."""
    g = geometry
    (_, kh, kw), (_, oh, ow), (dd, dh, dw), (pd, ph, pw) = g.taps, g.result, g.dilations, g.paddings
    taps, plane, places = g.tap_count, math.prod(g.image), math.prod(g.result)
    inner = held.group if held.last else taps
    words = pairs(
        held.group * (1 if held.last else plane), held.group * taps, inner, kh * kw, kw, held.channels * plane, dd, dh,
        dw, pd, ph, pw, *g.image, places, oh * ow, ow, g.places, *g.strides, 0, held.channels,
    )  # fmt: skip
    reciprocals = map(reciprocal, (inner, kw, kh * kw, places, ow, oh * ow))
    deep = not g.image[0] == g.result[0] == g.taps[0] == 1
    return _side(held, _TAPPED[deep, held.last], (*words, *reciprocals))
