"""Random fills: a thread draws the four words of a counter and writes the four elements that stand for them.

The formulas of kernels/philox.py are the CPU's: the same seed and offset give the same numbers, uniform ones bit for
bit. Not yet run on hardware.
"""

import numpy as np

from .. import philox as formulas
from .functions import log, sqrt
from .ptx import rounded_product
from .target import cuda, device, jit, kernel, launch, spread

_MASK, _HALF, _ZERO, _ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0), np.uint64(1)

philox = device(formulas.philox)
high_product = device(formulas.high_product)
sincos_turn = device(formulas.sincos_turn)


@device
def block_words(state, block, lane):
    """The four words of a block of a lane."""
    counter = state[1] + np.uint64(block)
    return philox(counter & _MASK, counter >> _HALF, lane, _ZERO, state[0] & _MASK, state[0] >> _HALF)


@device
def word(state, i, lane):
    """Word i of a lane."""
    w0, w1, w2, w3 = block_words(state, i // 4, lane)
    r = i % 4
    return (w0 if r == 0 else w1) if r < 2 else (w2 if r == 2 else w3)


@device
def long_word(state, i):
    """64 random bits: word i of lane 0 above that of lane 1."""
    return word(state, i, _ZERO) << _HALF | word(state, i, _ONE)


def threshold(p):
    """What happens with probability p happens where a word is below this; up to 2^32 itself."""
    if not 0 <= p <= 1:
        raise ValueError("the probability p must be between 0 and 1")
    return np.uint64(int(p * 2.0**32 + 0.5))


@jit
def _state(state, generator, blocks):
    state[0], state[1] = generator[0], generator[1]
    generator[1] += np.uint64(blocks)


@kernel
def state_forward(state, generator, blocks, stream=0):
    """One thread."""
    launch(_state, 1, 1, stream, state, generator, blocks)


@jit
def _uniform_single(y, state, low, high):
    span = high - low
    for block in range(cuda.grid(1), (y.size + 3) // 4, cuda.gridsize(1)):
        words = block_words(state, block, _ZERO)
        for r in range(4):
            if 4 * block + r < y.size:
                u = np.float32(words[r] >> np.uint64(8)) * np.float32(2.0**-24)
                value = low + rounded_product(span, u)
                y[4 * block + r] = low if value == high else value


@jit
def _uniform_double(y, state, low, high):
    span = high - low
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        u = np.float64(long_word(state, i) >> np.uint64(11)) * 2.0**-53
        value = low + rounded_product(span, u)
        y[i] = low if value == high else value


@kernel
def uniform_forward(y, state, low, high, stream=0):
    """The product is rounded by itself: the same bits as the reference's."""
    real = y.dtype.type
    if y.dtype == np.float32:
        spread(_uniform_single, (y.size + 3) // 4, stream, y, state, real(low), real(high))
    else:
        spread(_uniform_double, y.size, stream, y, state, real(low), real(high))


@jit
def _normal(y, state, mean, std, double):
    for j in range(cuda.grid(1), (y.size + 1) // 2, cuda.gridsize(1)):
        if double:
            u = (np.float64(long_word(state, 2 * j) >> np.uint64(11)) + 1.0) * 2.0**-53
            v = (np.float64(long_word(state, 2 * j + 1) >> np.uint64(11)) + 1.0) * 2.0**-53
        else:
            u = (np.float64(word(state, 2 * j, _ZERO)) + 0.5) * 2.0**-32
            v = (np.float64(word(state, 2 * j + 1, _ZERO)) + 0.5) * 2.0**-32
        radius = std * sqrt(-2.0 * log(u))
        sine, cosine = sincos_turn(v)
        y[2 * j] = mean + radius * cosine
        if 2 * j + 1 < y.size:
            y[2 * j + 1] = mean + radius * sine


@kernel
def normal_forward(y, state, mean, std, stream=0):
    """Box and Muller's transform in float64 for either dtype, a pair for each thread."""
    spread(_normal, (y.size + 1) // 2, stream, y, state, mean, std, y.dtype == np.float64)


@jit
def _bernoulli(y, state, below):
    for block in range(cuda.grid(1), (y.size + 3) // 4, cuda.gridsize(1)):
        words = block_words(state, block, _ZERO)
        for r in range(4):
            if 4 * block + r < y.size:
                y[4 * block + r] = 1 if words[r] < below else 0


@kernel
def bernoulli_forward(y, state, p, stream=0):
    """One comparison a word."""
    spread(_bernoulli, (y.size + 3) // 4, stream, y, state, threshold(p))


@jit
def _randint(y, state, low, count):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = low + np.int64(high_product(long_word(state, i), count))


@kernel
def randint_forward(y, state, low, high, stream=0):
    """A multiply-high instead of a division."""
    if high <= low:
        raise ValueError("the range low .. high is empty")
    spread(_randint, y.size, stream, y, state, low, np.uint64(high - low))


@jit
def _permutation(y, state):
    for i in range(y.size):
        y[i] = i
    for i in range(y.size - 1, 0, -1):
        j = np.int64(high_product(long_word(state, i), np.uint64(i + 1)))
        y[i], y[j] = y[j], y[i]


@kernel
def permutation_forward(y, state, stream=0):
    """One thread: the shuffle is serial. Right, and slow."""
    launch(_permutation, 1, 1, stream, y, state)
