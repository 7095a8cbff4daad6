"""The gradient of a convolution's weight: a product whose depth is all places of all images. And of its bias: sums.

    dw' (channels x taps, K)  (+)=  patches (channels x taps, places)  dy' (places, K)

The results are transposed, so that it is dy that is turned into panels, not the patches, which are as many times larger
as there are taps: staged rows are only copied, and the tile reads them along the depth. The sum is cut into parts,
and the channels too, by shape alone; each part has a sum of its own, and the parts are added in their order.
"""

from .. import shared
from ..jit import compiled, parallel_for, scratch
from ..shared import prepare
from .conv_blocks import CHANNEL_PLACES, PLACES, WORK
from .depthwise import channel_gradients
from .pack import Panels, address_of, matrix, pack_panel, panel_size, panel_width
from .target import ROWS, VECTOR_BYTES
from .tile import ADD
from .tiles import tiles
from .window import block_of, cut_plane, fill_pieces, fill_stage, fill_taps, numbers, pack_depth, panels_size, stage_of

CHUNKS = 16  # of the whole sum
SUMS = 2**21  # elements of all partial sums
PATCHES = 32_768  # elements of the patches that are copied at a time
SKEW = 16  # lines whose elements would want the same few places of L1 are kept apart


@compiled
def _parts(begin, end, sums, dz, x, windows, size, cut, groups, lines, channels, plan, blocks):
    """Parts begin .. end: the sum over a range of blocks, for a range of a group's channels."""
    per_part, share, shares = plan
    z_window, y_window, x_window = windows
    planes, height, width = size
    places = planes * height * width
    source_size = z_window.size * y_window.size * x_window.size
    taps = z_window.taps * y_window.taps * x_window.taps
    columns, item = panel_width(sums), sums.itemsize
    lanes = VECTOR_BYTES // item
    stage = stage_of(z_window, y_window, x_window, cut.rows, cut.columns)
    most = cut.rows * cut.columns
    pitch = (most + lanes - 1) // lanes * lanes + SKEW
    together = max(1, PATCHES // (pitch * ROWS)) * ROWS
    integers = numbers(2, taps + 2 * most)
    table, pieces = integers[:taps], integers[taps:]
    fill_taps(table, stage, z_window, y_window, x_window)
    staged = scratch(6, share * stage.plane + 2 * lanes, sums)
    patches = scratch(7, together * pitch + lanes, sums)
    turned = scratch(1, panels_size(lines, columns, most), sums)
    for number in range(begin, end):
        part, rest = number // (groups * shares), number % (groups * shares)
        group, first_channel = rest // shares, rest % shares * share
        here = min(share, channels - first_channel)
        corner = ((part * groups + group) * channels + first_channel) * taps * lines
        start = 0
        for place in range(part * per_part, min(blocks, (part + 1) * per_part)):
            image, plane = place // (planes * cut.blocks), place // cut.blocks % planes
            block = block_of(cut, place % cut.blocks, plane, height, width)
            count = block.rows * block.columns
            at = ((image * groups + group) * channels + first_channel) * source_size
            fill_stage(staged, stage, x, at, here, z_window, y_window, x_window, block)
            begins = (image * groups + group) * lines * places + (plane * height + block.y) * width + block.x
            grads = matrix(dz[begins:], places, lines, True)
            for first in range(0, lines, columns):
                pack_panel(turned, first // columns * panel_size(columns, count), columns, grads, first, 0, count)
            found = fill_pieces(pieces, stage, y_window, block, 0, count, lanes)
            b = Panels(address_of(turned), panel_size(columns, count), 1, columns)
            for first in range(0, here * taps, together):
                last = min(here * taps, first + together)
                pack_depth(patches, pitch, staged, stage.plane, table, pieces, found, first, last)
                a = Panels(address_of(patches), ROWS * pitch, pitch, 1)
                to = address_of(sums) + (corner + first * lines) * item
                tiles(sums, (0, last - first, 0, lines), count, ROWS, a, b, to, lines, start, to, False)
            start = ADD


@compiled
def add_parts(begin, end, sums, parts, size):
    total = sums[begin:end]
    for part in range(1, parts):
        more = sums[part * size + begin : part * size + end]
        for i in range(total.size):
            total[i] += more[i]


@compiled
def _turn(begin, end, dw, sums, lines, depth, accumulate):
    """dw[k, i] (+)= sums[i, k] for groups' lines begin .. end."""
    for line in range(begin, end):
        group, column = line // lines, line % lines
        row, at = dw[line * depth : (line + 1) * depth], group * depth * lines + column
        if accumulate:
            for i in range(row.size):
                row[i] += sums[at + i * lines]
        else:
            for i in range(row.size):
                row[i] = sums[at + i * lines]


@compiled
def _zero(dw):
    for i in range(dw.size):
        dw[i] = 0


@compiled
def weight_gradient(dw, dz, x, images, groups, lines, channels, windows, size, accumulate):
    """dw (+)= the gradient of the weights of a convolution of x (images, groups x channels, ...) whose results have the
    gradient dz (images, groups x lines, size). All arrays are flat."""
    z, y, x_window = windows
    planes, height, width = size
    taps = z.taps * y.taps * x_window.taps
    if images * planes * height * width == 0:
        if not accumulate:
            _zero(dw)
        return
    if lines == 1 and channels == 1:
        cut = cut_plane(height, width, CHANNEL_PLACES, 1, z, y, x_window, 1)
        grain = max(1, int(WORK / 4) // (images * planes * height * width * taps))
        parallel_for(channel_gradients, groups, grain, (dw, dz, x, windows, size, cut, images, accumulate))
        return
    cut = cut_plane(height, width, PLACES, channels, z, y, x_window, 1)
    blocks = images * planes * cut.blocks
    depth = channels * taps
    work = float(cut.rows * cut.columns) * groups * lines * depth
    # parts of the sum, then of the channels
    per_part = max(1, int(WORK / work), (blocks + CHUNKS - 1) // CHUNKS)
    per_part = max(per_part, blocks // max(1, min(blocks, SUMS // dw.size)))
    parts = (blocks + per_part - 1) // per_part
    shares = min(channels, max(1, CHUNKS // (parts * groups)))
    share = (channels + shares - 1) // shares
    shares = (channels + share - 1) // share
    sums = scratch(5, parts * dw.size, dw)
    prepare(shared.TILES if dw.itemsize == 4 else shared.TILES + 1)
    plan = (per_part, share, shares)
    arguments = (sums, dz, x, windows, size, cut, groups, lines, channels, plan, blocks)
    parallel_for(_parts, parts * groups * shares, 1, arguments)
    parallel_for(add_parts, dw.size, 16384, (sums, parts, dw.size))
    parallel_for(_turn, groups * lines, max(1, 16384 // depth), (dw, sums, lines, depth, accumulate))


@compiled
def bias_sums(begin, end, db, dz, n, places, accumulate):
    """Channels begin .. end: db (+)= the sums of images, one after the other."""
    k = db.size
    for channel in range(begin, end):
        total = db.dtype.type(0)
        for image in range(n):
            row = dz[(image * k + channel) * places : (image * k + channel + 1) * places]
            part = db.dtype.type(0)
            for i in range(row.size):
                part += row[i]
            total += part
        db[channel] = db[channel] + total if accumulate else total
