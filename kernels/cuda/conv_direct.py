"""Convolution with few channels in a group, depthwise above all: no product to tile, every number read once.

A thread makes ROWS results below one another of one channel, in registers, so that a weight is read once for them, and
so is what belongs to their place; neighbouring threads are neighbours along a row. What taps read again, and the
weights, which all threads of a warp read at once, come from the first cache. The same code goes back from result to
image: there the rows of a thread lie a stride apart, and see through the same taps.
"""

import numpy as np

from ..template import define
from .conv_geometry import divided, high, inside, low, over, pairs, reciprocal, runs, seen_along, spot, tap_step
from .functions import formulas
from .ptx import narrow, wide
from .target import SIMULATOR, THREADS, device, jit, spread
from .target import cuda as cuda  # in the template

# results of a thread; blocks of a multiprocessor, which bounds its registers
ROWS = 2 if SIMULATOR else 8
RESIDENT = 2
WORDS = tuple(f"n{i}" for i in range(18))

activate = formulas["activate"]
# what the template uses
__all__ = ["THREADS", "direct", "divided", "high", "inside", "jit", "low", "np", "over", "seen_along", "spot", "wide"]


@device
def _finish(y, z, at, total, activation):
    if z.size > 0:
        z[at] = narrow(z, total)
    if activation != 0:
        total = activate(activation, total)
    y[at] = narrow(y, total)


SOURCE = """
@jit(launch_bounds=(THREADS, RESIDENT))
def _direct(y, z, x, w, b, activation, back, {words}):
    # sizes of what is made (o) and seen (i), channels of a group of either
    od, oh, ow, id_, ih, iw = low(n0), high(n0), low(n1), high(n1), low(n2), high(n2)
    made, seen, groups, kd, kh, kw = low(n3), high(n3), low(n4), high(n4), low(n5), high(n5)
    sd, sh, sw, pd, ph, pw = low(n6), high(n6), low(n7), high(n7), low(n8), high(n8)
    dd, dh, dw, step_d, step_h, step_w = low(n9), high(n9), low(n10), high(n10), low(n11), high(n11)
    # rows of a thread: how far apart here, and there
    apart, apart_seen = (sh, np.int32(1)) if back else (np.int32(1), sh)
    blocks = apart * divided(oh + apart * ROWS - 1, apart * ROWS)
    area, channel, taps = np.int32(ih * iw), np.int32(id_ * ih * iw), np.int32(kd * kh * kw)
    count = np.int32(divided(y.size, oh) * blocks)
    zero = wide(y.dtype.type(0))
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        rest = over(i, n12)
        column, number = np.int32(i - rest * ow), over(rest, n13)
        block = np.int32(rest - number * blocks)
        rest = over(number, n14)
        plane, image = np.int32(number - rest * od), over(rest, n15)
        line = np.int32(rest - image * (groups * made))
        group = over(line, n16)
        inner = np.int32(line - group * made)
        part = over(block, n17)
        row = np.int32(block - part * apart + part * (ROWS * apart))
        first_d, z0, move_d = seen_along(back, plane, kd, sd, pd, dd, step_d)
        first_h, y0, move_h = seen_along(back, row, kh, sh, ph, dh, step_h)
        first_w, x0, move_w = seen_along(back, column, kw, sw, pw, dw, step_w)
        start = zero
        if b.size > 0:
            start = wide(b[spot(line)])
{start}
        # the group's channels of one image
        begin = np.int32((image * groups + group) * seen * channel)
        for c in range(seen):
            weights = np.int32(((group * seen + c) * made + inner if back else line * seen + c) * taps)
            u = z0
            for r in range(first_d, kd, step_d):
                if inside(u, id_):
                    slab, v = np.int32(begin + u * area), y0
                    for q in range(first_h, kh, step_h):
                        # a row that is not there reads another one, for nothing
{rows}
                        at, t = x0, np.int32(weights + (r * kh + q) * kw)
                        for p in range(first_w, kw, step_w):
                            if inside(at, iw):
                                weight, seen_at = wide(w[spot(t + p)]), np.int32(slab + at)
{loads}
{adds}
                            at = np.int32(at + move_w)
                        v = np.int32(v + move_h)
                u = np.int32(u + move_d)
            begin = np.int32(begin + channel)
        at, below = np.int32((number * oh + row) * ow + column), np.int32(apart * ow)
        # of a stride's last rows there may be fewer
{finish}
"""

_LINES = {
    "start": (8, "s{j} = start"),
    "rows": (
        24,
        "v{j} = np.int32(v + {j} * apart_seen)\nin{j} = inside(v{j}, ih)\nv{j} = np.int32((v{j} if in{j} else 0) * iw)",
    ),
    "loads": (32, "a{j} = wide(x[spot(seen_at + v{j})])"),
    "adds": (32, "s{j} += weight * (a{j} if in{j} else zero)"),
    "finish": (8, "if row + {j} * apart < oh:\n    _finish(y, z, spot(at + {j} * below), s{j}, activation)"),
}


def _repeated(indent, text):
    lines = (line for j in range(ROWS) for line in text.format(j=j).split("\n"))
    return "\n".join(" " * indent + line for line in lines)


define(globals(), SOURCE, words=", ".join(WORDS), **{name: _repeated(*what) for name, what in _LINES.items()})


def direct(y, z, x, w, b, activation, geometry, back, stream):
    """y = activation(x convolved with w + b); back: x is the result of the convolution, y its image."""
    for g, *run in runs(geometry, y, z, x):
        made, seen = (g.image, g.result) if back else (g.result, g.image)
        channels = g.group if back else g.group[::-1]
        if not run[2].size:
            # there may be results all the same, of padding alone
            channels = channels[0], 0
        steps = map(tap_step, g.strides, g.dilations) if back else (1, 1, 1)
        numbers = pairs(*made, *seen, *channels, g.groups, *g.taps, *g.strides, *g.paddings, *g.dilations, *steps)
        apart = g.strides[1] if back else 1
        blocks = apart * -(-made[1] // (apart * ROWS))
        divisors = made[2], blocks, made[0], g.groups * channels[0], channels[0], apart
        flat = (a.reshape(-1) for a in (*run, w, b))
        threads = run[0].size // made[1] * blocks
        spread(_direct, threads, stream, *flat, activation, back, *numbers, *map(reciprocal, divisors))  # noqa: F821
