"""What happens to a row of scores between the products: bias, masks, softmax, dropout, and the gradient of these."""

import math

import numba
import numpy as np

from ..jit import compiled
from ..state import as_pointer, scratch_address
from .attention_blocks import line
from .attention_vectors import row_dot, row_exp, row_gradient
from .pack import address_of
from .random import fill_words

WORDS_SLOT = 1  # scratch: words of dropout
_ZERO = np.uint64(0)


@compiled
def _place(mask, n, h, l, s, itemsize):
    return mask.address + (n * mask.sample + h * mask.head + l * mask.row + s * mask.column) * itemsize


@compiled
def _add_bias(row, mask, n, h, l, first):
    at = _place(mask, n, h, l, first, row.itemsize)
    if mask.column == 1:
        bias = line(at, row.size, row)
        for j in range(row.size):
            row[j] += bias[j]
    else:
        for j in range(row.size):
            row[j] += line(at + j * mask.column * row.itemsize, 1, row)[0]


@compiled
def _hide(row, mask, n, h, l, first):
    at, hidden = _place(mask, n, h, l, first, 1), row.dtype.type(-math.inf)
    if mask.column == 1:
        keep = numba.carray(as_pointer(at), (row.size,), np.uint8)
        for j in range(row.size):
            row[j] = row[j] if keep[j] != 0 else hidden
    else:
        for j in range(row.size):
            if numba.carray(as_pointer(at + j * mask.column), (1,), np.uint8)[0] == 0:
                row[j] = hidden


@compiled
def finish_scores(row, options, n, h, l, first):
    """Bias and mask; row: scores of query (n, h, l) and the keys from `first`."""
    if options.bias.address:
        _add_bias(row, options.bias, n, h, l, first)
    if options.keep.address:
        _hide(row, options.keep, n, h, l, first)


@compiled
def softmax_from(row, lse):
    """row = exp(row - lse), 0 where the whole row has no key."""
    if lse == -math.inf:
        row[:] = 0
    else:
        row_exp(lse, address_of(row), row.size)


@compiled
def drawn(options, first, count):
    """Words first .. first + count of the state's stream."""
    offset = first % 4
    room = (offset + count + 3) // 4 * 4
    words = numba.carray(as_pointer(scratch_address(WORDS_SLOT, 4 * room)), (room,), np.uint32)
    state = numba.carray(as_pointer(options.state), (2,), np.uint64)
    fill_words(words, state, first - offset, room, _ZERO)
    return words[offset : offset + count]


@compiled
def drop(row, words, below, kept):
    """0 where a word is below, else kept times what was there."""
    zero = row.dtype.type(0)
    for j in range(row.size):
        row[j] = zero if np.uint64(words[j]) < below else kept * row[j]


@compiled
def score_gradient(weights, slopes, delta, whole, slopes_of_p, options, first):
    """slopes = the gradient of the scores, from that of the dropped weights; weights = the dropped weights.

    whole: the row is all there is, delta = sum(slopes weights) is made here; slopes_of_p: the gradient of the weights
    before dropout, or size 0; first: number of the row's first word.
    """
    below, kept = np.uint64(options.below), weights.dtype.type(options.kept)
    words = drawn(options, first, weights.size if options.below else 0)
    if options.below:
        drop(slopes, words, below, kept)
    if slopes_of_p.size:
        for j in range(slopes.size):
            slopes[j] += slopes_of_p[j]
    w, s = address_of(weights), address_of(slopes)
    if whole:
        delta = row_dot(delta, w, s, slopes.size)
    row_gradient(delta, w, s, slopes.size)
    if options.below:
        drop(weights, words, below, kept)
