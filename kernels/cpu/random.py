"""Random fills: Philox words a tile at a time into the thread's scratch, then a plain loop from words to numbers.

Parallel over chunks of elements; 8 counters run side by side in a vector, their words interleaved by the store. The
loops that follow are contiguous and read a tile that lies in L1.
"""

import numpy as np

from .. import philox as formulas
from ..jit import compiled, exact, inlined, kernel, parallel_for, scratch
from .vecmath import log

TILE = 2048
GRAIN = 8 * TILE
# scratch slots: words of lane 0, words of lane 1
HIGH, LOW = 3, 4

_MASK, _HALF, _ZERO, _ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0), np.uint64(1)

philox = inlined(formulas.philox)
high_product = inlined(formulas.high_product)
sincos_turn = inlined(formulas.sincos_turn)


@compiled
def fill_words(words, state, first, n, lane):
    """words[i] = word first + i of a lane, i < n rounded up to a multiple of 4; first is one."""
    k0, k1 = state[0] & _MASK, state[0] >> _HALF
    counter = state[1] + np.uint64(first // 4)
    for block in range((n + 3) // 4):
        c = counter + np.uint64(block)
        words[4 * block], words[4 * block + 1], words[4 * block + 2], words[4 * block + 3] = philox(
            c & _MASK, c >> _HALF, lane, _ZERO, k0, k1
        )


@compiled
def words_like(slot, state):
    """A tile of 32-bit words in scratch."""
    return scratch(slot, TILE // 2, state).view(np.uint32)


@inlined
def joined(high, low):
    return np.uint64(high) << _HALF | np.uint64(low)


@compiled
def threshold(p):
    """What happens with probability p happens where a word is below this; up to 2^32 itself."""
    if not 0 <= p <= 1:
        raise ValueError("the probability p must be between 0 and 1")
    return np.uint64(p * 4294967296.0 + 0.5)


@kernel
def state_forward(state, generator, blocks):
    """Two words copied."""
    state[0], state[1] = generator[0], generator[1]
    generator[1] += np.uint64(blocks)


@exact
def _uniform(begin, end, y, state, low, high):
    F = y.dtype.type
    words, low_words = words_like(HIGH, state), words_like(LOW, state)
    span = high - low
    for start in range(begin, end, TILE):
        out = y[start : min(end, start + TILE)]
        fill_words(words, state, start, out.size, _ZERO)
        if y.itemsize == 4:
            for i in range(out.size):
                value = low + span * (F(np.int32(words[i] >> np.uint32(8))) * F(2.0**-24))
                out[i] = low if value == high else value
        else:
            fill_words(low_words, state, start, out.size, _ONE)
            for i in range(out.size):
                value = low + span * (F(joined(words[i], low_words[i]) >> np.uint64(11)) * F(2.0**-53))
                out[i] = low if value == high else value


@kernel
def uniform_forward(y, state, low, high):
    """Exact arithmetic: the same bits as the reference's."""
    F = y.dtype.type
    parallel_for(_uniform, y.size, GRAIN, (y, state, F(low), F(high)))


@compiled
def _normal(begin, end, y, state, mean, std):
    words, low_words = words_like(HIGH, state), words_like(LOW, state)
    for start in range(begin, end, TILE):
        out = y[start : min(end, start + TILE)]
        fill_words(words, state, start, out.size, _ZERO)
        if y.itemsize == 8:
            fill_words(low_words, state, start, out.size, _ONE)
        pairs = out.size // 2
        for j in range(pairs):
            out[2 * j], out[2 * j + 1] = _pair(y.itemsize, words, low_words, j, mean, std)
        if 2 * pairs < out.size:
            out[2 * pairs], _ = _pair(y.itemsize, words, low_words, pairs, mean, std)


@inlined
def _unit(itemsize, words, low_words, i):
    """Element i as a number in (0, 1]."""
    if itemsize == 4:
        return (np.float64(words[i]) + 0.5) * 2.0**-32
    return (np.float64(joined(words[i], low_words[i]) >> np.uint64(11)) + 1.0) * 2.0**-53


@inlined
def _pair(itemsize, words, low_words, j, mean, std):
    u, v = _unit(itemsize, words, low_words, 2 * j), _unit(itemsize, words, low_words, 2 * j + 1)
    radius = std * np.sqrt(-2.0 * log(u))
    sine, cosine = sincos_turn(v)
    return mean + radius * cosine, mean + radius * sine


@kernel
def normal_forward(y, state, mean, std):
    """In float64 lanes for either dtype; sine and cosine by polynomials on an eighth of a turn, cut exactly."""
    parallel_for(_normal, y.size, GRAIN, (y, state, mean, std))


@compiled
def _bernoulli(begin, end, y, state, below):
    F = y.dtype.type
    words = words_like(HIGH, state)
    for start in range(begin, end, TILE):
        out = y[start : min(end, start + TILE)]
        fill_words(words, state, start, out.size, _ZERO)
        for i in range(out.size):
            out[i] = F(1) if np.uint64(words[i]) < below else F(0)


@kernel
def bernoulli_forward(y, state, p):
    """One comparison a word."""
    parallel_for(_bernoulli, y.size, GRAIN, (y, state, threshold(p)))


@compiled
def _randint(begin, end, y, state, low, count):
    words, low_words = words_like(HIGH, state), words_like(LOW, state)
    for start in range(begin, end, TILE):
        out = y[start : min(end, start + TILE)]
        fill_words(words, state, start, out.size, _ZERO)
        fill_words(low_words, state, start, out.size, _ONE)
        for i in range(out.size):
            out[i] = low + np.int64(high_product(joined(words[i], low_words[i]), count))


@kernel
def randint_forward(y, state, low, high):
    """A multiply-high in four 32-bit products instead of a division."""
    if high <= low:
        raise ValueError("the range low .. high is empty")
    parallel_for(_randint, y.size, GRAIN, (y, state, low, np.uint64(high) - np.uint64(low)))


@kernel
def permutation_forward(y, state):
    """Serial: every place depends on those above it."""
    for i in range(y.size):
        y[i] = i
    words, low_words = words_like(HIGH, state), words_like(LOW, state)
    for tile in range((y.size - 1) // TILE, -1, -1):
        start = tile * TILE
        n = min(y.size - start, TILE)
        fill_words(words, state, start, n, _ZERO)
        fill_words(low_words, state, start, n, _ONE)
        for i in range(n - 1, -1, -1):
            here = start + i
            there = np.int64(high_product(joined(words[i], low_words[i]), np.uint64(here + 1)))
            y[here], y[there] = y[there], y[here]
