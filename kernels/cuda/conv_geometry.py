"""Numbers of a convolution as kernels take them, and what a place sees along one axis.

A scalar costs a launch two thirds of a microsecond, so two numbers below 2**31 travel in one word.
"""

import math
from typing import NamedTuple

import numpy as np

from ..conv_checks import check_geometry
from .ptx import reciprocal_product
from .target import device

# places, and offsets in an array, are int32
MOST = 2**31 - 1
# numbers of an image or result that a launch goes over: padding may double them
TOGETHER = MOST // 2


def pairs(*numbers):
    """Numbers of 32 bits as half as many arguments."""
    numbers = (*map(int, numbers), 0) if len(numbers) % 2 else tuple(map(int, numbers))
    return tuple(numbers[i] & 0xFFFFFFFF | numbers[i + 1] << 32 for i in range(0, len(numbers), 2))


def reciprocal(number):
    """What `over` divides by: of 2**(31 + shift) / number, rounded up, 32 bits, and the shift."""
    shift = (int(number) - 1).bit_length()
    return -(-(1 << 31 + shift) // int(number)) | shift << 32


def tap_step(stride, dilation):
    """How far apart the taps lie through which a place of the image is seen."""
    return stride // math.gcd(stride, dilation)


def check_size(*counts):
    """ValueError where int32 cannot count what kernels count by it."""
    if max(counts) > MOST:
        raise ValueError(f"expected at most {MOST} places, and numbers in an image, got {max(counts)}")


class Geometry(NamedTuple):
    """A convolution of `image` into `result`. The transposed one has the same numbers, image and result exchanged."""

    images: int
    inner: int  # channels of the image
    outer: int  # of the result
    groups: int
    image: tuple
    result: tuple
    taps: tuple
    strides: tuple
    paddings: tuple
    dilations: tuple

    @property
    def places(self):
        """Places of the result, of all images."""
        return self.images * math.prod(self.result)

    @property
    def tap_count(self):
        return math.prod(self.taps)

    @property
    def group(self):
        """Channels of image and result in one group."""
        return self.inner // self.groups, self.outer // self.groups


def geometry_of(image, result, w, strides, paddings, dilations, groups):
    """Checked: image, result and w are arrays of five dimensions."""
    check_geometry(image.shape[1], result.shape[1], groups, strides, paddings, dilations)
    sizes = image.shape[2:], result.shape[2:], w.shape[2:]
    check_size(*(a.shape[0] * math.prod(a.shape[2:]) for a in (image, result)))
    check_size(*(math.prod(a.shape[1:]) for a in (image, result)), w.size, *paddings, *strides, *dilations)
    return Geometry(image.shape[0], image.shape[1], result.shape[1], groups, *sizes, strides, paddings, dilations)


def runs(geometry, *arrays):
    """The arrays in runs of images whose offsets are int32, even with channels padded, and the geometry of each run."""
    g = geometry
    most = max(1, min(TOGETHER // max(1, a.size // max(1, g.images)) for a in arrays))
    for first in range(0, g.images, most):
        count = min(most, g.images - first)
        yield g._replace(images=count), *(a[first : first + count] if a.size else a for a in arrays)


@device
def low(word):
    return np.int32(((word & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000)


@device
def high(word):
    return np.int32(word >> 32)


@device
def divided(a, b):
    """a // b of numbers of 0 .. 2**31 - 1, by the short division of 32 bits."""
    return np.int32(np.uint32(a) // np.uint32(b))


@device
def over(number, word):
    """number // what `reciprocal` made the word of, for 0 .. 2**31 - 1: Granlund and Montgomery 1994."""
    number = np.uint32(number)
    return np.int32(reciprocal_product(np.uint32(number + number), np.uint32(word & 0xFFFFFFFF), np.uint32(word >> 32)))


@device
def inside(place, size):
    """0 <= place < size, in one comparison."""
    return np.uint32(np.int64(place) & 0xFFFFFFFF) < np.uint32(size)


@device
def spot(number):
    """An index of 0 .. 2**31 - 1. Numba counts one that might be negative from the end: five instructions more."""
    return np.uint32(number)


@device
def first_tap(place, stride, dilation, step):
    """The smallest tap r with (place - r * dilation) a multiple of stride, or -1; others follow `step` apart."""
    found = np.int32(-1)
    left = np.int32(place - divided(place, stride) * stride)
    move = np.int32(dilation - divided(dilation, stride) * stride)
    for r in range(step):
        if left == 0 and found < 0:
            found = np.int32(r)
        left = np.int32(left - move)
        if left < 0:
            left = np.int32(left + stride)
    return found


@device
def seen_along(back, place, taps, stride, padding, dilation, step):
    """(first tap, the place it sees, how far on the next one sees), along one axis.

    back: places are the image's and see the result, through each step-th tap; otherwise the other way round, through
    all.
    """
    if not back:
        return np.int32(0), np.int32(place * stride - padding), np.int32(dilation)
    place = np.int32(place + padding)
    if stride == 1:
        return np.int32(0), place, np.int32(-dilation)
    first = first_tap(place, stride, dilation, step)
    if first < 0:
        return np.int32(taps), np.int32(0), np.int32(0)
    move = np.int32(-divided(step * dilation, stride))
    ahead = np.int32(first * dilation - place)
    if ahead > 0:
        return first, np.int32(-divided(ahead, stride)), move
    return first, divided(-ahead, stride), move
