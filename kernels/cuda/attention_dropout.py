"""What dropout keeps of a tile of scores: a bit for each of a thread's numbers.

Four words come of one counter, for four neighbouring keys of a query, and a thread's own numbers have only one or two
of them. Where keys are a multiple of four, the threads that have the others each draw for a part of all their numbers,
and show each other the bits.
"""

import numpy as np

from .attention_cores import ACROSS, DOWN
from .ptx_attention import shuffles
from .random import block_words, word
from .target import SIMULATOR, device

_ZERO = np.uint64(0)
# every fourth bit, and two of every four
_ONES, _PAIRS = np.uint64(0x1111111111111111), np.uint64(0x3333333333333333)


@device
def four_kept(state, below, at):
    """Bits for elements at .. at + 3, at a multiple of four."""
    w0, w1, w2, w3 = block_words(state, at // 4, _ZERO)
    bits = np.uint64(w0 >= below) | np.uint64(w1 >= below) << np.uint64(1)
    return bits | np.uint64(w2 >= below) << np.uint64(2) | np.uint64(w3 >= below) << np.uint64(3)


def keeping(shape, turned):
    """kept(state, below, begin, keys, query, key, lane): bits for the tile whose first number is that of a query and
    a key, number i in bit i; element (query, key) is number begin + query * keys + key of all.

    turned  rows are keys
    """
    count, tensor, across = len(shape.places.at), shape.tensor, shape.across
    shuffle = shuffles(shape.lanes)

    @device
    def place(i):
        """Queries and keys from the first number of a tile to number i, as score_tile has them."""
        if tensor:
            r, c = i // (8 * across) * 16 + i // 2 % 2 * 8, i // 4 % (2 * across) * 8 + i % 2
        else:
            r, c = i // across * DOWN, i % across * ACROSS
        return (c, r) if turned else (r, c)

    @device
    def alone(state, below, begin, keys, query, key):
        bits = _ZERO
        for i in range(count):
            down, right = place(i)
            w = word(state, begin + (query + down) * keys + key + right, _ZERO)
            bits |= np.uint64(w >= below) << np.uint64(i)
        return bits

    @device
    def in_pairs(state, below, begin, keys, query, key, lane):
        """Lanes i and i ^ 1 have two keys each; one draws for the first of two rows, the other for the second."""
        odd, mine = lane % 2, _ZERO
        for i in range(0, count, 4):
            down, right = place(i + 2 * odd)
            at = begin + (query + down) * keys + key - 2 * odd + right
            mine |= four_kept(state, below, at) << np.uint64(i)
        other = np.uint64(shuffle(np.int64(mine), 1))
        first, second, own = (other, mine, np.uint64(2)) if odd else (mine, other, _ZERO)
        return first >> own & _PAIRS | (second >> own & _PAIRS) << np.uint64(2)

    # the bits of a lane in which the four differ that have the keys of one counter
    low, high = ((4, 8) if tensor else (1, 16)) if turned else (2, 4)

    @device
    def in_fours(state, below, begin, keys, query, key, lane):
        """Four lanes have a key each; each draws for every fourth number."""
        own, mine = key % 4, _ZERO
        for i in range(0, count, 4):
            down, right = place(i + own)
            mine |= four_kept(state, below, begin + (query + down) * keys + key - own + right) << np.uint64(i)
        a = np.uint64(shuffle(np.int64(mine), low))
        b, c = np.uint64(shuffle(np.int64(mine), high)), np.uint64(shuffle(np.int64(a), high))
        bit = np.uint64(own)
        # of whom the bits are: the one whose key is own ^ 1, own ^ 2, own ^ 3
        bits = (mine >> bit & _ONES) << bit | (a >> bit & _ONES) << np.uint64(own ^ 1)
        return bits | (b >> bit & _ONES) << np.uint64(own ^ 2) | (c >> bit & _ONES) << np.uint64(own ^ 3)

    together = in_pairs if tensor and not turned else in_fours
    # warps of the simulator's ordinary core have two rows and columns of lanes
    possible = (tensor or not SIMULATOR) and count % 4 == 0

    @device
    def kept(state, below, begin, keys, query, key, lane):
        if possible and keys % 4 == 0:
            return together(state, below, begin, keys, query, key, lane)
        return alone(state, below, begin, keys, query, key)

    return kept
