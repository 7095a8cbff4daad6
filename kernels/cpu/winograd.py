"""Convolutions of 3 x 3 taps and stride 1 by Winograd's F(2 x 2, 3 x 3): 16 products where the sum itself takes 36.

    weights transformed into panels, once                         parallel over panels
    for each group and block of tiles                             parallel; the grid depends on shapes alone
        for each channel and vector of tiles: transform           straight into panels, 16 of them
        for each part of the lines
            16 products: rows are lines, columns tiles            tiles
            for each line and vector of tiles: transform back     winograd_transform.py

A tile is 2 x 2 results, seen from 4 x 4 places of the source. Tiles are numbered row after row, image after image, and
blocks are ranges of them: whatever the size of an image, few columns of the register tile are lost. What of a tile lies
beyond the edge is cut off as it is stored.

The transforms add and subtract neighbours, so an Inf or a NaN would spread over its tile. Blocks tell whether any
of their results is not finite, and a convolution with such a result is done again by the nest of convolve.py.
"""

from typing import NamedTuple

import numpy as np

from .. import shared
from ..jit import compiled, exact, overload, parallel_for, scratch
from ..shared import prepare
from .epilogue import finish_rows, in_registers
from .pack import Panels, address_of, matrix, pack_panel, panel_size, panel_width
from .target import ROWS, VECTOR_BYTES
from .tile import ADD
from .tiles import tiles
from .window import numbers, panels_size
from .winograd_transform import ELEMENTS, PIECE, filter_lines, result_tiles, source_tiles

SOURCES = 2**17  # transformed elements of a block's source, about: half of L2
PRODUCTS = 2**17  # and of its products
CHAIN = (
    64  # products in a row that are summed one by one: the transforms add errors of their own, these have to be fewer
)
# multiply-adds that take as long as the transforms of a tile's channel and line, as the transform of nine taps, and, in
# what else would do it, as packing one of a place's patch, and nine taps
TRANSFORM, FILTER = 100, 300
BY_NEST, BY_GRADIENT, BY_SPREAD = (3, 0), (3, 700), (0, 0)
SKEW = 16  # elements between parts of a power of 2 that would want the same places of L1


class Planes(NamedTuple):
    """Planes of a source and of what is made of it: result (y, x) sees rows y + top .. y + top + 2 of the source."""

    height: int  # of the source
    width: int
    top: int
    left: int
    rows: int  # of the results
    columns: int


class Taps(NamedTuple):
    """Where the nine weights of a line and a channel lie: from line * line + channel * channel on."""

    line: int
    channel: int
    group: int
    turned: bool  # the last first


class Plain(NamedTuple):
    """The epilogue of a gradient: none. A type of its own, so that its kernel compiles no activations for it."""

    bias: np.ndarray  # (0,)
    relu: bool


@overload(in_registers)
def _in_registers(epilogue):
    return (lambda epilogue: True) if epilogue.instance_class is Plain else None


@overload(finish_rows)
def _finish_rows(epilogue, corner, line, at, columns):
    return (lambda epilogue, corner, line, at, columns: None) if epilogue.instance_class is Plain else None


@exact
def _filters(begin, end, packed, part, w, taps, lines, channels):
    """Panels begin .. end, groups after one another: the transformed weights of ROWS lines, a step for each channel."""
    panels, item = (lines + ROWS - 1) // ROWS, w.itemsize
    lanes, like = VECTOR_BYTES // item, w.dtype.type(0)
    pitch = (ROWS + lanes - 1) // lanes * lanes
    # weights are turned a square at a time; what is beyond the ninth is not used
    steps = (9 + lanes - 1) // lanes * lanes
    nine = scratch(4, panel_size(pitch, steps), w)
    first_tap, stride = (address_of(nine) + 8 * pitch * item, -pitch) if taps.turned else (address_of(nine), pitch)
    for number in range(begin, end):
        group, first = number // panels, number % panels * ROWS
        given = matrix(w[group * taps.group :], taps.line, lines, True)
        to = address_of(packed) + number * panel_size(ROWS, channels) * item
        for c in range(channels):
            at = c * taps.channel
            end_of_square = (min(first + pitch, lines) - 1) * taps.line + at + steps
            pack_panel(nine, 0, pitch, given, first, at, steps if end_of_square <= given.data.size else 9)
            for i in range(0, ROWS, lanes):
                # what spills over the step's end the next step overwrites, the last falls into the gap
                filter_lines(like, first_tap + i * item, stride, to + i * item, part)
            to += ROWS * item


@compiled
def _inside(first, count, size):
    """Bits of the places first .. first + count that lie in 0 .. size."""
    low, high = max(0, -first), min(count, size - first)
    return (1 << high) - (1 << low) if high > low else 0


@compiled
def _cut(table, starts, planes, first, count, lanes):
    """Tiles first .. first + count, a vector after the other, as pieces of rows of tiles: (row among those of all
    images, tile of the row, lane, how many) in the table; vector v has the pieces starts[v] .. starts[v + 1]."""
    across = (planes.columns + 1) // 2
    done, piece, vectors = 0, 0, 0
    while done < count:
        if done == vectors * lanes:
            starts[vectors] = piece
            vectors += 1
        row, tile, lane = (first + done) // across, (first + done) % across, done % lanes
        here = min(lanes - lane, across - tile, count - done)
        at = piece * PIECE
        table[at], table[at + 1], table[at + 2], table[at + 3] = row, tile, lane, here
        done += here
        piece += 1
    starts[vectors] = piece
    return vectors


@exact
def _to_sources(sources, part, panel, table, starts, vectors, x, begins, per_image, channels, planes):
    """Transform what tiles see of channels, the first of which begins at x[begins] in the first image."""
    columns, item, down = panel_width(x), x.itemsize, (planes.rows + 1) // 2
    lanes, like = VECTOR_BYTES // item, x.dtype.type(0)
    for at in range(0, starts[vectors] * PIECE, PIECE):
        row, tile, lane, here = table[at], table[at + 1], table[at + 2], table[at + 3]
        top, left = 2 * (row % down) + planes.top, 2 * (tile - lane) + planes.left
        mine = ((1 << 2 * here) - 1) << 2 * lane
        table[at] = begins + row // down * per_image + top * planes.width + left
        table[at + 1] = _inside(top, 4, planes.height)
        table[at + 2] = mine & _inside(left, 2 * lanes, planes.width)
        table[at + 3] = mine & _inside(left + 2, 2 * lanes, planes.width)
    for c in range(channels):
        channel = address_of(x) + c * planes.height * planes.width * item
        to = address_of(sources) + c * columns * item
        for v in range(vectors):
            pieces, count = address_of(table) + starts[v] * PIECE * 8, starts[v + 1] - starts[v]
            place = v * lanes // columns * panel + v * lanes % columns
            source_tiles(like, channel, planes.width, pieces, count, to + place * item, part)


@compiled
def _result_places(table, pieces, planes, per_image):
    """Where pieces go, from the first place of a line in the first image on; see result_tiles."""
    down = (planes.rows + 1) // 2
    for at in range(0, pieces * PIECE, PIECE):
        row, tile, lane, here = table[at], table[at + 1], table[at + 2], table[at + 3]
        top, left = 2 * (row % down), 2 * tile
        table[at] = row // down * per_image + top * planes.columns + left - 2 * lane
        table[at + 1] = 3 if top + 1 < planes.rows else 1
        table[at + 2] = ((1 << min(2 * here, planes.columns - left)) - 1) << 2 * lane


@exact
def _to_results(products, part, step, table, starts, vectors, y, begins, lines, planes, biases, epilogue):
    """Transform the products of lines, the first of which begins at y[begins] in the first image. Gives bits that are
    not all 0 where a result is Inf or NaN."""
    item, like = y.itemsize, y.dtype.type(0)
    lanes, places = VECTOR_BYTES // item, planes.rows * planes.columns
    complete = in_registers(epilogue)
    relu = complete and epilogue.relu
    found = 0
    for i in range(lines):
        bias = biases[i] if biases.size else like
        line = begins + i * places
        to = address_of(y) + line * item
        for v in range(vectors):
            pieces, count = address_of(table) + starts[v] * PIECE * 8, starts[v + 1] - starts[v]
            from_ = address_of(products) + (i * step + v * lanes) * item
            found |= result_tiles(like, from_, part, bias, relu, to, planes.columns, pieces, count)
        if not complete:
            for at in range(0, starts[vectors] * PIECE, PIECE):
                _finish(epilogue, y, line + table[at], table[at + 1], table[at + 2], planes.columns)
    return found


@compiled
def _finish(epilogue, y, at, rows, columns, stride):
    """What an epilogue does to a piece's results."""
    first, count = 0, 0
    while columns >> first & 1 == 0:
        first += 1
    while columns >> first + count & 1:
        count += 1
    for row in range(1 + (rows >> 1)):
        where = at + row * stride + first
        finish_rows(epilogue, y, where, where, count)


@compiled
def _blocks(begin, end, y, x, packed, part, strange, planes, total, groups, lines, channels, plan, epilogue):
    """Blocks begin .. end of all groups' tiles; strange[block]: not 0 where it gave Inf or NaN."""
    most, share = plan
    columns, item = panel_width(y), y.itemsize
    lanes = VECTOR_BYTES // item
    integers = numbers(2, 2 * PIECE * most + most // lanes + 1)
    source_table, result_table = integers[: PIECE * most], integers[PIECE * most : 2 * PIECE * most]
    starts = integers[2 * PIECE * most :]
    a_panel, panel = panel_size(ROWS, channels), panel_size(columns, channels)
    source_part, product_part = panels_size(most, columns, channels) + SKEW, share * most + SKEW
    sources = scratch(6, ELEMENTS * source_part, y)
    products = scratch(7, ELEMENTS * product_part, y)
    seen, places = planes.height * planes.width, planes.rows * planes.columns
    for number in range(begin, end):
        group, first = number % groups, number // groups * most
        count = min(most, total - first)
        vectors = _cut(source_table, starts, planes, first, count, lanes)
        _to_sources(sources, source_part, panel, source_table, starts, vectors, x, group * channels * seen,
                    groups * channels * seen, channels, planes)  # fmt: skip
        vectors = _cut(result_table, starts, planes, first, count, lanes)
        _result_places(result_table, starts[vectors], planes, groups * lines * places)
        found = 0
        for top in range(0, lines, share):
            here = min(share, lines - top)
            for element in range(ELEMENTS):
                weights = element * part + panels_size(lines, ROWS, channels) * group + top // ROWS * a_panel
                corner = address_of(products) + element * product_part * item
                for step in range(0, channels, CHAIN):
                    at_a, at_b = weights + step * ROWS, element * source_part + step * columns
                    a = Panels(address_of(packed) + at_a * item, a_panel, 1, ROWS)
                    b = Panels(address_of(sources) + at_b * item, panel, 1, columns)
                    steps, start = min(CHAIN, channels - step), 0 if step == 0 else ADD
                    tiles(y, (0, here, 0, count), steps, ROWS, a, b, corner, most, start, corner, False)
            line = group * lines + top
            biases = epilogue.bias[line : line + here] if epilogue.bias.size else epilogue.bias
            found |= _to_results(products, product_part, most, result_table, starts, vectors, y, line * places, here,
                                 planes, biases, epilogue)  # fmt: skip
        strange[number] = found


@compiled
def winograd(y, x, w, images, groups, lines, channels, planes, taps, epilogue):
    """y = the convolution of x (images, groups x channels, height, width) by 3 x 3 taps; epilogue as in convolve.

    Gives whether all results are finite, those that an activation is given included. All arrays are flat.
    """
    panels = groups * ((lines + ROWS - 1) // ROWS)
    part = panels * panel_size(ROWS, channels) + SKEW
    packed = scratch(0, ELEMENTS * part, y)
    grain = max(1, 2048 // (ROWS * channels))
    parallel_for(_filters, panels, grain, (packed, part, w, taps, lines, channels))
    total = images * ((planes.rows + 1) // 2) * ((planes.columns + 1) // 2)
    columns = panel_width(y)
    step = max(1, min(SOURCES // (ELEMENTS * channels), total) // columns) * columns
    share = max(1, min(lines, PRODUCTS // (ELEMENTS * step)) // ROWS) * ROWS
    blocks = (total + step - 1) // step * groups
    strange = numbers(5, blocks)
    prepare(shared.TILES if y.itemsize == 4 else shared.TILES + 1)
    arguments = (y, x, packed, part, strange, planes, total, groups, lines, channels, (step, share), epilogue)
    parallel_for(_blocks, blocks, 1, arguments)
    found = 0
    for number in range(blocks):
        found |= strange[number]
    return found == 0


@compiled
def suits(images, lines, channels, planes, form, lanes, otherwise):
    """Whether a convolution of so many lines and channels per group has the form, and takes less work so.

    form: taps, strides, paddings, dilations, and the depth of the source and of the results; otherwise: what else would
    do it, BY_NEST (convolve.py), BY_GRADIENT (its gradients) or BY_SPREAD (spread.py).
    """
    taps, strides, paddings, dilations, depths = form
    if taps != (1, 3, 3) or strides != (1, 1, 1) or dilations != (1, 1, 1) or paddings[0] != 0 or depths != (1, 1):
        return False
    products, (patch, packing) = float(lines) * channels, otherwise
    if products < 16:
        return False
    # columns of tiles and of places: images share vectors of tiles
    columns = (images * ((planes.rows + 1) // 2) * ((planes.columns + 1) // 2) + lanes - 1) // lanes * lanes
    places = images * ((planes.rows * planes.columns + lanes - 1) // lanes * lanes)
    work = columns * (ELEMENTS * products + TRANSFORM * (lines + channels)) + FILTER * products
    return places > 0 and work < places * 9 * (products + patch * channels) + packing * products
