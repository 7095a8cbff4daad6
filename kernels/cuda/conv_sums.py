"""Sums of a convolution's gradients over images and places: blocks add parts, a second launch adds those in order.

How many parts there are follows from shapes alone, so that the same numbers are added in the same order every time.
"""

import math

import numpy as np

from .conv_geometry import divided, high, low, pairs
from .functions import formulas
from .lanes import WARPS, block_sum
from .ptx import narrow, wide
from .target import SIMULATOR, THREADS, cuda, empty, jit, launch, spread

activate_grad = formulas["activate_grad"]

# blocks that keep a device busy, and elements that are worth a block
WANTED = 4 if SIMULATOR else 2048
LEAST = 16 if SIMULATOR else 8192


def parts_of(sums, length):
    """How many blocks share each of `sums` sums over `length` elements."""
    return max(1, min(-(-length // LEAST), -(-WANTED // max(1, sums)), 1024))


def wide_dtype(array):
    """What sums of the array's elements are made in."""
    return np.dtype(np.float64 if array.dtype == np.float64 else np.float32)


@jit
def _results(dz, parts, dy, y, z, activation, n0, n1):
    """dz = dy * activation'(z), and each block's part of its channel's sum; either may be absent.

    The grid is (channels, parts): a part takes each `parts`-th run of blockDim elements of the channel.
    """
    shared = cuda.shared.array(WARPS, parts.dtype)
    images, channels, places = low(n0), high(n0), low(n1)
    line, step = cuda.blockIdx.x, cuda.gridDim.y * cuda.blockDim.x
    i = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    image, next_image = divided(i, places), divided(step, places)
    place, next_place = np.int32(i - image * places), np.int32(step - next_image * places)
    total = parts.dtype.type(0)
    while image < images:
        at = np.uint64(np.int64(image * channels + line) * places + place)
        value = wide(dy[at])
        if dz.size > 0:
            # y stands in for a z that this activation does not need
            value = activate_grad(activation, value, wide(y[at]), wide(z[at] if z.size > 0 else y[at]))
            dz[at] = narrow(dz, value)
        total += value
        place, image = np.int32(place + next_place), np.int32(image + next_image)
        if place >= places:
            place, image = np.int32(place - places), np.int32(image + 1)
    if parts.size > 0:
        total = block_sum(shared, total)
        if cuda.threadIdx.x == 0:
            parts[cuda.blockIdx.y * channels + line] = total


def results(want_sums, dy, y, z, activation, stream):
    """(dz, parts (., K) of its sums over images and places; without elements when they are not wanted)"""
    images, channels, places = dy.shape[0], dy.shape[1], math.prod(dy.shape[2:])
    dz = empty(dy.shape, dy.dtype) if activation else dy
    count = parts_of(channels, images * places) if dy.size else 0
    parts = empty((count if want_sums else 0, channels), wide_dtype(dy))
    if dy.size and (activation or want_sums):
        nothing = dy.reshape(-1)[:0]
        flat = (dz if activation else nothing, parts, dy, y, z)
        launch(
            _results, (channels, count), THREADS, stream,
            *(a.reshape(-1) for a in flat), activation, *pairs(images, channels, places),
        )  # fmt: skip
    return dz, parts


@jit
def _add(dweight, weight_parts, db, bias_parts, accumulate):
    """Both gradients: a thread for each number adds its parts."""
    real = weight_parts.dtype.type
    for i in range(cuda.grid(1), dweight.size + db.size, cuda.gridsize(1)):
        if i < dweight.size:
            total = wide(dweight[i]) if accumulate else real(0)
            for at in range(i, weight_parts.size, dweight.size):
                total += weight_parts[np.uint64(at)]
            dweight[i] = narrow(dweight, total)
        else:
            i -= dweight.size
            total = wide(db[i]) if accumulate else real(0)
            for at in range(i, bias_parts.size, db.size):
                total += bias_parts[np.uint64(at)]
            db[i] = narrow(db, total)


def add_parts(dweight, weight_parts, db, bias_parts, accumulate, stream):
    """dweight (+)= its parts (., size of dweight), and so db; each may be absent, and so may the parts."""
    flat = (a.reshape(-1) for a in (dweight, weight_parts, db, bias_parts))
    spread(_add, dweight.size + db.size, stream, *flat, accumulate)
