"""Convolution with few channels in a group, depthwise above all: no product to tile, every number read once.

A thread makes ROWS results below one another of one channel, in registers, so that a weight is read once for them;
neighbouring threads are neighbours along a row. What taps read again, and the weights, which all threads of a warp read
at once, come from the first cache. The same code goes back from result to image: there the rows of a thread lie a
stride apart, and see through the same taps.
"""

import numpy as np

from .conv_geometry import divided, high, inside, low, pairs, seen_along, tap_step
from .functions import formulas
from .ptx import narrow, wide
from .target import THREADS, cuda, device, jit, spread

activate = formulas["activate"]

# results of a thread
ROWS = 4


@device
def _finish(y, z, at, total, activation):
    if z.size > 0:
        z[at] = narrow(z, total)
    y[at] = narrow(y, activate(activation, total))


@jit(launch_bounds=(THREADS, 3))
def _direct(y, z, x, w, b, activation, back, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11):
    # sizes of what is made (o) and seen (i), channels of a group, of w's second axis
    od, oh, ow, id_, ih, iw = low(n0), high(n0), low(n1), high(n1), low(n2), high(n2)
    made, seen, groups, kd, kh, kw = low(n3), high(n3), low(n4), high(n4), low(n5), high(n5)
    sd, sh, sw, pd, ph, pw = low(n6), high(n6), low(n7), high(n7), low(n8), high(n8)
    dd, dh, dw, step_d, step_h, step_w = low(n9), high(n9), low(n10), high(n10), low(n11), high(n11)
    # rows of a thread: how far apart here, and there
    apart, apart_seen = (sh, np.int32(1)) if back else (np.int32(1), sh)
    blocks = apart * divided(oh + apart * ROWS - 1, apart * ROWS)
    area, channel = ih * iw, np.int32(id_ * ih * iw)
    taps = kd * kh * kw
    zero = wide(y.dtype.type(0))
    for i in range(cuda.grid(1), y.size // oh * blocks, cuda.gridsize(1)):
        rest = divided(i, ow)
        column, number = np.int32(i - rest * ow), divided(rest, blocks)
        block = np.int32(rest - number * blocks)
        rest = divided(number, od)
        plane = np.int32(number - rest * od)
        line = np.int32(rest % (groups * made))
        group = divided(line, made)
        inner = np.int32(line - group * made)
        part = divided(block, apart)
        row = np.int32(block - part * apart + part * (ROWS * apart))
        first_d, z0, move_d = seen_along(back, plane, kd, sd, pd, dd, step_d)
        first_h, y0, move_h = seen_along(back, row, kh, sh, ph, dh, step_h)
        first_w, x0, move_w = seen_along(back, column, kw, sw, pw, dw, step_w)
        s0 = s1 = s2 = s3 = zero
        if b.size > 0:
            s0 = s1 = s2 = s3 = wide(b[line])
        # the group's channels of one image
        begin = np.int64(divided(rest, groups * made) * groups + group) * (seen * np.int64(channel))
        for c in range(seen):
            weights = ((group * seen + c) * made + inner if back else line * seen + c) * taps
            u = z0
            for r in range(first_d, kd, step_d):
                if inside(u, id_):
                    slab = begin + u * area
                    v0 = y0
                    for q in range(first_h, kh, step_h):
                        v1, v2, v3 = v0 + apart_seen, v0 + 2 * apart_seen, v0 + 3 * apart_seen
                        in0, in1, in2, in3 = inside(v0, ih), inside(v1, ih), inside(v2, ih), inside(v3, ih)
                        at, t = x0, weights + (r * kh + q) * kw
                        for p in range(first_w, kw, step_w):
                            if inside(at, iw):
                                weight = wide(w[t + p])
                                s0 += weight * (wide(x[slab + np.int32(v0 * iw + at)]) if in0 else zero)
                                s1 += weight * (wide(x[slab + np.int32(v1 * iw + at)]) if in1 else zero)
                                s2 += weight * (wide(x[slab + np.int32(v2 * iw + at)]) if in2 else zero)
                                s3 += weight * (wide(x[slab + np.int32(v3 * iw + at)]) if in3 else zero)
                            at = np.int32(at + move_w)
                        v0 = np.int32(v0 + move_h)
                u = np.int32(u + move_d)
            begin += channel
        at = (np.int64(number) * oh + row) * ow + column
        # of a stride's last rows there may be fewer
        if row < oh:
            _finish(y, z, at, s0, activation)
        if row + apart < oh:
            _finish(y, z, at + apart * ow, s1, activation)
        if row + 2 * apart < oh:
            _finish(y, z, at + 2 * apart * ow, s2, activation)
        if row + 3 * apart < oh:
            _finish(y, z, at + 3 * apart * ow, s3, activation)


def direct(y, z, x, w, b, activation, geometry, back, stream):
    """y = activation(x convolved with w + b); back: x is the result of the convolution, y its image."""
    g = geometry
    made, seen = (g.image, g.result) if back else (g.result, g.image)
    channels = g.group if back else g.group[::-1]
    steps = map(tap_step, g.strides, g.dilations) if back else (1, 1, 1)
    numbers = pairs(*made, *seen, *channels, g.groups, *g.taps, *g.strides, *g.paddings, *g.dilations, *steps)
    rows = made[1]
    if y.size:
        apart = g.strides[1] if back else 1
        threads = y.size // rows * apart * -(-rows // (apart * ROWS))
        flat = (a.reshape(-1) for a in (y, z, x, w, b))
        spread(_direct, threads, stream, *flat, activation, back, *numbers)
