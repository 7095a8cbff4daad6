"""Convolution of each channel by itself: no tile could be filled, and what counts is to read every number once.

A block of a channel's source is staged as for other convolutions (window.py). With stride 1 a tap is then a shift of
the whole block: results are made for the staged rows from end to end, a few taps a pass, and what lies in the padding
between two rows is left behind when they are copied out. With other strides the same happens row by row.
"""

import numpy as np

from ..jit import compiled, scratch
from .pack import panel_width
from .window import block_of, fill_stage, fill_taps, numbers, stage_of


@compiled
def pieces_of(stage, y, x, block):
    """(how many, length, from one to the next in the stage, from one row of sums to the next)."""
    if y.stride == 1 and x.stride == 1:
        return 1, (block.rows - 1) * stage.pitch + block.columns, 0, stage.pitch
    return block.rows, block.columns, y.stride * stage.pitch, block.columns


@compiled
def _sum_taps(sums, staged, weights, table, shift):
    """sums += the taps' weights times the stage from each tap's place on, moved by `shift`."""
    length = sums.size
    done = table.size // 3 * 3
    for t in range(0, done, 3):
        a, b, c = table[t] + shift, table[t + 1] + shift, table[t + 2] + shift
        first, second, third = staged[a : a + length], staged[b : b + length], staged[c : c + length]
        u, v, w = weights[t], weights[t + 1], weights[t + 2]
        for i in range(length):
            sums[i] += u * first[i] + v * second[i] + w * third[i]
    for t in range(done, table.size):
        first, u = staged[table[t] + shift : table[t] + shift + length], weights[t]
        for i in range(length):
            sums[i] += u * first[i]


@compiled
def _dot_taps(totals, grads, staged, table, shift):
    """totals[t] += the sum of grads times the stage from tap t's place on."""
    length = grads.size
    done = table.size // 3 * 3
    zero = totals.dtype.type(0)
    for t in range(0, done, 3):
        a, b, c = table[t] + shift, table[t + 1] + shift, table[t + 2] + shift
        first, second, third = staged[a : a + length], staged[b : b + length], staged[c : c + length]
        u, v, w = zero, zero, zero
        for i in range(length):
            u += grads[i] * first[i]
            v += grads[i] * second[i]
            w += grads[i] * third[i]
        totals[t] += u
        totals[t + 1] += v
        totals[t + 2] += w
    for t in range(done, table.size):
        first, u = staged[table[t] + shift : table[t] + shift + length], zero
        for i in range(length):
            u += grads[i] * first[i]
        totals[t] += u


@compiled
def channel_block(y, at, ldc, source, begin, w, table, windows, stage, block, bias, staged, sums):
    """The results of a block: rows `ldc` elements apart from y[at] on. w: a weight for each tap; bias: a number."""
    z_window, y_window, x_window = windows
    fill_stage(staged, stage, source, begin, 1, z_window, y_window, x_window, block)
    pieces, length, rise, pitch = pieces_of(stage, y_window, x_window, block)
    for piece in range(pieces):
        line = sums[piece * pitch : piece * pitch + length]
        for i in range(line.size):
            line[i] = bias
        _sum_taps(line, staged, w, table, piece * rise)
    for row in range(block.rows):
        line = sums[row * pitch : row * pitch + block.columns]
        out = y[at + row * ldc : at + row * ldc + block.columns]
        for i in range(line.size):
            out[i] = line[i]


@compiled
def _finite(values):
    for value in values:
        if not np.isfinite(value):
            return False
    return True


@compiled
def channel_gradients(begin, end, dw, dz, x, windows, size, cut, images, accumulate):
    """Channels begin .. end: dw (+)= the sums over all images, one block after the other."""
    from_z, from_y, from_x = windows
    planes, height, width = size
    places, taps = planes * height * width, from_z.taps * from_y.taps * from_x.taps
    source_size = from_z.size * from_y.size * from_x.size
    stage = stage_of(from_z, from_y, from_x, cut.rows, cut.columns)
    channels, pad = dw.size // taps, panel_width(dw)
    table = numbers(2, taps)
    fill_taps(table, stage, from_z, from_y, from_x)
    staged = scratch(6, stage.plane + pad, dw)
    parts = scratch(1, taps, dw)
    grads = scratch(7, cut.rows * max(stage.pitch, cut.columns), dw)
    for channel in range(begin, end):
        totals = dw[channel * taps : (channel + 1) * taps]
        if not accumulate:
            for t in range(taps):
                totals[t] = 0
        for image in range(images):
            number = image * channels + channel
            for place in range(planes * cut.blocks):
                block = block_of(cut, place % cut.blocks, place // cut.blocks, height, width)
                fill_stage(staged, stage, x, number * source_size, 1, from_z, from_y, from_x, block)
                pieces, length, rise, pitch = pieces_of(stage, from_y, from_x, block)
                for row in range(block.rows):
                    start = number * places + (block.z * height + block.y + row) * width + block.x
                    line, given = grads[row * pitch : (row + 1) * pitch], dz[start : start + block.columns]
                    for i in range(given.size):
                        line[i] = given[i]
                    # the padding between two rows counts for nothing
                    for i in range(given.size, line.size):
                        line[i] = 0
                for t in range(taps):
                    parts[t] = 0
                for piece in range(pieces):
                    here = grads[piece * pitch : piece * pitch + length]
                    _dot_taps(parts, here, staged, table, piece * rise)
                if not _finite(parts):
                    # zeros met Inf or NaN between two rows, perhaps: row by row they do not
                    for t in range(taps):
                        parts[t] = 0
                    for row in range(block.rows):
                        here = grads[row * pitch : row * pitch + block.columns]
                        _dot_taps(parts, here, staged, table, row * from_y.stride * stage.pitch)
                for t in range(taps):
                    totals[t] += parts[t]
