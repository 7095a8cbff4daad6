"""Dropout with a ReLU before it or a sum after it: dropout's own loop with one more operation an element.

A tile of random words goes into the thread's scratch, then one pass. Parallel over chunks of elements. Behind a ReLU
backward draws nothing: the result itself tells what was dropped.
"""

import numpy as np

from ..jit import compiled, kernel, parallel_for
from .pack import address_of
from .random import GRAIN, HIGH, TILE, fill_words, threshold, words_like
from .scalar import relu, relu_grad

_ZERO = np.uint64(0)


@compiled
def _added(begin, end, y, r, x, state, below, scale):
    words = words_like(HIGH, state)
    for start in range(begin, end, TILE):
        stop = min(end, start + TILE)
        out, base, given = y[start:stop], r[start:stop], x[start:stop]
        fill_words(words, state, start, out.size, _ZERO)
        for i in range(out.size):
            kept = base[i] + scale * given[i]
            out[i] = base[i] if np.uint64(words[i]) < below else kept


@compiled
def _rectify(out, given, words, below, scale):
    for i in range(out.size):
        kept = scale * relu(given[i])
        out[i] = out.dtype.type(0) if np.uint64(words[i]) < below else kept


@compiled
def _rectified(begin, end, y, x, state, below, scale):
    words = words_like(HIGH, state)
    for start in range(begin, end, TILE):
        stop = min(end, start + TILE)
        out, given = y[start:stop], x[start:stop]
        fill_words(words, state, start, out.size, _ZERO)
        # one array under two names would not become vectors
        if address_of(y) == address_of(x):
            _rectify(out, out, words, below, scale)
        else:
            _rectify(out, given, words, below, scale)


@compiled
def _rectify_gradient(out, slope, result, scale):
    for i in range(out.size):
        out[i] = relu_grad(scale * slope[i], result[i])


@compiled
def _rectified_gradients(begin, end, dx, dy, y, scale):
    out, slope, result = dx[begin:end], dy[begin:end], y[begin:end]
    if address_of(dx) == address_of(dy):
        _rectify_gradient(out, out, result, scale)
    else:
        _rectify_gradient(out, slope, result, scale)


@compiled
def _scale(p, like):
    return like.dtype.type(1.0 / (1.0 - p) if p < 1.0 else 0.0)


@kernel
def dropout_add_forward(y, r, x, state, p):
    """One pass over r and x."""
    parallel_for(_added, y.size, GRAIN, (y, r, x, state, threshold(p), _scale(p, y)))


@kernel
def relu_dropout_forward(y, x, state, p):
    """One pass over x."""
    parallel_for(_rectified, y.size, GRAIN, (y, x, state, threshold(p), _scale(p, y)))


@kernel
def relu_dropout_backward(dx, dy, y, p):
    """One pass over dy and y, bound by memory."""
    threshold(p)
    parallel_for(_rectified_gradients, dx.size, GRAIN, (dx, dy, y, _scale(p, dx)))
