"""Which places see through the same taps: convolution and its way back as one kind of product.

From image to result all places see through all taps. On the way back a place sees through those taps alone that hit it
by whole strides: places are sorted by their remainders, a lattice for each, and no tap is multiplied in vain. In a
lattice a place (counted along each axis) sees place * advance + origin + tap * move of the other side, where taps are
counted along those that it sees through.
"""

import itertools
import math
from typing import NamedTuple

from .conv_geometry import tap_step


class Lattice(NamedTuple):
    """Three numbers each, for depth, height and width."""

    first: tuple  # place of what is made
    apart: tuple
    counts: tuple
    origin: tuple  # of what is seen
    advance: tuple
    move: tuple
    first_tap: tuple
    tap_apart: tuple
    taps: tuple

    @property
    def places(self):
        return math.prod(self.counts)

    @property
    def tap_count(self):
        return math.prod(self.taps)


def _axis(remainder, size, taps, stride, padding, dilation):
    """One axis of a lattice on the way back."""
    apart = tap_step(stride, dilation)
    fitting = (r for r in range(min(apart, taps)) if (remainder + padding - r * dilation) % stride == 0)
    first = next(fitting, taps)
    origin = (remainder + padding - first * dilation) // stride
    count, seen = -(-(size - remainder) // stride), max(0, -(-(taps - first) // apart))
    return remainder, stride, count, origin, 1, -(apart * dilation // stride), first, apart, seen


def lattices(geometry, back):
    """Every place of what is made (the result; back: the image) in exactly one of them."""
    g, zeros, ones = geometry, (0, 0, 0), (1, 1, 1)
    if not back:
        origin = tuple(-p for p in g.paddings)
        yield Lattice(zeros, ones, g.result, origin, g.strides, g.dilations, zeros, ones, g.taps)
        return
    for remainders in itertools.product(*map(range, map(min, g.strides, g.image))):
        axes = map(_axis, remainders, g.image, g.taps, g.strides, g.paddings, g.dilations)
        yield Lattice(*zip(*axes, strict=True))
