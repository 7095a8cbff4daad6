"""The transposed convolution nest: products of all taps with a block of places, added up where they belong.

    weights into panels, once: a row for each channel of the result and tap    parallel over panels
    for each image, group and share of the channels                            parallel; a grid of shapes alone
        for each block of places: pack it                                      contiguous as they lie
            for a few channels: tiles, rows are channels and taps              the product stays in L2
                each row of it is added to the row of sums that its tap reaches
        sums to the result, with bias and activation

Sums of a row are sorted by the remainder of the column modulo the stride: what a tap adds lies side by side there. With
few channels in the group there is nothing to multiply in tiles: rows of x are added, times the weight.
"""

from typing import NamedTuple

from .. import shared
from ..jit import compiled, parallel_for, scratch
from ..shared import prepare
from .conv_blocks import WORK
from .epilogue import finish_rows
from .pack import Panels, address_of, matrix, pack_panel, panel_size, panel_width
from .target import ROWS
from .tiles import tiles
from .window import Window, block_of, cut_plane, numbers

CHUNKS = 16  # of the work, where images are few
TOGETHER = 8 * ROWS  # rows of a product, about
PLACES = 256  # columns of a product, at most about
PRODUCT = 32_768  # elements of a product: with the sums it stays in L2
SUMS = 131_072  # elements of a share's sums
FEW = 4  # channels that are too few for tiles


class Shape(NamedTuple):
    """Numbers of a transposed convolution, three each."""

    source: tuple  # size of x
    result: tuple  # size of y
    taps: tuple
    stride: tuple
    padding: tuple
    dilation: tuple


class Plan(NamedTuple):
    """How channels of a group go together."""

    few: int  # channels of a product
    share: int  # channels whose sums are made at a time
    shares: int
    part: int  # from one remainder to the next, in a row of sums


@compiled
def _pack_rows(begin, end, packed, w, few, lines, channels, taps):
    """Panels begin .. end of the weights of all groups: ROWS rows of a product, a step for each channel of x."""
    blocks, panels = (lines + few - 1) // few, (few * taps + ROWS - 1) // ROWS
    for number in range(begin, end):
        group, block, panel = number // (blocks * panels), number // panels % blocks, number % panels
        rows = matrix(w[group * channels * lines * taps :], lines * taps, lines * taps, False)
        first = block * few * taps + panel * ROWS
        if first < lines * taps:
            pack_panel(packed, number * panel_size(ROWS, channels), ROWS, rows, first, 0, channels)


@compiled
def _fill_columns(table, shape, part, block):
    """For each tap of a row: where its sums begin, seen from the block's first column, and which columns count."""
    stride, width = shape.stride[2], shape.result[2]
    for tap in range(shape.taps[2]):
        offset = tap * shape.dilation[2] - shape.padding[2]
        rest, shift = offset % stride, offset // stride + block.x
        reached = max(0, (width - rest + stride - 1) // stride)
        first = min(block.columns, max(0, -shift))
        table[3 * tap], table[3 * tap + 1] = rest * part + shift, first
        table[3 * tap + 2] = max(first, min(block.columns, reached - shift))


@compiled
def _add_rows(sums, values, begin, pitch, factors, factor, step, count, shape, table, block, line):
    """Add what `count` channels of the result get of a block. Row r of a product begins at values[begin + r * pitch],
    and is multiplied by factors[factor + r * step]; line: elements of a row of sums."""
    sd, sh, _ = shape.stride
    pd, ph, _ = shape.padding
    dd, dh, _ = shape.dilation
    kd, kh, kw = shape.taps
    depth, height, _ = shape.result
    for number in range(count * kd * kh * kw):
        column, row_tap = number % kw, number // kw % kh
        channel, plane_tap = number // (kw * kh * kd), number // (kw * kh) % kd
        plane = block.z * sd + plane_tap * dd - pd
        if plane < 0 or plane >= depth:
            continue
        to, first, last = table[3 * column], table[3 * column + 1], table[3 * column + 2]
        scale, at = factors[factor + number * step], begin + number * pitch
        for row in range(block.rows):
            place = (block.y + row) * sh + row_tap * dh - ph
            if place >= 0 and place < height:
                from_ = at + row * block.columns
                given = values[from_ + first : from_ + last]
                target = ((channel * depth + plane) * height + place) * line + to + first
                out = sums[target : target + given.size]
                for i in range(given.size):
                    out[i] += given[i] * scale


@compiled
def _finish(y, begin, sums, count, shape, part, epilogue):
    """`count` channels of sums to the result, from y[begin] on."""
    width, stride = shape.result[2], shape.stride[2]
    for row in range(count * shape.result[0] * shape.result[1]):
        at, out = row * part * stride, y[begin + row * width : begin + (row + 1) * width]
        if stride == 2:
            even, odd = sums[at : at + part], sums[at + part : at + 2 * part]
            for i in range(width // 2):
                out[2 * i], out[2 * i + 1] = even[i], odd[i]
            if width % 2:
                out[width - 1] = even[width // 2]
        else:
            for rest in range(min(stride, width)):
                line = sums[at + rest * part : at + rest * part + (width - rest + stride - 1) // stride]
                for i in range(line.size):
                    out[rest + i * stride] = line[i]
        finish_rows(epilogue, y, begin + row * width, begin + row * width, width)


@compiled
def _shares(begin, end, y, x, w, packed, groups, lines, channels, shape, plan, cut, epilogue):
    """Images, groups and shares begin .. end."""
    planes, height, width = shape.source
    size, taps = planes * height * width, shape.taps[0] * shape.taps[1] * shape.taps[2]
    places = shape.result[0] * shape.result[1] * shape.result[2]
    line = plan.part * shape.stride[2]
    per_channel = shape.result[0] * shape.result[1] * line
    columns, tiled = panel_width(y), channels >= FEW
    most, rows = cut.rows * cut.columns, plan.few * taps
    sums, one = scratch(7, plan.share * per_channel, y), scratch(4, 1, y)
    panel = scratch(1, (most + columns - 1) // columns * panel_size(columns, channels), y)
    product = scratch(6, rows * most, y)
    table = numbers(2, 3 * shape.taps[2])
    one[0] = 1
    blocks, panels = (lines + plan.few - 1) // plan.few, (rows + ROWS - 1) // ROWS
    for number in range(begin, end):
        image, group = number // (groups * plan.shares), number // plan.shares % groups
        first = number % plan.shares * plan.share
        count = min(plan.share, lines - first)
        for channel in range(count):
            start = epilogue.bias[group * lines + first + channel] if epilogue.bias.size else y.dtype.type(0)
            out = sums[channel * per_channel : (channel + 1) * per_channel]
            for i in range(out.size):
                out[i] = start
        given = (image * groups + group) * channels * size
        for place in range(planes * cut.blocks):
            block = block_of(cut, place % cut.blocks, place // cut.blocks, height, width)
            corner, here = (block.z * height + block.y) * width + block.x, block.rows * block.columns
            _fill_columns(table, shape, plan.part, block)
            if not tiled:
                for channel in range(channels):
                    from_ = given + channel * size + corner
                    factor = ((group * channels + channel) * lines + first) * taps
                    _add_rows(sums, x, from_, 0, w, factor, 1, count, shape, table, block, line)
                continue
            for left in range(0, here, columns):
                at = left // columns * panel_size(columns, channels)
                pack_panel(panel, at, columns, matrix(x[given:], size, size, False), corner + left, 0, channels)
            b = Panels(address_of(panel), panel_size(columns, channels), 1, columns)
            for channel in range(0, count, plan.few):
                few = min(plan.few, count - channel)
                at = (group * blocks + (first + channel) // plan.few) * panels * panel_size(ROWS, channels)
                a = Panels(address_of(packed[at:]), panel_size(ROWS, channels), 1, ROWS)
                to = address_of(product)
                tiles(product, (0, few * taps, 0, here), channels, ROWS, a, b, to, here, 0, to, False)
                reached = sums[channel * per_channel :]
                _add_rows(reached, product, 0, here, one, 0, 0, few, shape, table, block, line)
        _finish(y, ((image * groups + group) * lines + first) * places, sums, count, shape, plan.part, epilogue)


@compiled
def transposed(y, x, w, images, groups, lines, channels, shape, epilogue):
    """y (images, groups x lines, ...) = the transposed convolution of x (images, groups x channels, ...), w (groups x
    channels, lines, taps). All arrays are flat."""
    taps = shape.taps[0] * shape.taps[1] * shape.taps[2]
    part = (shape.result[2] + shape.stride[2] - 1) // shape.stride[2]
    per_channel = shape.result[0] * shape.result[1] * part * shape.stride[2]
    if y.size == 0:
        return
    few = min(lines, max(1, TOGETHER // max(1, taps)))
    blocks = (lines + few - 1) // few
    # so many shares that all threads have work, and the sums of each stay in cache
    wanted = min(blocks, (CHUNKS + images * groups - 1) // (images * groups))
    share = few * max(1, min((blocks + wanted - 1) // wanted, SUMS // (few * per_channel)))
    plan = Plan(few, share, (lines + share - 1) // share, part)
    step = Window(shape.source[2], 1, 0, 1, 1)
    most = max(panel_width(y), min(PLACES, PRODUCT // max(1, few * taps)))
    cut = cut_plane(shape.source[1], shape.source[2], most, 1, step, step, step, panel_width(y) // 2)
    packed = y[:0]
    if channels >= FEW:
        panels = groups * blocks * ((few * taps + ROWS - 1) // ROWS)
        packed = scratch(0, panels * panel_size(ROWS, channels), y)
        grain = max(1, 16384 // (ROWS * channels))
        parallel_for(_pack_rows, panels, grain, (packed, w, few, lines, channels, taps))
        prepare(shared.TILES if y.itemsize == 4 else shared.TILES + 1)
    size = shape.source[0] * shape.source[1] * shape.source[2]
    work = float(share) * (per_channel + size * channels * taps)
    arguments = (y, x, w, packed, groups, lines, channels, shape, plan, cut, epilogue)
    parallel_for(_shares, images * groups * plan.shares, max(1, int(WORK / work)), arguments)
