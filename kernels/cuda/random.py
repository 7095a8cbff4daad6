"""Random fills: maps of the four words of a counter to the four elements that stand for them.

The formulas of kernels/philox.py are the CPU's: the same seed and offset give the same numbers, uniform ones bit for
bit.
"""

import numpy as np

from .. import philox as formulas
from .functions import log, sqrt
from .maps import define_map, launch_map
from .ptx import rounded_product
from .target import SIMULATOR, cuda, device, empty, jit, kernel, launch

_MASK, _HALF, _ZERO, _ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0), np.uint64(1)

# threads of the block that shuffles
SHUFFLERS = 8 if SIMULATOR else 1024

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


@device
def long_words(state, i):
    """64 random bits for each of elements i .. i + 3, i a multiple of 4: words of lane 0 above those of lane 1."""
    a, b = block_words(state, i // 4, _ZERO), block_words(state, i // 4, _ONE)
    return a[0] << _HALF | b[0], a[1] << _HALF | b[1], a[2] << _HALF | b[2], a[3] << _HALF | b[3]


# of a map's elements, to each its random bits
WORDS = {"made": {"w": "words(state, i{part} // 4, lane)"}, "parameters": ["state"]}
LONG: dict = {"made": {"w": "long_words(state, i{part})"}, "parameters": ["state"]}
DRAWN = {"words": block_words, "lane": _ZERO}


@device
def unit_single(w):
    return np.float32(w >> np.uint64(8)) * np.float32(2.0**-24)


@device
def unit_double(w):
    return np.float64(w >> np.uint64(11)) * 2.0**-53


@device
def between(u, low, high):
    value = low + rounded_product(high - low, u)
    return low if value == high else value


def _uniform(name, unit, bits):
    called = {**DRAWN, "unit": unit, "between": between}
    return define_map(globals(), name, {"y": "between(unit(w), low, high)"}, [], ["low", "high"], called, **bits)


_uniform_single = _uniform("_uniform_single", unit_single, WORDS)
_uniform_double = _uniform("_uniform_double", unit_double, LONG)


@kernel
def uniform_forward(y, state, low, high, stream=0):
    """The product is rounded by itself: the same bits as the reference's."""
    real = y.dtype.type
    function = _uniform_single if y.dtype == np.float32 else _uniform_double
    launch_map(function, stream, y, real(low), real(high), state)


@device
def pair(u, v, std):
    radius = std * sqrt(-2.0 * log(u))
    sine, cosine = sincos_turn(v)
    return radius * cosine, radius * sine


@device
def short_unit(w):
    return (np.float64(w) + 0.5) * 2.0**-32


@device
def long_unit(w):
    return (np.float64(w >> np.uint64(11)) + 1.0) * 2.0**-53


@device
def four_normal(state, i, std):
    w = block_words(state, i // 4, _ZERO)
    a, b = pair(short_unit(w[0]), short_unit(w[1]), std), pair(short_unit(w[2]), short_unit(w[3]), std)
    return a[0], a[1], b[0], b[1]


@device
def four_normal_long(state, i, std):
    w = long_words(state, i)
    a, b = pair(long_unit(w[0]), long_unit(w[1]), std), pair(long_unit(w[2]), long_unit(w[3]), std)
    return a[0], a[1], b[0], b[1]


def _normal(name, four):
    taken = {"made": {"z": "four(state, i{part}, std)"}, "parameters": ["std", "state"]}
    return define_map(globals(), name, {"y": "mean + z"}, [], ["mean"], {"four": four}, **taken)


_normal_single = _normal("_normal_single", four_normal)
_normal_double = _normal("_normal_double", four_normal_long)


@kernel
def normal_forward(y, state, mean, std, stream=0):
    """Box and Muller's transform in float64 for either dtype, two pairs from the words of a counter."""
    function = _normal_single if y.dtype == np.float32 else _normal_double
    launch_map(function, stream, y, float(mean), float(std), state)


_bernoulli = define_map(globals(), "_bernoulli", {"y": "1 if w < below else 0"}, [], ["below"], DRAWN, **WORDS)


@kernel
def bernoulli_forward(y, state, p, stream=0):
    """One comparison a word."""
    launch_map(_bernoulli, stream, y, threshold(p), state)


@device
def scaled(w, low, count):
    return low + np.int64(high_product(w, count))


_randint = define_map(
    globals(), "_randint", {"y": "scaled(w, low, count)"}, [], ["low", "count"], {**DRAWN, "scaled": scaled}, **LONG
)


@kernel
def randint_forward(y, state, low, high, stream=0):
    """A multiply-high instead of a division."""
    if high <= low:
        raise ValueError("the range low .. high is empty")
    launch_map(_randint, stream, y, low, np.uint64(high - low), state)


@device
def place(w, i):
    return np.int64(high_product(w, np.uint64(i + 1)))


@device
def four_from(i):
    return i, i + 1, i + 2, i + 3


_NOBODY = 2**31 - 1

_places = define_map(
    globals(),
    "_places",
    {"y": "index", "places": "place(w, index)", "claims": "nobody"},
    [],
    [],
    {**DRAWN, "place": place, "four_from": four_from, "nobody": _NOBODY},
    {**LONG["made"], "index": "four_from(i{part})"},
    LONG["parameters"],
)


@jit
def _exchange(y, places, claims):
    """Fisher and Yates' exchanges, as many at once as there are threads; those that meet an earlier one wait for it.

    A thread claims its two places with the number of its exchange among these; the least number has a place. What was
    claimed in earlier rounds is larger, and so forgotten.
    """
    thread = cuda.threadIdx.x
    key = _NOBODY // SHUFFLERS * SHUFFLERS - SHUFFLERS + thread
    first = y.size - 1
    while first > 0:
        i = first - thread
        waits = i > 0
        j = places[i] if waits else 0
        while cuda.syncthreads_or(np.int32(waits)):
            if waits:
                cuda.atomic.min(claims, i, key)
                cuda.atomic.min(claims, j, key)
            cuda.syncthreads()
            if waits and claims[i] == key and claims[j] == key:
                y[i], y[j] = y[j], y[i]
                waits = False
            key -= SHUFFLERS
        first -= SHUFFLERS


@kernel
def permutation_forward(y, state, stream=0):
    """Two launches: all places are drawn at once; then one block exchanges, with the result of the serial shuffle."""
    n = y.size
    if n >= _NOBODY:
        raise ValueError(f"permutation_forward: y: expected fewer than {_NOBODY} elements, got {n}")
    places, claims = empty((n,), np.int32), empty((n,), np.int32)
    launch_map(_places, stream, y, places, claims, state)
    if n > 1:
        launch(_exchange, 1, SHUFFLERS, stream, y, places, claims)
