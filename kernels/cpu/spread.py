"""The gradient of a convolution's input as a product, whose results are then spread over what each tap sees.

    for each image, group and share of its channels                                  parallel
        for each block of rows of dy
            seen (channels x taps, places) = w' (channels x taps, K)  dy (K, places)     tiles
            dx[channel, where a tap sees a place] += seen[channel and tap, place]        rows.py

No multiplication is in vain, and dy is read once, not once a tap. As a convolution of dy (conv_input.py) it would
leave most rows of a tile empty where channels are few; and with strides it falls into as many convolutions as there are
remainders.
"""

from .. import shared
from ..jit import compiled, parallel_for, scratch
from ..shared import prepare
from .pack import Panels, address_of, matrix, pack_panel, panel_size, panel_width
from .rows import add_shifted
from .target import ROWS
from .tiles import tiles
from .window import numbers

SEEN = 98_304  # elements of a block of the product, about: they fit half of L2
GRADIENTS = 65_536  # elements of a block of dy, about
PLACES = 1024  # of a block, about
SHARE = 9 * ROWS  # rows of the product of a share of the channels, about
CHUNKS = 16  # of the whole, at least, where there are channels enough
SKEW = 16  # rows whose places would want the same lines of L1 are kept apart
REUSE = 64  # rows of the product from which packing dy pays


@compiled
def _rows_seen(table, y, x, tz, rest, row, first_row, rows, width, pitch):
    """The rows of the product that add to the places `rest`, `rest` + stride, ... of a row of dx; how many they are."""
    count = 0
    for ty in range(y.taps):
        over = row - y.first - ty * y.step
        from_row = over // y.stride - first_row
        if over % y.stride == 0 and 0 <= from_row < rows:
            for tx in range(x.taps):
                place = x.first + tx * x.step
                if place % x.stride == rest:
                    tap = (tz * y.taps + ty) * x.taps + tx
                    table[2 * count], table[2 * count + 1] = tap * pitch + from_row * width, place // x.stride
                    count += 1
    return count


@compiled
def _interleave(row, line, stride, part):
    """row[i * stride + rest] += line[rest * part + i]."""
    if stride == 2:
        even, odd = line[: row.size // 2], line[part : part + row.size // 2]
        for i in range(even.size):
            row[2 * i] += even[i]
            row[2 * i + 1] += odd[i]
        if row.size % 2:
            row[row.size - 1] += line[part - 1]
        return
    for rest in range(min(stride, row.size)):
        for i in range((row.size - rest + stride - 1) // stride):
            row[i * stride + rest] += line[rest * part + i]


@compiled
def _spread(dx, begin, channels, seen, pitch, windows, table, line, place, rows, width):
    """Add a block of the product, `rows` rows of dy from `place` on, to the gradients that begin at dx[begin]."""
    z, y, x = windows
    plane, first_row = place
    most = x.taps * y.taps
    per_channel, volume = z.taps * most * pitch, z.size * y.size * x.size
    part = (x.size + x.stride - 1) // x.stride
    counts = table[2 * most * x.stride :]
    top = first_row * y.stride + y.first
    bottom = top + (rows - 1) * y.stride + (y.taps - 1) * y.step
    for tz in range(z.taps):
        iz = plane * z.stride + z.first + tz * z.step
        if iz < 0 or iz >= z.size:
            continue
        for row in range(max(0, top), min(y.size - 1, bottom) + 1):
            at, found = begin + (iz * y.size + row) * x.size, 0
            for rest in range(x.stride):
                entries = table[2 * most * rest :]
                counts[rest] = _rows_seen(entries, y, x, tz, rest, row, first_row, rows, width, pitch)
                found += counts[rest]
            if found == 0:
                continue
            for c in range(channels):
                if x.stride == 1:
                    add_shifted(dx, at, x.size, seen, c * per_channel, width, table, found, True)
                else:
                    for rest in range(x.stride):
                        entries, to = table[2 * most * rest :], rest * part
                        add_shifted(line, to, part, seen, c * per_channel, width, entries, counts[rest], False)
                    _interleave(dx[at : at + x.size], line, x.stride, part)
                at += volume


@compiled
def _pack_weights(begin, end, packed, w, lines, rows, share, panels):
    """Panels begin .. end of all groups and shares: the weights of ROWS channels and taps, a step for each line."""
    shares = (rows + share - 1) // share
    for number in range(begin, end):
        group, rest = number // (shares * panels), number % (shares * panels)
        first = rest // panels * share
        weights = matrix(w[group * lines * rows :], rows, min(rows, first + share), False)
        first += rest % panels * ROWS
        if first < weights.lines:
            pack_panel(packed, number * panel_size(ROWS, lines), ROWS, weights, first, 0, lines)


@compiled
def _shares(begin, end, dx, dz, packed, windows, size, plan, groups, lines, channels):
    """Shares begin .. end of the channels of all images and groups."""
    z, y, x = windows
    share, shares, panels, block_rows = plan
    planes, height, width = size
    places, taps, volume = planes * height * width, z.taps * y.taps * x.taps, z.size * y.size * x.size
    columns, item = panel_width(dx), dx.itemsize
    pitch = (block_rows * width + columns - 1) // columns * columns + SKEW
    packs = share * taps > REUSE
    seen, staged = scratch(6, share * taps * pitch, dx), scratch(7, 0 if packs else lines * pitch, dx)
    line = scratch(4, (x.size + x.stride - 1) // x.stride * x.stride, dx)
    panel = scratch(1, panel_size(columns, lines), dx)
    table = numbers(2, (2 * y.taps * x.taps + 1) * x.stride)
    blocks = (height + block_rows - 1) // block_rows
    target = address_of(seen)
    for number in range(begin, end):
        first_channel = number % shares * share
        here = min(share, channels - first_channel)
        to = (number // shares * channels + first_channel) * volume
        gradient = dx[to : to + here * volume]
        for i in range(gradient.size):
            gradient[i] = 0
        at_weights = number % (groups * shares) * panels * panel_size(ROWS, lines)
        a = Panels(address_of(packed) + at_weights * item, panel_size(ROWS, lines), 1, ROWS)
        for block in range(planes * blocks):
            plane, row = block // blocks, block % blocks * block_rows
            rows = min(block_rows, height - row)
            at, count = number // shares * lines * places + (plane * height + row) * width, rows * width
            if packs:
                grads = matrix(dz[at:], places, count, False)
                b = Panels(address_of(panel), 0, 1, columns)
                for left in range(0, count, columns):
                    pack_panel(panel, 0, columns, grads, left, 0, lines)
                    area = (0, here * taps, 0, min(columns, count - left))
                    tiles(seen, area, lines, ROWS, a, b, target + left * item, pitch, 0, target, False)
            else:
                # rows one after the other: tiles would fetch a little of each from memory, which is slow to come
                for k in range(lines):
                    given, out = dz[at + k * places : at + k * places + count], staged[k * pitch : k * pitch + count]
                    for i in range(given.size):
                        out[i] = given[i]
                b = Panels(address_of(staged), columns, 1, pitch)
                tiles(seen, (0, here * taps, 0, count), lines, ROWS, a, b, target, pitch, 0, target, False)
            _spread(dx, to, here, seen, pitch, windows, table, line, (plane, row), rows, width)


@compiled
def spread(dx, dz, w, images, groups, lines, channels, windows, size):
    """dx = the gradient of the input of a convolution whose results, (images, groups x lines, size), have gradient dz.

    windows: those of the convolution. Nothing is empty; all arrays are flat.
    """
    z, y, x = windows
    height, width = size[1], size[2]
    taps = z.taps * y.taps * x.taps
    wanted = (CHUNKS + images * groups - 1) // (images * groups)
    share = min(max(1, SHARE // taps), (channels + wanted - 1) // wanted)
    shares = (channels + share - 1) // share
    share = (channels + shares - 1) // shares
    block_rows = min(height, max(1, min(SEEN // (share * taps), GRADIENTS // lines, PLACES) // width))
    blocks = (height + block_rows - 1) // block_rows
    block_rows = (height + blocks - 1) // blocks
    panels = (share * taps + ROWS - 1) // ROWS
    count = groups * shares * panels
    packed = scratch(0, count * panel_size(ROWS, lines), dx)
    weights = (packed, w, lines, channels * taps, share * taps, panels)
    parallel_for(_pack_weights, count, max(1, 16384 // (ROWS * lines)), weights)
    prepare(shared.TILES if dx.itemsize == 4 else shared.TILES + 1)
    plan = (share, shares, panels, block_rows)
    arguments = (dx, dz, packed, windows, size, plan, groups, lines, channels)
    parallel_for(_shares, images * groups * shares, 1, arguments)
