"""What a block of results of a convolution sees of its source: staged once, then packed into panels tap by tap.

    stage   the rows of the source that a block needs, zeros where it leaves the source. The columns are sorted by their
            remainder modulo the stride: what neighbours in a row of results see through one tap lies side by side
    pack    panels for the register tile, a step for each channel and tap: pieces of staged rows, vectors copied
    lines   the same pieces along the depth, for sums over places (the gradient of the weight)

A block is a rectangle of one plane of results; its results, row after row, are the lines of the operand. Nothing is
written out for more than a block: the stage and the panels at hand stay in cache.
"""

from typing import NamedTuple

import numba
import numpy as np

from ..jit import compiled, exact
from ..state import as_pointer, scratch_address
from .pack import copy_vector, panel_size
from .rows import copy_rows, zero_rows

STAGED = 65_536  # elements of a stage: they fit a quarter of L2


class Window(NamedTuple):
    """One dimension: at tap t, place o of the result sees place o * stride + first + t * step of the source."""

    size: int  # of the source
    stride: int
    first: int
    step: int  # may be negative
    taps: int


class Block(NamedTuple):
    """rows x columns results of plane z, from (y, x) on."""

    z: int
    y: int
    x: int
    rows: int
    columns: int


class Cut(NamedTuple):
    """How the results of a plane are cut: blocks of rows x columns, `across` side by side."""

    rows: int
    columns: int
    across: int
    blocks: int


class Stage(NamedTuple):
    """How a staged block lies: channel, tap of z, row, remainder, place. Strides in elements."""

    rows: int
    part: int  # from one remainder to the next
    pitch: int  # from one row to the next
    plane: int  # from one channel to the next


@compiled
def reach(window):
    return (window.taps - 1) * abs(window.step) + 1


@compiled
def lowest(window):
    return window.first + min(0, (window.taps - 1) * window.step)


@compiled
def stage_of(z, y, x, rows, columns):
    staged = (rows - 1) * y.stride + reach(y)
    part = ((columns - 1) * x.stride + reach(x) + x.stride - 1) // x.stride
    return Stage(staged, part, part * x.stride, z.taps * staged * part * x.stride)


@compiled
def cut_plane(height, width, most, channels, z, y, x, edge):
    """Blocks of whole rows, or of parts of one row where a row is long. most: places of a block, about; edge: places
    that cost as much as one."""
    if width >= most:
        across = (width + most - 1) // most
        columns = ((width + across - 1) // across + edge - 1) // edge * edge
        across = (width + columns - 1) // columns
        return Cut(1, columns, across, height * across)
    best, least = 1, 0
    for rows in range(1, min(height, max(1, most // max(1, width))) + 1):
        if rows > 1 and channels * stage_of(z, y, x, rows, width).plane > STAGED:
            break
        full, rest = height // rows, height % rows
        cost = full * ((rows * width + edge - 1) // edge) + (rest * width + edge - 1) // edge
        # what is staged twice, and a block's own cost
        cost = cost * edge + (full + (rest > 0)) * 8
        if least == 0 or cost <= least:
            best, least = rows, cost
    return Cut(best, width, 1, (height + best - 1) // best)


@compiled
def block_of(cut, number, z, height, width):
    top, left = number // cut.across * cut.rows, number % cut.across * cut.columns
    return Block(z, top, left, min(cut.rows, height - top), min(cut.columns, width - left))


@compiled
def numbers(slot, n):
    """n integers of this thread's scratch."""
    return numba.carray(as_pointer(scratch_address(slot, n * 8)), (n,), np.int64)


@compiled
def fill_stage(out, stage, source, at, channels, z, y, x, block):
    """Copy what the block needs of `channels` channels; the first begins at source[at]."""
    top, left = block.y * y.stride + lowest(y), block.x * x.stride + lowest(x)
    # rows that lie inside
    above, below = min(stage.rows, max(0, -top)), max(0, min(stage.rows, y.size - top))
    for rest in range(x.stride):
        # the places of a row that lie inside are the same for all rows
        first = min(stage.part, max(0, (x.stride - 1 - left - rest) // x.stride))
        last = max(first, min(stage.part, (x.size - 1 - left - rest) // x.stride + 1))
        for c in range(channels):
            for tz in range(z.taps):
                place_z = block.z * z.stride + z.first + tz * z.step
                start, end = (above, below) if 0 <= place_z < z.size else (stage.rows, stage.rows)
                to = c * stage.plane + tz * stage.rows * stage.pitch + rest * stage.part
                begin = at + ((c * z.size + place_z) * y.size + top + start) * x.size + left + rest
                zero_rows(out, to, stage.pitch, stage.part, start)
                inside, rows = to + start * stage.pitch, max(0, end - start)
                copy_rows(source, begin, x.size, x.stride, first, last, out, inside, stage.pitch, stage.part, rows)
                end = start + rows
                zero_rows(out, to + end * stage.pitch, stage.pitch, stage.part, stage.rows - end)


@compiled
def fill_taps(table, stage, z, y, x):
    """Where each tap of a channel begins in the stage."""
    low_y, low_x = min(0, (y.taps - 1) * y.step), min(0, (x.taps - 1) * x.step)
    t = 0
    for tz in range(z.taps):
        for ty in range(y.taps):
            for tx in range(x.taps):
                row, column = ty * y.step - low_y, tx * x.step - low_x
                place = column % x.stride * stage.part + column // x.stride
                table[t] = (tz * stage.rows + row) * stage.pitch + place
                t += 1


@compiled
def fill_pieces(table, stage, y, block, first, count, lanes):
    """Lines first .. first + count of a block as pieces of rows, a vector at most: pairs (place in the stage, line)."""
    rise, columns = y.stride * stage.pitch, block.columns
    if rise == columns:
        # rows follow one another without a gap: one long row
        columns = block.rows * columns
    done, pieces = 0, 0
    while done < count:
        row, column = (first + done) // columns, (first + done) % columns
        table[2 * pieces], table[2 * pieces + 1] = row * rise + column, done
        done += min(lanes, columns - column, count - done)
        pieces += 1
    return pieces


@exact
def pack_patches(panel, at, width, stage, plane, taps, pieces, count, begin, end):
    """Steps begin .. end, each a channel and a tap. What a piece spills the next one overwrites, the last one's falls
    into the gap."""
    channel, tap = begin // taps.size, begin % taps.size
    # four pieces at most are nearly all there is: their places stay in registers, and what is left is the last again
    second, third, fourth = 2 * min(1, count - 1), 2 * min(2, count - 1), 2 * min(3, count - 1)
    from_1, from_2, from_3, from_4 = pieces[0], pieces[second], pieces[third], pieces[fourth]
    to_1, to_2, to_3, to_4 = pieces[1], pieces[second + 1], pieces[third + 1], pieces[fourth + 1]
    for _ in range(begin, end):
        base = channel * plane + taps[tap]
        copy_vector(stage, base + from_1, panel, at + to_1)
        copy_vector(stage, base + from_2, panel, at + to_2)
        if count > 2:
            copy_vector(stage, base + from_3, panel, at + to_3)
            copy_vector(stage, base + from_4, panel, at + to_4)
        for i in range(4, count):
            copy_vector(stage, base + pieces[2 * i], panel, at + pieces[2 * i + 1])
        at += width
        tap += 1
        if tap == taps.size:
            channel, tap = channel + 1, 0


@exact
def pack_depth(lines, pitch, stage, plane, taps, pieces, count, begin, end):
    """Channels and taps begin .. end, each a line of the block's results along the depth, `pitch` elements apart."""
    channel, tap = begin // taps.size, begin % taps.size
    at = 0
    for _ in range(begin, end):
        base = channel * plane + taps[tap]
        for i in range(count):
            copy_vector(stage, base + pieces[2 * i], lines, at + pieces[2 * i + 1])
        at += pitch
        tap += 1
        if tap == taps.size:
            channel, tap = channel + 1, 0


@compiled
def panels_size(lines, width, depth):
    """Elements of all panels of so many lines."""
    return (lines + width - 1) // width * panel_size(width, depth)
