"""Sums of what goes to the same place: positions are sorted by it, then summed in that order, always the same way.

`sorted_positions` makes keys of a place and a position and sorts them (order.py); a place that is out of range is
reported, one that is left out goes behind all. `sum_groups` cuts the sorted positions into chunks, however they are
spread over places: a thread adds one column of one chunk, writes what begins and ends there, and leaves what goes on
in a neighbour; a second launch adds these up, from the first chunk of a place to its last.
"""

import numpy as np

from .layout import elements, over_rows
from .maps import refuse_uint16
from .order import ABOVE, LAST, POSITION, sort_keys
from .ptx import narrow, wide
from .reduce import accumulator
from .scan import scan
from .target import SIMULATOR, cuda, device, empty, jit

# positions of a chunk
CHUNK = 5 if SIMULATOR else 16
# the place of keys that are behind all
NOWHERE = LAST >> ABOVE


@jit
def _compose(keys, indices, source, rows, K, I, least, size, left_out, problem, code):
    """keys (rows, K): row o * I + i has the places indices[o, k, i]. A negative source: of no use."""
    row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if row < rows:
        o = row // I
        i = row - o * I
        k = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        while k < K:
            place = indices[(o * K + k) * I + i]
            key = LAST
            if place < least or place >= size:
                problem[0] = code
            elif place != left_out and not (source.size > 0 and source[k] < 0):
                if place < 0:
                    place += size
                key = np.uint64(place) << ABOVE | np.uint64(k)
            keys[row * K + k] = key
            k += cuda.gridDim.y * cuda.blockDim.x


def sorted_positions(indices, least, size, left_out, word, code, stream, source=None):
    """Sorted keys (O * I, K) of indices (O, K, I), or (K,), that are least .. size-1; negative ones count from the end.

    left_out   a place that is not wanted
    word, code where to report a place out of range
    source     (K,) or absent: a position with a negative one is left out
    """
    O, K, I = indices.shape if indices.ndim == 3 else (1, indices.size, 1)
    keys = empty((O * I, K), np.uint64)
    source = indices.reshape(-1)[:0] if source is None else source
    args = (indices.reshape(-1), source, O * I, K, I, least, size, left_out, word, code)
    over_rows(_compose, O * I, K, stream, keys.reshape(-1), *args)
    return sort_keys(keys, stream)


@device
def _end(keys, row, K, place):
    """The first position of a row of sorted keys that is behind those of `place`."""
    low, high = 0, K
    while low < high:
        at = (low + high) >> 1
        if keys[row + at] >> ABOVE <= place:
            low = at + 1
        else:
            high = at
    return low


@device
def _write(out, at, total, accumulate):
    out[at] = narrow(out, wide(out[at]) + total if accumulate else total)


@device
def _target(key, ranks, j):
    return ranks[j] - 1 if ranks.size > 0 else np.int64(key >> ABOVE)


@device
def _value(key, terms, source, factors, begin, I, zero):
    """The term at the position of a key."""
    c = type(zero)
    if key == LAST:
        return zero
    k = np.int64(key & POSITION)
    value = c(wide(terms[begin + (source[k] if source.size > 0 else k) * I]))
    return value * factors[k] if factors.size > 0 else value


@device
def _add(state, key, before, j, value, out, begin, I, ranks, accumulate, last):
    """state: the sum of the current place, where it began, and whether in an earlier chunk. Gives the sum that an
    earlier chunk wants, if it ends here, after the state."""
    total, first, opened, left = state
    zero = type(total)(0)
    if key >> ABOVE != before >> ABOVE:
        if opened:
            left = total
        elif before >> ABOVE != NOWHERE:
            at = begin + _target(before, ranks, first) * I
            _write(out, at, total, accumulate)
        total, first, opened = zero, j, False
    return value if last else total + value, first, opened, left


@jit
def _sum_chunks(
    out,
    lefts,
    rights,
    keys,
    terms,
    source,
    factors,
    ranks,
    K,
    R,
    T,
    I,
    columns,
    chunks,
    own,
    zero,
    accumulate,
    last,
):
    """Column c = (o, i) of out (O, R, I) and of terms (O, T, I).

    lefts, rights  (chunks, columns): sums of places that began in an earlier chunk, and of those that go on in the next
    """
    chunk = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while chunk < chunks and c < columns:
        o = c // I
        i = c - o * I
        row = c * K if own else 0
        source_at, out_at = o * T * I + i, o * R * I + i
        j, end = chunk * CHUNK, min(K, (chunk + 1) * CHUNK)
        before = keys[row + j]
        opened = j > 0 and keys[row + j - 1] >> ABOVE == before >> ABOVE
        began_before, state = opened, (zero, np.int64(j), opened, zero)
        while j < end:
            # loads of four positions together
            k0 = keys[row + j]
            k1 = keys[row + j + 1] if j + 1 < end else LAST
            k2 = keys[row + j + 2] if j + 2 < end else LAST
            k3 = keys[row + j + 3] if j + 3 < end else LAST
            v0 = _value(k0, terms, source, factors, source_at, I, zero)
            v1 = _value(k1, terms, source, factors, source_at, I, zero)
            v2 = _value(k2, terms, source, factors, source_at, I, zero)
            v3 = _value(k3, terms, source, factors, source_at, I, zero)
            state = _add(state, k0, before, j, v0, out, out_at, I, ranks, accumulate, last)
            before = k0
            if j + 1 < end:
                state = _add(state, k1, before, j + 1, v1, out, out_at, I, ranks, accumulate, last)
                before = k1
            if j + 2 < end:
                state = _add(state, k2, before, j + 2, v2, out, out_at, I, ranks, accumulate, last)
                before = k2
            if j + 3 < end:
                state = _add(state, k3, before, j + 3, v3, out, out_at, I, ranks, accumulate, last)
                before = k3
            j += 4
        total, first, opened, left = state
        if opened:
            left = total
        elif before >> ABOVE != NOWHERE:
            if end < K and keys[row + end] >> ABOVE == before >> ABOVE:
                rights[chunk * columns + c] = total
            else:
                at = out_at + _target(before, ranks, first) * I
                _write(out, at, total, accumulate)
        if began_before:
            lefts[chunk * columns + c] = left
        c += cuda.gridDim.y * cuda.blockDim.x


@jit
def _join_chunks(out, lefts, rights, keys, ranks, K, R, I, columns, chunks, own, accumulate, last):
    """Places that begin in a chunk and go on behind it."""
    chunk = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while chunk < chunks - 1 and c < columns:
        row, begin, end = c * K if own else 0, chunk * CHUNK, (chunk + 1) * CHUNK
        key = keys[row + end - 1]
        place = key >> ABOVE
        goes_on = place != NOWHERE and keys[row + end] >> ABOVE == place
        if goes_on and not (chunk > 0 and keys[row + begin - 1] >> ABOVE == place):
            behind = _end(keys, row, K, place)
            total = rights[chunk * columns + c]
            # (chunks that hold it) - 1
            for m in range(chunk + 1, (behind - 1) // CHUNK + 1):
                more = lefts[m * columns + c]
                total = more if last else total + more
            o = c // I
            at = o * R * I + (c - o * I) + _target(key, ranks, end - 1) * I
            _write(out, at, total, accumulate)
        c += cuda.gridDim.y * cuda.blockDim.x


def sum_groups(out, terms, keys, stream, source=None, factors=None, ranks=None, accumulate=False, last=False):
    """out[o, r, i] (+)= sum of terms[o, k, i] over the positions k of place r; places without one stay as they are.

    keys          of `sorted_positions`: a row for each (o, i), or one for all
    source        (K,) which term belongs to a position, where it is not the one of its number
    factors       (K,) what the terms are multiplied by
    ranks         (K,) of `ranks_of`: what belongs to the u-th place goes to row u
    last          take the last term instead of the sum
    """
    (O, R, I), T, K = out.shape, terms.shape[1], keys.shape[1]
    columns, chunks, own = O * I, -(-K // CHUNK), keys.shape[0] != 1 and O * I != 1
    if not columns or not K:
        return
    kind = np.float32 if terms.itemsize == 2 else accumulator(terms.dtype)
    refuse_uint16(terms)
    lefts, rights = (empty((chunks * columns,), np.dtype(kind)) for _ in range(2))
    whole = empty((0,), np.int64)
    source, ranks = (whole if a is None else a for a in (source, ranks))
    factors = lefts[:0] if factors is None else factors
    out, keys = out.reshape(-1), keys.reshape(-1)
    shape, flags = (columns, chunks, own), (accumulate, last)
    args = (out, lefts, rights, keys, terms.reshape(-1), source, factors, ranks, K, R, T, I, *shape, kind(0), *flags)
    over_rows(_sum_chunks, chunks, columns, stream, *args)
    if chunks > 1:
        over_rows(_join_chunks, chunks, columns, stream, out, lefts, rights, keys, ranks, K, R, I, *shape, *flags)


@jit
def _divide(factors, keys):
    j = cuda.grid(1)
    if j < keys.size and keys[j] != LAST:
        place = keys[j] >> ABOVE
        count = _end(keys, 0, keys.size, place)
        if place > np.uint64(0):
            count -= _end(keys, 0, keys.size, place - np.uint64(1))
        k = np.int64(keys[j] & POSITION)
        factors[k] = factors[k] / type(factors[k])(count)


def divide_by_frequency(factors, keys, stream):
    """Divide the factor (K,) of each sorted position by how many there are of its place."""
    elements(_divide, keys.size, stream, factors, keys.reshape(-1))


# ---- the places themselves


@jit
def _heads(heads, keys):
    j = cuda.grid(1)
    if j < keys.size:
        new = keys[j] != LAST and (j == 0 or keys[j - 1] >> ABOVE != keys[j] >> ABOVE)
        heads[j] = 1 if new else 0


@jit
def _name(rows, count, keys, ranks):
    j = cuda.grid(1)
    if j < keys.size:
        if keys[j] != LAST and (j == 0 or keys[j - 1] >> ABOVE != keys[j] >> ABOVE):
            rows[ranks[j] - 1] = np.int64(keys[j] >> ABOVE)
        if j == keys.size - 1:
            count[0] = ranks[j]


def ranks_of(keys, stream):
    """(K,): the how manieth place, from 1 on, each sorted position belongs to."""
    K = keys.size
    heads, ranks = (empty((1, K, 1), np.int64) for _ in range(2))
    elements(_heads, K, stream, heads.reshape(-1), keys.reshape(-1))
    scan(ranks, heads, False, np.int64, stream)
    return ranks.reshape(-1)


def name_places(rows, count, keys, ranks, stream):
    """rows[u] = the u-th place; count[0] = how many there are."""
    elements(_name, keys.size, stream, rows, count, keys.reshape(-1), ranks)
