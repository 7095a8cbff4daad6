"""Pixels made of channels, channels of pixels, channels in another order: a thread for each element of the image.

Elements are only moved: the kernels see them as integers, as wide as lines of a channel allow.
"""

import numpy as np

from .array import Array
from .maps import raw
from .planes import (
    column,
    column_step,
    first_slice,
    i32,
    over_planes,
    place_of,
    quotient,
    row,
    row_step,
    slice_step,
)
from .target import jit, kernel


@jit
def _pixels(image, channels, back):
    """image[p, h, i, w, j] = channels[p, i, j, h, w], or back."""
    H, I = i32(image.shape[1]), i32(image.shape[2])
    W, J = i32(image.shape[3]), i32(image.shape[4])
    slices = i32(image.shape[0])
    k = column()
    while k < W * J:
        w = quotient(k, J)
        j = i32(k - w * J)
        r = row()
        while r < H * I:
            h = quotient(r, I)
            i = i32(r - h * I)
            p = first_slice()
            while p < slices:
                if back:
                    channels[p, i, j, h, w] = image[p, h, i, w, j]
                else:
                    image[p, h, i, w, j] = channels[p, i, j, h, w]
                p = i32(p + slice_step())
            r = i32(r + row_step())
        k = i32(k + column_step())


def _over(image, channels, back, stream):
    P, H, I, W, J = image.shape
    over_planes(_pixels, P, H * I, W * J, stream, raw(image), raw(channels), back)


@kernel(half=True)
def pixel_shuffle_forward(y, x, stream=0):
    """One launch; rows of the image are written in order."""
    _over(y, x, False, stream)


@kernel(half=True)
def pixel_unshuffle_forward(y, x, stream=0):
    """One launch; rows of the image are read in order."""
    _over(x, y, True, stream)


@jit
def _deal(y, x):
    A, B, columns = i32(y.shape[1]), i32(y.shape[2]), i32(y.shape[3])
    slices = i32(y.shape[0] * y.shape[1])
    k = column()
    while k < columns:
        b = row()
        while b < B:
            s = first_slice()
            while s < slices:
                n, a = place_of(s, A)
                y[n, a, b, k] = x[n, b, a, k]
                s = i32(s + slice_step())
            b = i32(b + row_step())
        k = i32(k + column_step())


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
    over_planes(_deal, N * A, B, y.shape[3], stream, y, x)
