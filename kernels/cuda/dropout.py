"""Dropout: the mask is drawn in registers, four elements a thread, or a word for each row.

What is dropped is the same as on the CPU for the same state, bit for bit. Not yet run on hardware.
"""

import numpy as np

from .. import scalar
from .random import block_words, threshold, word
from .target import cuda, jit, kernel, spread

_ZERO = np.uint64(0)
ALPHA = -scalar.SELU_ALPHA * scalar.SELU_SCALE


@jit
def _elements(y, x, state, below, scale, shift, fill):
    """y = fill where a word is below, else scale * x + shift."""
    for block in range(cuda.grid(1), (y.size + 3) // 4, cuda.gridsize(1)):
        words = block_words(state, block, _ZERO)
        for r in range(4):
            i = 4 * block + r
            if i < y.size:
                y[i] = fill if words[r] < below else scale * x[i] + shift


@jit
def _rows(y, x, state, below, scale, shift, fill):
    """The same for whole rows; every element draws its row's word again."""
    columns = y.shape[1]
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        r, c = e // columns, e % columns
        y[r, c] = fill if word(state, r, _ZERO) < below else scale * x[r, c] + shift


def _launch(function, n, stream, y, x, state, p, scale, shift=0.0, fill=0.0):
    real = y.dtype.type
    spread(function, n, stream, y, x, state, threshold(p), real(scale), real(shift), real(fill))


def _kept(p):
    return 1 / (1 - p) if p < 1 else 0.0


def _alpha(p):
    """a, b and what a dropped element becomes, of the reference; for p = 1 all are 0."""
    a = ((1 - p) * (1 + p * ALPHA * ALPHA)) ** -0.5 if p < 1 else 0.0
    b = -a * p * ALPHA
    return a, b, a * ALPHA + b


@kernel
def dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _launch(_elements, (y.size + 3) // 4, stream, y, x, state, p, _kept(p))


@kernel
def dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _launch(_elements, (dx.size + 3) // 4, stream, dx, dy, state, p, _kept(p))


@kernel
def feature_dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _launch(_rows, y.size, stream, y, x, state, p, _kept(p))


@kernel
def feature_dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _launch(_rows, dx.size, stream, dx, dy, state, p, _kept(p))


@kernel
def alpha_dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _launch(_elements, (y.size + 3) // 4, stream, y, x, state, p, *_alpha(p))


@kernel
def alpha_dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _launch(_elements, (dx.size + 3) // 4, stream, dx, dy, state, p, _alpha(p)[0])


@kernel
def feature_alpha_dropout_forward(y, x, state, p, stream=0):
    """One launch, nothing stored for backward."""
    _launch(_rows, y.size, stream, y, x, state, p, *_alpha(p))


@kernel
def feature_alpha_dropout_backward(dx, dy, state, p, stream=0):
    """The mask is drawn again."""
    _launch(_rows, dx.size, stream, dx, dy, state, p, _alpha(p)[0])
