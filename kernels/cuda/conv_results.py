"""Where results of convolutions go, and what becomes of them: channels before places, as they shall lie.

Rows are channels of a group and columns places of all images; for the gradient of the weight, channels of the result
and, if channels lie last in the image, (tap, channel).
"""

import numpy as np

from .conv_geometry import divided, high, low, over, pairs, reciprocal
from .ptx import narrow, store4, wide
from .target import device
from .tile import Epilogue, Output, activate


@device
def _planes_place(g, i, j, rows, columns, channels, places):
    image = divided(j, places)
    return np.int32((image * channels + g * rows + i) * places + (j - image * places))


@device
def _lattice_place(g, i, j, rows, columns, channels, n0, n1, n2, n3, n4, n5):
    depth, height, width, z, y, x = low(n0), high(n0), low(n1), high(n1), low(n2), high(n2)
    rest = divided(j, x)
    column = (j - rest * x) * low(n4) + high(n5)
    part = divided(rest, y)
    row = (rest - part * y) * high(n3) + low(n5)
    image = divided(part, z)
    plane = (part - image * z) * low(n3) + high(n4)
    line = image * channels + g * rows + i
    return np.int32(((line * depth + plane) * height + row) * width + column)


PLANES = Output("planes", ("channels", "places"), _planes_place)
LATTICE = Output("lattice", ("channels", "n0", "n1", "n2", "n3", "n4", "n5"), _lattice_place)


def output_of(lattice, sizes, channels):
    """(Output, its values) for results of these sizes; all of them lie side by side in PLANES."""
    if lattice.apart == (1, 1, 1):
        return PLANES, (np.int32(channels), np.int32(lattice.places))
    (fd, fh, fw), (ad, ah, aw) = lattice.first, lattice.apart
    words = pairs(*sizes, *lattice.counts, ad, ah, aw, fd, fh, fw)
    return LATTICE, (np.int32(channels), *map(np.int64, words))


# ---- what becomes of a sum: y = activation(sum + bias of the channel); z keeps what the activation was given


@device
def _channel4(y, at, g, i, j, values, z, bias, rows, activation):
    if bias.size > 0:
        add = wide(bias[g * rows + i])
        values = (values[0] + add, values[1] + add, values[2] + add, values[3] + add)
    if z.size > 0:
        store4(z, at, values)
    if activation != 0:
        values = (
            activate(activation, values[0]),
            activate(activation, values[1]),
            activate(activation, values[2]),
            activate(activation, values[3]),
        )
    store4(y, at, values)


@device
def _channel1(y, at, g, i, j, value, z, bias, rows, activation):
    if bias.size > 0:
        value += wide(bias[g * rows + i])
    if z.size > 0:
        z[at] = narrow(z, value)
    y[at] = narrow(y, activate(activation, value))


CHANNEL = Epilogue("channel", ("z", "bias"), ("group_rows", "activation"), _channel4, _channel1)


# ---- the gradient of the weight from columns (tap, padded channel)


@device
def _taps_place(g, i, j, rows, columns, n0, n1, n2):
    tap = over(j, n2)
    channel = np.int32(j - tap * low(n0))
    channels, taps = high(n0), low(n1)
    at = np.int32(((g * rows + i) * channels + channel) * taps + tap)
    return at if channel < channels else np.int32(-1)


@device
def _there4(y, at, g, i, j, values, accumulate):
    for k in range(4):
        _there1(y, at + k, g, i, j, values[k], accumulate)


@device
def _there1(y, at, g, i, j, value, accumulate):
    if at >= 0:
        if accumulate:
            value += wide(y[at])
        y[at] = narrow(y, value)


TAPS = Output("taps", ("n0", "n1", "n2"), _taps_place)
# as STORE, where there is a place
THERE = Epilogue("there", (), ("accumulate",), _there4, _there1)


def taps_of(channels, stored, taps):
    """The values of TAPS."""
    return tuple(map(np.int64, (*pairs(stored, channels, taps, 0), reciprocal(stored))))
