"""The gradient of the weights of a 3 x 3 convolution by Winograd's F(2 x 2, 3 x 3): what winograd.py does, transposed.

    for each part of the sum, and share of a group's lines and channels         parallel; cut by shape alone
        for each few rows of tiles
            turn the source's places, then dz's: channels, lines side by side   a panel's at a time, in L1
                for each tile: transform                                        straight into panels, 16 of them
            16 products: rows are channels, columns lines, the depth tiles      tiles
    add the parts in their order; transform the sums back                       winograd_transform.py

Vectors run over channels here, not over tiles: both operands are wanted with tiles as steps. As in winograd.py sums
that come out as Inf or NaN are left to the direct form.
"""

from typing import NamedTuple

from .. import shared
from ..jit import compiled, exact, parallel_for, scratch
from ..shared import prepare
from .conv_weight import CHUNKS, add_parts
from .pack import Panels, address_of, matrix, pack_panel, panel_size, panel_width, transpose_block
from .target import ROWS, VECTOR_BYTES
from .tile import ADD
from .tiles import tiles
from .window import numbers
from .winograd import SKEW
from .winograd_transform import ELEMENTS, gradient_lines, source_channels, weight_sums

TILES = 64  # of a block, about: their transforms and a share's sums fit L2
SHARE = 64  # lines, and channels, of a share, about
TURNED = 32  # channels whose gradients are turned at a time: they stay in L1
NOTHING = 64  # elements at the start of a stage that are 0: what lies outside


class View(NamedTuple):
    """What a tile sees of a plane: side x side places from row 2 * y + top, column 2 * x + left on."""

    height: int
    width: int
    top: int
    left: int
    side: int


class Tiles(NamedTuple):
    """How tiles are cut: `down` x `across` of an image; blocks of `rows` rows, or of `columns` tiles of a row."""

    down: int
    across: int
    rows: int
    columns: int


@compiled
def _columns_of(view, cut, x, wide):
    """The columns of a plane that `wide` tiles from x on see; all of them where a block has whole rows."""
    if cut.columns == cut.across:
        return 0, view.width
    first = max(0, 2 * x + view.left)
    return first, max(first, min(view.width, 2 * (x + wide - 1) + view.left + view.side))


@compiled
def _rows_of(view, cut, image, row, rows):
    """The rows of an image's plane that rows row .. row + rows of all tiles see."""
    first, last = max(row - image * cut.down, 0), min(row + rows - image * cut.down, cut.down)
    top = max(0, 2 * first + view.top)
    return top, max(top, min(view.height, 2 * (last - 1) + view.top + view.side))


@compiled
def _fill_table(table, view, cut, place, width):
    """Where the stage holds each place of each tile, `width` elements a place."""
    row, rows, x, wide = place
    left, right = _columns_of(view, cut, x, wide)
    base, at = NOTHING, 0
    for number in range(row, row + rows):
        image, y = number // cut.down, number % cut.down
        top, bottom = _rows_of(view, cut, image, row, rows)
        if y == 0 and number > row:
            # the image before has come to its end
            before, end = _rows_of(view, cut, image - 1, row, rows)
            base += (end - before) * (right - left) * width
        for tile in range(x, x + wide):
            for i in range(view.side):
                place_y = 2 * y + view.top + i
                for j in range(view.side):
                    place_x = 2 * tile + view.left + j
                    inside = place_y >= top and place_y < bottom and place_x >= left and place_x < right
                    table[at] = base + ((place_y - top) * (right - left) + place_x - left) * width if inside else 0
                    at += 1


@compiled
def _stage(stage, data, stride, count, begins, per_image, line, view, cut, place, width):
    """Turn the places that a block sees of lines line .. line + width, of `count` that lie `stride` apart."""
    row, rows, x, wide = place
    left, right = _columns_of(view, cut, x, wide)
    at = NOTHING
    for image in range(row // cut.down, (row + rows - 1) // cut.down + 1):
        top, bottom = _rows_of(view, cut, image, row, rows)
        lines = matrix(data[begins + image * per_image :], stride, count, True)
        if right - left == view.width:
            pack_panel(stage, at, width, lines, line, top * view.width, (bottom - top) * view.width)
            at += (bottom - top) * view.width * width
        else:
            for y in range(top, bottom):
                pack_panel(stage, at, width, lines, line, y * view.width + left, right - left)
                at += (right - left) * width


@compiled
def _staged(view, cut, width):
    """Elements of the stage of a block, at most."""
    images = (cut.rows - 1) // cut.down + 2
    columns = view.width if cut.columns == cut.across else 2 * cut.columns + 2
    return NOTHING + min(images * view.height, 2 * (cut.rows + images)) * columns * width + 2 * NOTHING


@exact
def _to_panels(panels, part, data, begins, per_image, stride, lines, height, pitch, stage, table, view, cut, place):
    """Transform what the tiles at a place see of lines, `stride` elements apart in each image, into panels of
    `height` lines, `pitch` elements from step to step."""
    _, rows, _, wide = place
    item, count = data.itemsize, rows * wide
    lanes, like = VECTOR_BYTES // item, data.dtype.type(0)
    numbers_of = view.side * view.side
    _fill_table(table, view, cut, place, pitch)
    for line in range(0, lines, height):
        _stage(stage, data, stride, lines, begins, per_image, line, view, cut, place, pitch)
        to = panels + line // height * panel_size(pitch, count) * item
        for tile in range(count):
            at = address_of(table) + tile * numbers_of * 8
            for v in range(0, min(height, lines - line), lanes):
                from_, where = address_of(stage) + v * item, to + (tile * pitch + v) * item
                if view.side == 4:
                    source_channels(like, from_, at, where, part)
                else:
                    gradient_lines(like, from_, at, where, part)


@compiled
def _parts(begin, end, sums, dz, x, gradients, source, cut, images, groups, lines, channels, plan):
    """Parts and shares begin .. end: the sums of products of a range of blocks, lines and channels."""
    per_part, line_share, line_shares, channel_share, channel_shares, pitch = plan
    width, item = panel_width(sums), sums.itemsize
    lanes = VECTOR_BYTES // item
    # whole vectors from step to step: none is stored across two lines of cache
    height = (ROWS + lanes - 1) // lanes * lanes
    most = cut.rows * cut.columns
    seen, places = source.height * source.width, gradients.height * gradients.width
    table = numbers(2, ELEMENTS * most)
    stage = scratch(6, max(_staged(source, cut, height), _staged(gradients, cut, width)), sums)
    for i in range(NOTHING):
        stage[i] = 0
    channel_panels, line_panels = (channel_share + ROWS - 1) // ROWS, (line_share + width - 1) // width
    source_part = channel_panels * panel_size(height, most) + SKEW
    gradient_part = line_panels * panel_size(width, most) + SKEW
    transformed = scratch(7, ELEMENTS * (source_part + gradient_part), sums)
    sources, grads = address_of(transformed), address_of(transformed) + ELEMENTS * source_part * item
    pieces = (cut.across + cut.columns - 1) // cut.columns
    all_rows = images * cut.down
    blocks = (all_rows + cut.rows - 1) // cut.rows * pieces
    for number in range(begin, end):
        rest, channel = number // channel_shares, number % channel_shares * channel_share
        rest, line = rest // line_shares, rest % line_shares * line_share
        part, group = rest // groups, rest % groups
        here_lines, here_channels = min(line_share, lines - line), min(channel_share, channels - channel)
        corner = (((part * groups + group) * ELEMENTS) * channels + channel) * pitch + line
        start = 0
        for block in range(part * per_part, min(blocks, (part + 1) * per_part)):
            row, left = block // pieces * cut.rows, block % pieces * cut.columns
            place = (row, min(cut.rows, all_rows - row), left, min(cut.columns, cut.across - left))
            count = place[1] * place[3]
            begins = (group * channels + channel) * seen
            _to_panels(sources, source_part, x, begins, groups * channels * seen, seen, here_channels, ROWS, height,
                       stage, table, source, cut, place)  # fmt: skip
            begins = (group * lines + line) * places
            _to_panels(grads, gradient_part, dz, begins, groups * lines * places, places, here_lines, width, width,
                       stage, table, gradients, cut, place)  # fmt: skip
            for element in range(ELEMENTS):
                a = Panels(sources + element * source_part * item, panel_size(height, count), 1, height)
                b = Panels(grads + element * gradient_part * item, panel_size(width, count), 1, width)
                to = address_of(sums) + (corner + element * channels * pitch) * item
                tiles(sums, (0, here_channels, 0, here_lines), count, ROWS, a, b, to, pitch, start, to, False)
            start = ADD


@exact
def _to_weights(begin, end, sums, strange, groups, lines, channels, pitch):
    """Lines' vectors of groups' channels begin .. end: from 16 sums to the gradients of nine weights, in place."""
    like, lanes = sums.dtype.type(0), VECTOR_BYTES // sums.itemsize
    for number in range(begin, end):
        group, channel = number // channels, number % channels
        at = (group * ELEMENTS * channels + channel) * pitch
        for line in range(0, lines, lanes):
            where = address_of(sums) + (at + line) * sums.itemsize
            if weight_sums(like, where, channels * pitch, min(lanes, lines - line)) != 0:
                # whoever comes writes the same
                strange[0] = 1


@compiled
def _turn(begin, end, dw, sums, lines, channels, pitch, accumulate):
    """A vector of lines of a group, begin .. end: nine planes of channels x lines to where the weights lie."""
    lanes = VECTOR_BYTES // sums.itemsize
    vectors, part = (lines + lanes - 1) // lanes, channels * pitch
    most = min(channels, TURNED)
    # whole vectors are stored: room for what they spill over a row's end
    width = 9 * most + lanes
    turned = scratch(4, lanes * width, sums)
    for number in range(begin, end):
        group, line = number // vectors, number % vectors * lanes
        for first in range(0, channels, most):
            here = min(most, channels - first)
            for c in range(here):
                at = group * ELEMENTS * part + (first + c) * pitch + line
                for t in range(0, 9, lanes):
                    transpose_block(sums, at + t * part, part, min(lanes, 9 - t) - 1, turned, c * 9 + t, width)
            for i in range(min(lanes, lines - line)):
                corner = ((group * lines + line + i) * channels + first) * 9
                row, given = dw[corner : corner + here * 9], turned[i * width : i * width + here * 9]
                if accumulate:
                    for j in range(row.size):
                        row[j] += given[j]
                else:
                    for j in range(row.size):
                        row[j] = given[j]


@compiled
def winograd_weight(dw, dz, x, images, groups, lines, channels, planes, accumulate):
    """dw (+)= the gradient of 3 x 3 weights by x, (images, groups x channels) planes, and dz, the gradient of the
    results. Gives whether all is finite; where it is not dw is as it was. All arrays are flat."""
    source = View(planes.height, planes.width, planes.top, planes.left, 4)
    gradients = View(planes.rows, planes.columns, 0, 0, 2)
    down, across = (planes.rows + 1) // 2, (planes.columns + 1) // 2
    pieces = max(1, (across + TILES // 2) // TILES)
    columns = (across + pieces - 1) // pieces
    pieces = (across + columns - 1) // columns
    cut = Tiles(down, across, min(images * down, max(1, TILES // across)) if pieces == 1 else 1, columns)
    blocks = (images * down + cut.rows - 1) // cut.rows * pieces
    # shares of the lines and the channels, then parts of the sum
    width = panel_width(dw)
    line_shares, channel_shares = max(1, (lines + SHARE // 2) // SHARE), max(1, (channels + SHARE // 2) // SHARE)
    line_share = ((lines + line_shares - 1) // line_shares + width - 1) // width * width
    channel_share = ((channels + channel_shares - 1) // channel_shares + ROWS - 1) // ROWS * ROWS
    line_shares, channel_shares = (
        (lines + line_share - 1) // line_share,
        (channels + channel_share - 1) // channel_share,
    )
    parts = min(blocks, max(1, CHUNKS // (groups * line_shares * channel_shares)))
    per_part = (blocks + parts - 1) // parts
    parts = (blocks + per_part - 1) // per_part
    # rows of sums keep apart in L1, and a vector may be read beyond the last
    pitch = (lines + SKEW - 1) // SKEW * SKEW + SKEW
    size = groups * ELEMENTS * channels * pitch
    sums = scratch(5, parts * size, dw)
    prepare(shared.TILES if dw.itemsize == 4 else shared.TILES + 1)
    plan = (per_part, line_share, line_shares, channel_share, channel_shares, pitch)
    arguments = (sums, dz, x, gradients, source, cut, images, groups, lines, channels, plan)
    parallel_for(_parts, parts * groups * line_shares * channel_shares, 1, arguments)
    parallel_for(add_parts, size, 16384, (sums, parts, size))
    strange = numbers(4, 1)
    strange[0] = 0
    parallel_for(_to_weights, groups * channels, max(1, 1024 // lines), (sums, strange, groups, lines, channels, pitch))
    if strange[0] != 0:
        return False
    lanes = VECTOR_BYTES // dw.itemsize
    vectors = groups * ((lines + lanes - 1) // lanes)
    grain = max(1, 1024 // channels)
    parallel_for(_turn, vectors, grain, (dw, sums, lines, channels, pitch, accumulate))
    return True
