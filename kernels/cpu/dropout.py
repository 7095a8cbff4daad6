"""Dropout: a tile of random words into the thread's scratch, then one pass of compare, multiply and select.

Parallel over chunks of elements, or of rows; forward and backward run the same loop and draw the same words.
"""

import numpy as np

from .. import scalar
from ..jit import compiled, kernel, parallel_for
from .random import GRAIN, HIGH, TILE, fill_words, threshold, words_like

_ZERO = np.uint64(0)
ALPHA = -scalar.SELU_ALPHA * scalar.SELU_SCALE


@compiled
def _elements(begin, end, y, x, state, below, scale, shift, fill):
    """y = fill where a word is below, else scale * x + shift."""
    words = words_like(HIGH, state)
    for start in range(begin, end, TILE):
        stop = min(end, start + TILE)
        out, given = y[start:stop], x[start:stop]
        fill_words(words, state, start, out.size, _ZERO)
        for i in range(out.size):
            kept = scale * given[i] + shift
            out[i] = fill if np.uint64(words[i]) < below else kept


@compiled
def _rows(begin, end, y, x, state, below, scale, shift, fill):
    """The same for whole rows; begin is a multiple of 4, where a counter begins."""
    words = words_like(HIGH, state)
    for start in range(begin, end, TILE):
        n = min(end - start, TILE)
        fill_words(words, state, start, n, _ZERO)
        for r in range(n):
            out, given = y[start + r], x[start + r]
            if np.uint64(words[r]) < below:
                for i in range(out.size):
                    out[i] = fill
            else:
                for i in range(out.size):
                    out[i] = scale * given[i] + shift


@compiled
def _elementwise(y, x, state, p, scale, shift, fill):
    F = y.dtype.type
    parallel_for(_elements, y.size, GRAIN, (y, x, state, threshold(p), F(scale), F(shift), F(fill)))


@compiled
def _rowwise(y, x, state, p, scale, shift, fill):
    F = y.dtype.type
    grain = 4 * max(1, GRAIN // 4 // max(1, y.shape[1]))
    parallel_for(_rows, y.shape[0], grain, (y, x, state, threshold(p), F(scale), F(shift), F(fill)))


@compiled
def _kept(p):
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


@compiled
def _alpha(p):
    """a and b of the reference; for p = 1 both are 0."""
    a = ((1.0 - p) * (1.0 + p * ALPHA * ALPHA)) ** -0.5 if p < 1.0 else 0.0
    return a, -a * p * ALPHA


@kernel
def dropout_forward(y, x, state, p):
    """The scale is folded into the pass."""
    _elementwise(y, x, state, p, _kept(p), 0.0, 0.0)


@kernel
def dropout_backward(dx, dy, state, p):
    """The mask is drawn again."""
    _elementwise(dx, dy, state, p, _kept(p), 0.0, 0.0)


@kernel
def feature_dropout_forward(y, x, state, p):
    """A dropped row is not read."""
    _rowwise(y, x, state, p, _kept(p), 0.0, 0.0)


@kernel
def feature_dropout_backward(dx, dy, state, p):
    """The mask is drawn again; a dropped row is not read."""
    _rowwise(dx, dy, state, p, _kept(p), 0.0, 0.0)


@kernel
def alpha_dropout_forward(y, x, state, p):
    """One multiply-add an element."""
    a, b = _alpha(p)
    _elementwise(y, x, state, p, a, b, a * ALPHA + b)


@kernel
def alpha_dropout_backward(dx, dy, state, p):
    """The mask is drawn again."""
    _elementwise(dx, dy, state, p, _alpha(p)[0], 0.0, 0.0)


@kernel
def feature_alpha_dropout_forward(y, x, state, p):
    """One multiply-add an element."""
    a, b = _alpha(p)
    _rowwise(y, x, state, p, a, b, a * ALPHA + b)


@kernel
def feature_alpha_dropout_backward(dx, dy, state, p):
    """The mask is drawn again; a dropped row is not read."""
    _rowwise(dx, dy, state, p, _alpha(p)[0], 0.0, 0.0)
