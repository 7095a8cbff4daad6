"""The convolution nest: results of a block of places, for all channels of a group, on the register tile.

    weights into panels, once                                     parallel over panels
    for each image, group and block of places                     parallel; the grid depends on shapes alone
        stage the rows of the source that the block needs         window.py
        for each KC steps of depth (channels x taps)
            for each few panels of places: pack them              they stay in L1
                tiles: rows are channels of the result, columns places

Places are the columns of the tile because they are contiguous, both in what is read and in what is written. The bias is
one more step of depth: its weight, times 1.

The same nest makes the gradient of the input: each remainder of a place modulo the stride sees taps of its own, an
arithmetic progression of them, and is a convolution of dy with stride 1 by those taps.
"""

from typing import NamedTuple

from .. import shared
from ..jit import compiled, parallel_for, scratch
from ..shared import prepare
from .depthwise import channel_block, room_of
from .epilogue import finish_rows, in_registers
from .pack import Panels, address_of, matrix, pack_panel, panel_size, panel_width
from .target import ROWS, VECTOR_BYTES
from .tile import ADD
from .tiles import KC, tiles
from .window import (
    block_of,
    cut_plane,
    fill_pieces,
    fill_stage,
    fill_taps,
    numbers,
    pack_patches,
    panels_size,
    stage_of,
)

PLACES = 256  # results of a block, about: the rows of the stage beyond its own are then few
CHANNEL_PLACES = 4096  # of a block of a single channel: with its sums it fits L1
PANELS = 8192  # elements of the panels that are packed at a time: they fit L1
WORK = 4e5  # multiply-adds that are worth handing to another thread


class Filter(NamedTuple):
    """Where a weight lies in the array of weights: line * line_stride + channel * channel_stride + tap."""

    line: int
    channel: int
    first: tuple  # of the taps that are used, in each dimension
    step: tuple
    height: int
    width: int


class Result(NamedTuple):
    """Where results go: place (z, y, x) of `size` to z * stride + first in each dimension of `full`."""

    size: tuple
    stride: tuple
    first: tuple
    full: tuple


@compiled
def _pack_weights(begin, end, packed, w, bias, filter_, per_group, lines, channels, counts, depth):
    """Panels begin .. end, groups after one another: the weights of ROWS lines, a step for each channel and tap."""
    panels = (lines + ROWS - 1) // ROWS
    zf, yf, xf = filter_.first
    zs, ys, xs = filter_.step
    seen = channels * counts[0] * counts[1] * counts[2]
    # a line's weights one after the other, as in forward
    in_order = filter_.line == seen and channels * filter_.channel == seen and filter_.step == (1, 1, 1)
    for number in range(begin, end):
        group, panel = number // panels, number % panels
        at = number * panel_size(ROWS, depth)
        if in_order:
            matrix_of = matrix(w[group * per_group :], seen, lines, True)
            pack_panel(packed, at, ROWS, matrix_of, panel * ROWS, 0, seen)
            if bias.size:
                for i in range(ROWS):
                    packed[at + seen * ROWS + i] = bias[group * lines + min(panel * ROWS + i, lines - 1)]
            continue
        for i in range(ROWS):
            line = min(panel * ROWS + i, lines - 1)
            to = at + i
            for c in range(channels):
                base = group * per_group + line * filter_.line + c * filter_.channel
                for tz in range(counts[0]):
                    for ty in range(counts[1]):
                        row = ((zf + tz * zs) * filter_.height + yf + ty * ys) * filter_.width + xf
                        for tx in range(counts[2]):
                            packed[to] = w[base + row + tx * xs]
                            to += ROWS
            if bias.size:
                packed[to] = bias[group * lines + line]


@compiled
def _blocks(begin, end, y, source, packed, windows, result, cut, groups, lines, channels, depth, epilogue):
    """Blocks begin .. end of the results of all images, groups and planes."""
    z_window, y_window, x_window = windows
    planes, height, width = result.size
    full_places = result.full[0] * result.full[1] * result.full[2]
    source_size = z_window.size * y_window.size * x_window.size
    columns, item = panel_width(y), y.itemsize
    lanes, taps = VECTOR_BYTES // item, z_window.taps * y_window.taps * x_window.taps
    seen = channels * taps
    direct = result.stride[0] * result.stride[1] * result.stride[2] == 1
    parts = (depth + KC - 1) // KC
    steps = (depth + parts - 1) // parts
    stage = stage_of(z_window, y_window, x_window, cut.rows, cut.columns)
    together = max(1, PANELS // (columns * steps))
    integers = numbers(2, taps + 2 * columns)
    table, pieces = integers[:taps], integers[taps:]
    fill_taps(table, stage, z_window, y_window, x_window)
    # a vector may be read beyond the last row
    staged = scratch(6, channels * stage.plane + 2 * lanes, y)
    panel = scratch(1, together * panel_size(columns, steps), y)
    weights = address_of(packed)
    for number in range(begin, end):
        rest, place = number // cut.blocks, number % cut.blocks
        image, group, plane = rest // (groups * planes), rest // planes % groups, rest % planes
        block = block_of(cut, place, plane, height, width)
        count = block.rows * block.columns
        fill_stage(staged, stage, source, (image * groups + group) * channels * source_size, channels,
                   z_window, y_window, x_window, block)  # fmt: skip
        first_line = (image * groups + group) * lines * full_places
        if direct:
            target, corner, ldc = y, first_line + (plane * height + block.y) * width + block.x, full_places
        else:
            target, corner, ldc = scratch(4, lines * count, y), 0, count
        at_weights = weights + group * panels_size(lines, ROWS, depth) * item
        for step in range(0, depth, steps):
            size = min(steps, depth - step)
            last = step + size == depth
            relu = last and in_registers(epilogue) and epilogue.relu
            a = Panels(at_weights + step * ROWS * item, panel_size(ROWS, depth), 1, ROWS)
            b = Panels(address_of(panel), panel_size(columns, size), 1, columns)
            for left in range(0, count, columns * together):
                right = min(count, left + columns * together)
                for first in range(left, right, columns):
                    at = (first - left) // columns * b.panel
                    found = fill_pieces(pieces, stage, y_window, block, first, min(columns, count - first), lanes)
                    patches = min(size, seen - step)
                    pack_patches(panel, at, columns, staged, stage.plane, table, pieces, found, step, step + patches)
                    if patches < size:
                        ones = panel[at + patches * columns : at + size * columns]
                        for i in range(ones.size):
                            ones[i] = 1
                start = address_of(target) + (corner + left) * item
                begin_with = 0 if step == 0 else ADD
                # a panel of A at a time: results are written along ROWS lines, not to all lines in turn
                for top in range(0, lines, ROWS):
                    area = (top, min(lines, top + ROWS), 0, right - left)
                    tiles(target, area, size, ROWS, a, b, start, ldc, begin_with, weights, relu)
        if not direct:
            _scatter(y, first_line, result, block, target, lines, count)
        elif not in_registers(epilogue):
            for line in range(lines):
                at = corner + line * ldc
                finish_rows(epilogue, y, at, at, count)


@compiled
def _channels(begin, end, y, source, w, windows, result, cut, groups, filter_, per_group, epilogue):
    """As _blocks, where each group is one channel that gives one: see depthwise.py."""
    z_window, y_window, x_window = windows
    planes, height, width = result.size
    places, full_places = planes * height * width, result.full[0] * result.full[1] * result.full[2]
    source_size = z_window.size * y_window.size * x_window.size
    taps = z_window.taps * y_window.taps * x_window.taps
    direct = full_places == places
    room = room_of(windows, cut, y)
    weights = scratch(1, taps, y)
    z_first, y_first, x_first = filter_.first
    z_step, y_step, x_step = filter_.step
    for number in range(begin, end):
        rest, place = number // cut.blocks, number % cut.blocks
        channel, plane = rest // planes, rest % planes
        group = channel % groups
        t = 0
        for tz in range(z_window.taps):
            for ty in range(y_window.taps):
                row = (z_first + tz * z_step) * filter_.height + y_first + ty * y_step
                at_row = group * per_group + row * filter_.width + x_first
                for tx in range(x_window.taps):
                    weights[t] = w[at_row + tx * x_step]
                    t += 1
        bias = epilogue.bias[group] if epilogue.bias.size else y.dtype.type(0)
        block = block_of(cut, place, plane, height, width)
        count = block.rows * block.columns
        if direct:
            target, corner, ldc = y, channel * places + (plane * height + block.y) * width + block.x, width
        else:
            target, corner, ldc = scratch(4, count, y), 0, block.columns
        begins = channel * source_size
        channel_block(target, corner, ldc, source, begins, weights, windows, room, block, bias)
        if direct:
            finish_rows(epilogue, y, corner, corner, count)
        else:
            _scatter(y, channel * full_places, result, block, target, 1, count)


@compiled
def _scatter(y, first_line, result, block, values, lines, count):
    """Results that have `count` places in a row, to where they belong."""
    places = result.full[0] * result.full[1] * result.full[2]
    z = block.z * result.stride[0] + result.first[0]
    step = result.stride[2]
    for line in range(lines):
        for row in range(block.rows):
            at_row = z * result.full[1] + (block.y + row) * result.stride[1] + result.first[1]
            to = first_line + line * places + at_row * result.full[2] + block.x * step + result.first[2]
            source = values[line * count + row * block.columns : line * count + (row + 1) * block.columns]
            for i in range(source.size):
                y[to + i * step] = source[i]


@compiled
def _zeros(begin, end, y, result):
    """Images and channels begin .. end: results that see nothing."""
    places = result.full[0] * result.full[1] * result.full[2]
    for number in range(begin, end):
        for z in range(result.size[0]):
            for row in range(result.size[1]):
                at_row = (z * result.stride[0] + result.first[0]) * result.full[1] + row * result.stride[1]
                to = number * places + (at_row + result.first[1]) * result.full[2] + result.first[2]
                for i in range(result.size[2]):
                    y[to + i * result.stride[2]] = 0


@compiled
def blocks_and_channels(y, source, w, images, groups, lines, channels, windows, filter_, per_group, result, epilogue):
    """See convolve.convolve."""
    z, y_window, x_window = windows
    planes, height, width = result.size
    taps = z.taps * y_window.taps * x_window.taps
    bias = epilogue.bias
    depth = channels * taps + (1 if bias.size else 0)
    if images * groups * lines * planes * height * width == 0:
        return
    if depth == 0:
        parallel_for(_zeros, images * groups * lines, 64, (y, result))
        return
    if lines == 1 and channels == 1 and taps:
        cut = cut_plane(height, width, CHANNEL_PLACES, 1, z, y_window, x_window, 1)
        grain = max(1, int(WORK / 4) // (cut.rows * cut.columns * taps))
        arguments = (y, source, w, windows, result, cut, groups, filter_, per_group, epilogue)
        parallel_for(_channels, images * groups * planes * cut.blocks, grain, arguments)
        return
    panels = groups * ((lines + ROWS - 1) // ROWS)
    packed = scratch(0, panels * panel_size(ROWS, depth), y)
    counts = (z.taps, y_window.taps, x_window.taps)
    weights = (packed, w, bias, filter_, per_group, lines, channels, counts, depth)
    parallel_for(_pack_weights, panels, max(1, 16384 // (ROWS * depth)), weights)
    cut = cut_plane(height, width, PLACES, channels, z, y_window, x_window, panel_width(y) // 2)
    work = float(cut.rows * cut.columns) * lines * depth
    prepare(shared.TILES if y.itemsize == 4 else shared.TILES + 1)
    parallel_for(
        _blocks,
        images * groups * planes * cut.blocks,
        max(1, int(WORK / work)),
        (y, source, packed, windows, result, cut, groups, lines, channels, depth, epilogue),
    )
