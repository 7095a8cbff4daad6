"""The convolution nest of conv_blocks.py, compiled once for all kernels (shared.py): what comes in and how it is told.

The numbers of a convolution are many: they go through a table.
"""

import numba
import numpy as np

from .. import shared
from ..jit import compiled, standalone
from ..state import as_pointer
from .conv_blocks import Filter, Result, blocks_and_channels
from .epilogue import with_activation
from .pack import address_of
from .window import Window, numbers

__all__ = ["Filter", "Result", "convolve"]


@compiled
def _three(table, at):
    return table[at], table[at + 1], table[at + 2]


@compiled
def _window(table, at):
    return Window(table[at], table[at + 1], table[at + 2], table[at + 3], table[at + 4])


@compiled
def _five(window):
    return window.size, window.stride, window.first, window.step, window.taps


@compiled
def _flat(table, at, like):
    return numba.carray(as_pointer(table[at]), (table[at + 1],), like)


@compiled
def _convolve(like, address):
    """The arguments of convolve from a table, as _tell wrote them."""
    t = numba.carray(as_pointer(address), (53,), np.int64)
    y, source, w = _flat(t, 0, like), _flat(t, 2, like), _flat(t, 4, like)
    epilogue = with_activation(_flat(t, 6, like), _flat(t, 8, like), t[15])
    windows = _window(t, 16), _window(t, 21), _window(t, 26)
    filter_ = Filter(t[31], t[32], _three(t, 33), _three(t, 36), t[39], t[40])
    result = Result(_three(t, 41), _three(t, 44), _three(t, 47), _three(t, 50))
    blocks_and_channels(y, source, w, t[10], t[11], t[12], t[13], windows, filter_, t[14], result, epilogue)


@standalone
def convolve_32(address):
    _convolve(np.float32, address)


@standalone
def convolve_64(address):
    _convolve(np.float64, address)


@compiled
def convolve(y, source, w, images, groups, lines, channels, windows, filter_, per_group, result, epilogue):
    """y = the convolution of a source (images, groups x channels, ...) to (images, groups x lines, ...).

    windows: a Window for each dimension; filter_: where the weights of a group lie, per_group elements each; epilogue:
    an Epilogue, its bias, one number a line, comes first. All arrays are flat.
    """
    (z_window, y_window, x_window), (bias, _, z, activation) = windows, epilogue
    arrays = (address_of(y), y.size, address_of(source), source.size, address_of(w), w.size)
    after = (address_of(bias), bias.size, address_of(z), z.size)
    counts = (images, groups, lines, channels, per_group, np.intp(activation))
    weights = (filter_.line, filter_.channel, *filter_.first, *filter_.step, filter_.height, filter_.width)
    places = (*result.size, *result.stride, *result.first, *result.full)
    values = (*arrays, *after, *counts, *_five(z_window), *_five(y_window), *_five(x_window), *weights, *places)
    table = numbers(2, len(values))
    for i in range(len(values)):
        table[i] = values[i]
    shared.call(shared.CONVOLVE if y.itemsize == 4 else shared.CONVOLVE + 1, (address_of(table),))
