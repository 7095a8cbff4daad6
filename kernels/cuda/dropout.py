"""Dropout: a map that draws the mask in registers, four elements from the words of a counter, or a word for each row.

What is dropped is the same as on the CPU for the same state, bit for bit.
"""

import numpy as np

from .. import scalar
from .broadcasting import split
from .maps import computed, define_map, launch_map
from .random import DRAWN, WORDS, threshold, word
from .target import device, kernel

_ZERO = np.uint64(0)
ALPHA = -scalar.SELU_ALPHA * scalar.SELU_SCALE
VALUE = {"y": "fill if w < below else scale * x + shift"}
NUMBERS = ["below", "scale", "shift", "fill"]


@device
def row_words(state, i, columns):
    """The words of the rows of elements i .. i + 3."""
    row, column = split(i, columns)
    first = word(state, row, _ZERO)
    if column + 4 <= columns:
        return first, first, first, first
    second, _ = split(i + 1, columns)
    third, _ = split(i + 2, columns)
    last, _ = split(i + 3, columns)
    return first, word(state, second, _ZERO), word(state, third, _ZERO), word(state, last, _ZERO)


_elements = define_map(globals(), "_elements", VALUE, ["x"], NUMBERS, DRAWN, **WORDS)
_rows = define_map(
    globals(),
    "_rows",
    VALUE,
    ["x"],
    NUMBERS,
    made={"w": "row_words(state, i{part}, columns)"},
    parameters=["state", "columns"],
)


def _drop(y, x, state, stream, p, scale, shift=0.0, fill=0.0):
    real = computed(y.dtype)
    launch_map(_elements, stream, y, x, threshold(p), real(scale), real(shift), real(fill), state)


def _drop_rows(y, x, state, stream, p, scale, shift=0.0, fill=0.0):
    if y.size >= 2**32:
        raise ValueError(f"expected fewer than 2^32 elements, got {y.shape}")
    real, columns = computed(y.dtype), y.shape[1]
    numbers = threshold(p), real(scale), real(shift), real(fill)
    launch_map(_rows, stream, y.reshape(-1), x.reshape(-1), *numbers, state, columns)


def _kept(p):
    return 1 / (1 - p) if p < 1 else 0.0


def _alpha(p):
    """a, b and what a dropped element becomes, of the reference; for p = 1 all are 0."""
    a = ((1 - p) * (1 + p * ALPHA * ALPHA)) ** -0.5 if p < 1 else 0.0
    b = -a * p * ALPHA
    return a, b, a * ALPHA + b


@kernel(half=True)
def dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _drop(y, x, state, stream, p, _kept(p))


@kernel(half=True)
def dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _drop(dx, dy, state, stream, p, _kept(p))


@kernel(half=True)
def feature_dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _drop_rows(y, x, state, stream, p, _kept(p))


@kernel(half=True)
def feature_dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _drop_rows(dx, dy, state, stream, p, _kept(p))


@kernel(half=True)
def alpha_dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _drop(y, x, state, stream, p, *_alpha(p))


@kernel(half=True)
def alpha_dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _drop(dx, dy, state, stream, p, _alpha(p)[0])


@kernel(half=True)
def feature_alpha_dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _drop_rows(y, x, state, stream, p, *_alpha(p))


@kernel(half=True)
def feature_alpha_dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _drop_rows(dx, dy, state, stream, p, _alpha(p)[0])
