"""The weight as an operand of products: rows of a group by (channel, tap) as it lies, by (tap, channel) arranged.

Rows are channels of what is made, and the depth goes over those of what is seen: on the way back rows are the weight's
second axis, and the taps those of a lattice.
"""

import numpy as np

from ..template import define
from .conv_geometry import divided, high, low, over, pairs, reciprocal, spot
from .conv_layout import padded
from .target import cuda, device, empty, jit, spread
from .tile import DEPTH, MATRIX, Operand
from .tile_launch import Side

# what the template uses
__all__ = ["device", "high", "low", "over"]


@jit
def _arrange(to, w, n0, n1, n2, n3):
    """to[g, line, t, c] = w[g * group_step + line * line_step + c * channel_step + t], 0 for padding channels c."""
    group_step, line_step, channel_step, channels = low(n0), high(n0), low(n1), high(n1)
    wide, taps, lines = low(n2), high(n2), low(n3)
    for i in range(cuda.grid(1), to.size, cuda.gridsize(1)):
        rest = divided(i, wide)
        channel = np.int32(i - rest * wide)
        row = divided(rest, taps)
        group = divided(row, lines)
        at = rest - row * taps + group * group_step + (row - group * lines) * line_step
        value = w.dtype.type(0)
        if channel < channels:
            value = w[spot(at + channel * channel_step)]
        to[spot(i)] = value


WORDS = tuple(f"n{i}" for i in range(10))
# {last}: the depth is (tap, channel), not (channel, tap)
WEIGHT = """
@device
def weight_{last}_begin(g, {words}):
    return np.int64(g) * low(n0)


@device
def weight_{last}_line(i, {words}):
    return np.int32(i * high(n1) if i < high(n0) else 0)


@device
def weight_{last}_place(state, k, {words}):
    outer = over(k, n7)
    inner = np.int32(k - outer * low(n1))
    channel, tap = outer, inner
    if {last}:
        channel, tap = inner, outer
    depth_tap = over(tap, n9)
    tap = np.int32(tap - depth_tap * low(n2))
    row_tap = over(tap, n8)
    column_tap = np.int32(tap - row_tap * high(n2))
    number = np.int32(low(n3) + depth_tap * high(n3) + row_tap * low(n4) + column_tap * high(n4))
    return np.int32(state + channel * low(n5) + number * high(n5)) if k < low(n6) else np.int32(-1)
"""

for _last in (0, 1):
    define(globals(), WEIGHT, last=_last, words=", ".join(WORDS))
_OPERANDS = [
    Operand(
        f"weight_{last}", DEPTH, WORDS, *(globals()[f"weight_{last}_{part}"] for part in ("begin", "line", "place"))
    )
    for last in (0, 1)
]


class Weight:
    """The weight as `lattice`s see it: `last`, arranged once with channels padded and last."""

    def __init__(self, w, geometry, back, last, stream):
        inner, outer = geometry.group
        taps = self.taps = geometry.tap_count
        self.kernel, self.back, self.last = geometry.taps, back, last
        self.rows, self.channels = (inner, outer) if back else (outer, inner)
        # steps in w, from one group, row and channel to the next
        self.group_step = inner * outer * taps
        self.row_step, self.channel_step = (taps, inner * taps) if back else (inner * taps, taps)
        self.flat, self.tap_step = w.reshape(-1), 1
        if last:
            wide = padded(self.channels, w.dtype)
            to = empty((geometry.groups * self.rows * taps * wide,), w.dtype)
            steps = self.group_step, self.row_step, self.channel_step
            words = pairs(*steps, self.channels, wide, taps, self.rows)
            spread(_arrange, to.size, stream, to, self.flat, *words)
            self.flat, self.channels = to, wide
            self.group_step, self.row_step = self.rows * taps * wide, taps * wide
            self.channel_step, self.tap_step = 1, wide

    def side(self, lattice):
        """The Side of rows."""
        seen, (_, nh, nw), (_, kh, kw) = lattice.tap_count, lattice.taps, self.kernel
        if self.row_step == seen * self.channels and not (self.back and not self.last):
            values = np.int64(self.group_step), np.int32(self.rows), np.int32(self.row_step)
            return Side(self.flat, MATRIX, values, self.last)
        (rd, rh, rw), (ad, ah, aw) = lattice.first_tap, lattice.tap_apart
        inner = self.channels if self.last else seen
        words = pairs(
            self.group_step, self.rows, inner, self.row_step, nh * nw, nw, (rd * kh + rh) * kw + rw, ad * kh * kw,
            ah * kw, aw, self.channel_step, self.tap_step, self.channels * seen, 0,
        )  # fmt: skip
        reciprocals = (reciprocal(max(1, n)) for n in (inner, nw, nh * nw))
        return Side(self.flat, _OPERANDS[self.last], tuple(map(np.int64, (*words, *reciprocals))), self.last)
