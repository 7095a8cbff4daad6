"""Sliding blocks as columns: what an element sees in the blocks of a row is a piece of a row of the image.

unfold copies that piece for each row of blocks. fold is made row by row of the image: sums are kept sorted by the
remainder of the column modulo the stride, where what comes from one row of blocks lies side by side, and added in the
order of the elements.
"""

from .. import conv_checks
from ..jit import compiled, kernel, parallel_for, scratch

check_geometry = compiled(conv_checks.check_geometry)

GRAIN = 16384


@compiled
def _inside(tap, places, size, stride, padding, dilation):
    """(first, last) of the blocks whose element `tap` lies in the image, and where it lies in block 0."""
    offset = tap * dilation - padding
    first = min(places, max(0, -(offset // stride)))
    return first, max(first, min(places, (size - 1 - offset) // stride + 1)), offset


@compiled
def _copy_out(begin, end, y, x, taps, blocks, size, strides, paddings, dilations):
    """Elements begin .. end, images and channels after one another: their planes of blocks."""
    rows, width = blocks
    in_h, in_w = size
    for number in range(begin, end):
        plane, tap = number // (taps[0] * taps[1]), number % (taps[0] * taps[1])
        top, bottom, offset = _inside(tap // taps[1], rows, in_h, strides[0], paddings[0], dilations[0])
        left, right, shift = _inside(tap % taps[1], width, in_w, strides[1], paddings[1], dilations[1])
        for row in range(rows):
            out = y[(number * rows + row) * width : (number * rows + row + 1) * width]
            if row < top or row >= bottom:
                for i in range(out.size):
                    out[i] = 0
                continue
            at = (plane * in_h + row * strides[0] + offset) * in_w + left * strides[1] + shift
            front, middle, back = out[:left], out[left:right], out[right:]
            for i in range(front.size):
                front[i] = 0
            if strides[1] == 1:
                line = x[at : at + middle.size]
                for i in range(line.size):
                    middle[i] = line[i]
            else:
                for i in range(middle.size):
                    middle[i] = x[at + i * strides[1]]
            for i in range(back.size):
                back[i] = 0


@compiled
def _sum_up(begin, end, dx, dy, taps, blocks, size, strides, paddings, dilations):
    """Rows begin .. end of the images of all channels."""
    rows, width = blocks
    in_h, in_w = size
    stride = strides[1]
    part = (in_w + stride - 1) // stride
    sums = scratch(3, part * stride, dx)
    for number in range(begin, end):
        plane, place = number // in_h, number % in_h
        for i in range(sums.size):
            sums[i] = 0
        for tap in range(taps[0]):
            above = place + paddings[0] - tap * dilations[0]
            if above < 0 or above % strides[0] != 0 or above // strides[0] >= rows:
                continue
            for j in range(taps[1]):
                left, right, shift = _inside(j, width, in_w, stride, paddings[1], dilations[1])
                at = (((plane * taps[0] + tap) * taps[1] + j) * rows + above // strides[0]) * width
                line, column = dy[at + left : at + right], left * stride + shift
                to = column % stride * part + column // stride
                out = sums[to : to + line.size]
                for i in range(line.size):
                    out[i] += line[i]
        row = dx[number * in_w : (number + 1) * in_w]
        for rest in range(min(stride, in_w)):
            line = sums[rest * part : (rest + 1) * part]
            for i in range((in_w - rest + stride - 1) // stride):
                row[rest + i * stride] = line[i]


@kernel
def unfold_forward(y, x, sh, sw, ph, pw, dh, dw):
    """Elements of blocks in parallel."""
    check_geometry(1, 1, 1, (sh, sw), (ph, pw), (dh, dw))
    taps, blocks = (y.shape[2], y.shape[3]), (y.shape[4], y.shape[5])
    if y.size == 0:
        return
    arguments = (taps, blocks, (x.shape[2], x.shape[3]), (sh, sw), (ph, pw), (dh, dw))
    total = x.shape[0] * x.shape[1] * taps[0] * taps[1]
    grain = max(1, GRAIN // (blocks[0] * blocks[1]))
    parallel_for(_copy_out, total, grain, (y.reshape(-1), x.reshape(-1), *arguments))


@kernel
def unfold_backward(dx, dy, sh, sw, ph, pw, dh, dw):
    """Rows of images in parallel; elements of blocks one after the other."""
    check_geometry(1, 1, 1, (sh, sw), (ph, pw), (dh, dw))
    taps, blocks = (dy.shape[2], dy.shape[3]), (dy.shape[4], dy.shape[5])
    if dx.size == 0:
        return
    arguments = (taps, blocks, (dx.shape[2], dx.shape[3]), (sh, sw), (ph, pw), (dh, dw))
    work = dx.shape[3] + taps[0] * taps[1] * blocks[1] // sh
    grain = max(1, GRAIN // work)
    parallel_for(_sum_up, dx.shape[0] * dx.shape[1] * dx.shape[2], grain, (dx.reshape(-1), dy.reshape(-1), *arguments))
