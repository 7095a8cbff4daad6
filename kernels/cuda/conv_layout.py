"""Channels last, for products that copy 16 bytes at a time.

The channels of a group are padded with zeros to whole copies. An array is read and written once; a result never comes
this way, it is written as it shall lie.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .conv_geometry import divided, high, low, over, pairs, reciprocal, spot
from .target import SIMULATOR, cuda, empty, jit, launch
from .tile import CHUNK_BYTES

# a tile is SIDE x SIDE, its threads SIDE x ROWS
SIDE, ROWS = (4, 2) if SIMULATOR else (32, 8)
# from one row of it to the next: a column lies in different banks
PITCH = SIDE + 1


class Held(NamedTuple):
    """An image or a result as an operand finds it: flat; its channels, and those of a group, as they are stored."""

    flat: Any
    last: bool
    channels: int
    group: int


def padded(channels, dtype):
    """So many channels as whole copies hold."""
    unit = CHUNK_BYTES // np.dtype(dtype).itemsize
    return -(-channels // unit) * unit


@jit
def _turn(to, x, n0, n1, group_word, places_word):
    """to[n, p, c] = x[n, c, p]; a block makes one tile after the other of an image's (padded) channels and places."""
    tile = cuda.shared.array((SIDE, PITCH), x.dtype)
    places, channels, group, padded_group = low(n0), high(n0), low(n1), high(n1)
    stored = divided(channels, group) * padded_group
    down, across = cuda.threadIdx.y, cuda.threadIdx.x
    image = over(cuda.blockIdx.x, places_word)
    left = np.int32((cuda.blockIdx.x - image * divided(places + SIDE - 1, SIDE)) * SIDE)
    top = np.int32(cuda.blockIdx.y * SIDE)
    place = left + across
    for r in range(down, SIDE, ROWS):
        number = over(top + r, group_word)
        channel = np.int32(top + r - number * padded_group)
        value = x.dtype.type(0)
        if channel < group and top + r < stored and place < places:
            value = x[spot((image * channels + number * group + channel) * places + place)]
        tile[r, across] = value
    cuda.syncthreads()
    for r in range(down, SIDE, ROWS):
        if left + r < places and top + across < stored:
            to[spot((image * places + left + r) * stored + top + across)] = tile[across, r]


def as_it_lies(x, groups):
    return Held(x.reshape(-1), False, x.shape[1], x.shape[1] // groups)


def channels_last(x, groups, stream):
    """x (N, C, ...) as (N, ..., C), the channels of each group padded."""
    images, channels, places = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    group = channels // groups
    wide = padded(group, x.dtype)
    to = empty((images * places * groups * wide,), x.dtype)
    tiles = -(-places // SIDE)
    words = *pairs(places, channels, group, wide), reciprocal(wide), reciprocal(max(1, tiles))
    grid = images * tiles, -(-groups * wide // SIDE)
    launch(_turn, grid, (SIDE, ROWS), stream, to, x.reshape(-1), *words)
    return Held(to, True, groups * wide, wide)
