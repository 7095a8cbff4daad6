"""Gradient of the weight with few channels in a group: a block makes a part of the sums of TAPS taps of one filter.

Its threads stride over images and places of the result, with TAPS sums each in registers: dy is read once for them, and
x comes from the first cache but once.
"""

import math

import numpy as np

from .conv_geometry import divided, high, inside, low, pairs, runs, spot
from .conv_sums import parts_of, wide_dtype
from .elementwise import fill_forward
from .lanes import WARPS, block_sum
from .ptx import wide
from .target import THREADS, cuda, empty, jit, launch

# sums of a thread
TAPS = 9


@jit(launch_bounds=(THREADS, 3))
def _direct_weight(parts, dy, x, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10):
    od, oh, ow, id_, ih, iw = low(n0), high(n0), low(n1), high(n1), low(n2), high(n2)
    outer, inner, groups, kd, kh, kw = low(n3), high(n3), low(n4), high(n4), low(n5), high(n5)
    sd, sh, sw, pd, ph, pw = low(n6), high(n6), low(n7), high(n7), low(n8), high(n8)
    dd, dh, dw, images = low(n9), high(n9), low(n10), high(n10)
    shared = cuda.shared.array(WARPS, parts.dtype)
    sums, found = cuda.local.array(TAPS, parts.dtype), cuda.local.array(TAPS, parts.dtype)
    counts = cuda.local.array(TAPS, np.bool_)
    # where a tap sees, in places and as a distance
    in_depth, in_height = cuda.local.array(TAPS, np.int32), cuda.local.array(TAPS, np.int32)
    in_width, distance = cuda.local.array(TAPS, np.int32), cuda.local.array(TAPS, np.int32)
    taps = kd * kh * kw
    shares = divided(taps + TAPS - 1, TAPS)
    # the grid is (filters times runs of taps, parts)
    filter_ = divided(cuda.blockIdx.x, shares)
    first = np.int32((cuda.blockIdx.x - filter_ * shares) * TAPS)
    line = divided(filter_, inner)
    source = divided(line, outer) * inner + filter_ - line * inner
    real = parts.dtype.type
    for j in range(TAPS):
        number = min(first + j, taps - 1)
        rest = divided(number, kw)
        part = divided(rest, kh)
        in_depth[j], in_height[j] = np.int32(part * dd), np.int32((rest - part * kh) * dh)
        in_width[j] = np.int32((number - rest * kw) * dw)
        distance[j] = np.int32((in_depth[j] * ih + in_height[j]) * iw + in_width[j])
        sums[j] = real(0)
    # an odometer of image and place: no division from one place to the next
    places = od * oh * ow
    step, i = cuda.gridDim.y * cuda.blockDim.x, cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    image, by_image = divided(i, places), divided(step, places)
    i, step = i - image * places, step - by_image * places
    plane, by_plane = divided(i, oh * ow), divided(step, oh * ow)
    i, step = i - plane * (oh * ow), step - by_plane * (oh * ow)
    row, by_row = divided(i, ow), divided(step, ow)
    column, by_column = np.int32(i - row * ow), np.int32(step - by_row * ow)
    while image < images:
        value = wide(
            dy[np.int64(image * (groups * outer) + line) * places + np.int32((plane * oh + row) * ow + column)]
        )
        u, v, c = np.int32(plane * sd - pd), np.int32(row * sh - ph), np.int32(column * sw - pw)
        at = np.int32((((image * (groups * inner) + source) * id_ + u) * ih + v) * iw + c)
        # what is not there reads the first number, for nothing: no tap waits for another
        for j in range(TAPS):
            there = inside(u + in_depth[j], id_) & inside(v + in_height[j], ih) & inside(c + in_width[j], iw)
            found[j] = wide(x[spot(at + distance[j] if there else 0)])
            counts[j] = there
        for j in range(TAPS):
            sums[j] += value * (found[j] if counts[j] else real(0))
        column, row = np.int32(column + by_column), np.int32(row + by_row)
        if column >= ow:
            column, row = np.int32(column - ow), np.int32(row + 1)
        plane = np.int32(plane + by_plane)
        if row >= oh:
            row, plane = np.int32(row - oh), np.int32(plane + 1)
        image = np.int32(image + by_image)
        if plane >= od:
            plane, image = np.int32(plane - od), np.int32(image + 1)
    for j in range(TAPS):
        total = block_sum(shared, sums[j])
        if cuda.threadIdx.x == 0 and first + j < taps:
            parts[(cuda.blockIdx.y * np.int64(groups * outer * inner) + filter_) * taps + first + j] = total


def direct_weight_parts(dy, x, geometry, stream):
    """Parts (., filters, taps) of the sums over images and places."""
    g = geometry
    inner, outer = g.group
    filters, taps = g.outer * inner, math.prod(g.taps)
    shares = -(-taps // TAPS)
    pieces = list(runs(geometry, dy, x))
    count = parts_of(filters * shares, pieces[0][0].places)
    parts = empty((len(pieces) * count, filters, taps), wide_dtype(dy))
    if not (dy.size and x.size):
        fill_forward(parts, 0.0, stream)
        return parts
    numbers = *g.result, *g.image, outer, inner, g.groups, *g.taps, *g.strides, *g.paddings, *g.dilations
    for i, (piece, *run) in enumerate(pieces):
        flat = (a.reshape(-1) for a in (parts[i * count : (i + 1) * count], *run))
        launch(_direct_weight, (filters * shares, count), THREADS, stream, *flat, *pairs(*numbers, piece.images))
    return parts
