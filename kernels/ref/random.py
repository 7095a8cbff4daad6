"""Random numbers from a counter: Philox4x32-10.

Word i of a fill is word i % 4 of the block whose 128-bit counter is (offset + i // 4, lane, 0), under the key `seed`.
An element takes word i of lane 0; what needs more than 32 bits takes the low half from word i of lane 1. So an element
depends on (seed, offset, i) alone, and a float32 fill is the float64 fill cut short. A fill of n elements uses the
(n + 3) // 4 counters from `offset` on: the next fill begins there.

Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import numpy as np

U64 = np.uint64
MASK = U64(0xFFFFFFFF)


def philox(counter, key):
    """Four words of 32 bits, in uint64 arrays, for a counter of four words and a key of two."""
    c0, c1, c2, c3 = (np.asarray(c, U64) for c in counter)
    k0, k1 = (int(k) for k in key)
    for _ in range(10):
        p0, p1 = U64(0xD2511F53) * c0, U64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> U64(32)) ^ c1 ^ U64(k0), p1 & MASK, (p0 >> U64(32)) ^ c3 ^ U64(k1), p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def words(state, n, lane=0):
    """The first n words of a lane, in a uint64 array."""
    seed, offset = (int(s) for s in state)
    blocks = U64(offset) + np.arange((n + 3) // 4, dtype=U64)
    key = seed & 0xFFFFFFFF, seed >> 32
    return np.stack(philox((blocks & MASK, blocks >> U64(32), U64(lane), U64(0)), key), -1).reshape(-1)[:n]


def long_words(state, n):
    """n words of 64 bits: lane 0 above lane 1."""
    return words(state, n) << U64(32) | words(state, n, lane=1)


def state_forward(state, generator, blocks):
    """Take `blocks` counters from a generator: state = generator, then generator's offset += blocks.

    state      (2,) uint64  [out]    seed and first counter, for one fill
    generator  (2,) uint64  [inout]  seed and the next counter that nobody has taken
    blocks     int                   how many counters the fill uses
    """
    state[...] = generator
    generator[1:] += U64(blocks)


def uniform_forward(y, state, low, high):
    """y = low + (high - low) * u, u uniform on [0, 1): 24 bits for float32, 53 for float64.

    y      (...)       [out]  result, in [low, high)
    state  (2,) uint64        seed and first counter
    low    float              lowest value
    high   float              end of the range, left out (low itself when they are equal)

    Source: as torch.Tensor.uniform_.
    """
    dtype = y.dtype.type
    if y.dtype == np.float32:
        u = (words(state, y.size) >> U64(8)).astype(dtype) * dtype(2.0**-24)
    else:
        u = (long_words(state, y.size) >> U64(11)).astype(dtype) * dtype(2.0**-53)
    value = dtype(low) + (dtype(high) - dtype(low)) * u
    # rounding may reach the end of the range
    y[...] = np.where(value == dtype(high), dtype(low), value).reshape(y.shape)


def normal_forward(y, state, mean, std):
    """y = mean + std * z, z standard normal (Box & Muller 1958).

    Words 2j and 2j + 1, as numbers u and v in (0, 1], give z[2j] = sqrt(-2 log u) cos(2 pi v) and
    z[2j + 1] = sqrt(-2 log u) sin(2 pi v), in float64 for either dtype.

    y      (...)       [out]  result
    state  (2,) uint64        seed and first counter
    mean   float              mean
    std    float              standard deviation
    """
    even = y.size + y.size % 2
    if y.dtype == np.float32:
        u = (words(state, even).astype(np.float64) + 0.5) * 2.0**-32
    else:
        u = ((long_words(state, even) >> U64(11)).astype(np.float64) + 1) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(u[0::2])), 2 * np.pi * u[1::2]
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).reshape(-1)[: y.size]
    y[...] = (mean + std * z).reshape(y.shape)


def bernoulli_forward(y, state, p):
    """y = 1 with probability p, else 0.

    y      (...)       [out]  result
    state  (2,) uint64        seed and first counter
    p      float              0 .. 1, to a multiple of 2^-32

    Raises ValueError for p outside of 0 .. 1.
    """
    y[...] = below(state, y.size, p).reshape(y.shape)


def below(state, n, p):
    """Which of n words fall below p * 2^32: what happens with probability p."""
    if not 0 <= p <= 1:
        raise ValueError("the probability p must be between 0 and 1")
    return words(state, n) < U64(int(p * 2.0**32 + 0.5))


def randint_forward(y, state, low, high):
    """y = low + floor((high - low) * r / 2^64), r a random word of 64 bits.

    y      (...) int64  [out]  result, in [low, high)
    state  (2,) uint64         seed and first counter
    low    int                 lowest value
    high   int                 end of the range, left out

    Raises ValueError for an empty range.
    """
    if high <= low:
        raise ValueError("the range low .. high is empty")
    y[...] = np.array([low + ((high - low) * int(r) >> 64) for r in long_words(state, y.size)], np.int64).reshape(
        y.shape
    )


def permutation_forward(y, state):
    """A random order of 0 .. N-1: Fisher & Yates' shuffle, from the last place down.

    Place i changes with place floor((i + 1) * r / 2^64), r the 64-bit word i.

    y      (N,) int64  [out]  result
    state  (2,) uint64        seed and first counter
    """
    y[...] = np.arange(y.size)
    random = long_words(state, y.size)
    for i in range(y.size - 1, 0, -1):
        j = (i + 1) * int(random[i]) >> 64
        y[i], y[j] = y[j], y[i]
