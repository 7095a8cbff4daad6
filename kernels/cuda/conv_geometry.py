"""Numbers of a convolution as kernels take them, and what a place sees along one axis.

A scalar costs a launch two thirds of a microsecond, so two numbers below 2**31 travel in one word.
"""

import math

import numpy as np

from .target import device

# places and offsets inside one image are int32
MOST = 2**31 - 1


def pair(low, high):
    """Two numbers of 0 .. 2**31 - 1 as one argument."""
    return int(low) | int(high) << 32


def pairs(*numbers):
    """So many numbers as half as many arguments."""
    numbers = (*numbers, 0) if len(numbers) % 2 else numbers
    return tuple(pair(*numbers[i : i + 2]) for i in range(0, len(numbers), 2))


def tap_step(stride, dilation):
    """How far apart the taps lie through which a place of the strided side is seen by one of the other."""
    return stride // math.gcd(stride, dilation)


def check_size(name, *counts):
    """ValueError where int32 cannot count what kernels count by it."""
    if max(counts) > MOST:
        raise ValueError(f"{name}: expected at most {MOST} places and numbers of an image, got {max(counts)}")


@device
def low(word):
    return np.int32(word & 0x7FFFFFFF)


@device
def high(word):
    return np.int32(word >> 32)


@device
def divided(a, b):
    """a // b of numbers of 0 .. 2**31 - 1, by the short division of 32 bits."""
    return np.int32(np.uint32(a) // np.uint32(b))


@device
def first_tap(place, stride, dilation, step):
    """The smallest tap r with (place - r * dilation) a multiple of stride, or -1; others follow `step` apart."""
    found = np.int32(-1)
    left = np.int32(place % stride)
    move = np.int32(dilation % stride)
    for r in range(step):
        if left == 0 and found < 0:
            found = np.int32(r)
        left = np.int32(left - move)
        if left < 0:
            left = np.int32(left + stride)
    return found
