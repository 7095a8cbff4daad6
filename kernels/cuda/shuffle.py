"""Pixels made of channels, channels of pixels, channels in another order: a thread for each element of the image.

Elements are only moved: the kernels see them as integers, as wide as lines of a channel allow.
"""

import numpy as np

from .array import Array
from .maps import raw
from .planes import define_planes, over_planes
from .target import kernel

# the image is (P, H, I, W, J), the channels (P, I, J, H, W)
PIXELS = """
H, I, W, J = i32(image.shape[1]), i32(image.shape[2]), i32(image.shape[3]), i32(image.shape[4])
planes, depths, rows, columns = image.shape[0], i32(1), H * I, W * J
"""
COLUMN = """
w = quotient(k, J)
c = i32(k - w * J)
"""
ROW = """
h = quotient(j, I)
r = i32(j - h * I)
"""
IMAGE, CHANNELS = "image[p#, h, r, w, c]", "channels[p#, r, c, h, w]"
define_planes(globals(), "_to_image", "image, channels", PIXELS, f"v# = {CHANNELS}", f"{IMAGE} = v#", COLUMN, ROW)
define_planes(globals(), "_to_channels", "image, channels", PIXELS, f"v# = {IMAGE}", f"{CHANNELS} = v#", COLUMN, ROW)


def _over(function, image, channels, stream):
    P, H, I, W, J = image.shape
    over_planes(function, P, H * I, W * J, stream, raw(image), raw(channels))


@kernel(half=True)
def pixel_shuffle_forward(y, x, stream=0):
    """One launch; rows of the image are written in order."""
    _over(_to_image, y, x, stream)  # noqa: F821


@kernel(half=True)
def pixel_unshuffle_forward(y, x, stream=0):
    """One launch; rows of the image are read in order."""
    _over(_to_channels, x, y, stream)  # noqa: F821


GROUPS = """
planes, depths, rows, columns = y.shape[0], i32(y.shape[1]), y.shape[2], y.shape[3]
"""
define_planes(globals(), "_deal", "y, x", GROUPS, "v# = x[p#, j, i#, k]", "y[p#, i#, j, k] = v#")


def _widest(array):
    """The array as 8-byte integers."""
    many = 8 // array.itemsize
    return Array(array.owner, array.pointer, (*array.shape[:-1], array.shape[-1] // many), np.dtype(np.int64))


@kernel(half=True)
def channel_shuffle_forward(y, x, stream=0):
    """One launch; channels are copied in 8-byte pieces where they are made of such."""
    N, A, B, I = y.shape
    whole = I * y.itemsize % 8 == 0 and y.pointer % 8 == 0 and x.pointer % 8 == 0
    y, x = (_widest(y), _widest(x)) if whole else (raw(y), raw(x))
    over_planes(_deal, N * A, B, y.shape[3], stream, y, x)  # noqa: F821
