"""Positions brought together by the id that stands at them: the rows of a gradient are then summed one by one.

A stable radix sort of id and position in one number: the positions of an id keep their order, so that its sum has one
order, whoever makes it. Serial: ids are few beside the rows that they name.
"""

from ..jit import compiled, raising, scratch
from ..labels import IdError

# workspace of the groups; parallel bodies leave it alone
GROUPS = 3
DIGIT = 11


@raising
def _refuse(index, least, last):
    raise IdError(index, least, last)


@compiled
def check_range(indices, least, size):
    """Refuse ids outside least .. size-1."""
    bad = 0
    for k in range(indices.size):
        bad += (indices[k] < least) | (indices[k] >= size)
    if bad > 0:
        for k in range(indices.size):
            if indices[k] < least or indices[k] >= size:
                _refuse(indices[k], least, size - 1)


@compiled
def check_ids(indices, size):
    """Refuse ids outside 0 .. size-1."""
    check_range(indices, 0, size)


@compiled
def check_rows(rows, size):
    """Refuse rows outside 0 .. size-1, and those that do not ascend."""
    for k in range(1, rows.size):
        if rows[k] <= rows[k - 1]:
            raise ValueError("rows: expected them to ascend, each named once")
    check_ids(rows, size)


@compiled
def _bits(n):
    """Digits of n in base 2."""
    bits = 0
    while n >> bits > 0:
        bits += 1
    return bits


@compiled
def _sort(keys, spare, counts, shift, bits):
    """`keys` in the order of `bits` of their bits from `shift` on; in `keys` or in `spare`."""
    passes = (bits + DIGIT - 1) // DIGIT
    for step in range(passes):
        # digits as equal as can be: fewer counts to add up
        first, last = bits * step // passes, bits * (step + 1) // passes
        at, mask = shift + first, (1 << (last - first)) - 1
        counts[: mask + 1] = 0
        for i in range(keys.size):
            counts[(keys[i] >> at) & mask] += 1
        total = 0
        for digit in range(mask + 1):
            total, counts[digit] = total + counts[digit], total
        for i in range(keys.size):
            digit = (keys[i] >> at) & mask
            spare[counts[digit]] = keys[i]
            counts[digit] += 1
        keys, spare = spare, keys
    return keys


@compiled
def grouped(indices, size, left_out):
    """order, begins, ids: positions, id by id, but for those of the id `left_out`; each id's first place in order, and
    the end of the last one's; and the ids, ascending. In the workspace GROUPS."""
    K = indices.size
    space = scratch(GROUPS, 5 * K + 1 + (1 << DIGIT), indices)
    keys, spare, order = space[:K], space[K : 2 * K], space[2 * K : 3 * K]
    ids, begins, counts = space[3 * K : 4 * K], space[4 * K : 5 * K + 1], space[5 * K + 1 :]
    shift = _bits(K)
    n = 0
    for k in range(K):
        keys[n] = indices[k] << shift | k
        n += indices[k] != left_out
    keys = _sort(keys[:n], spare[:n], counts, shift, _bits(size - 1))
    low, found, before = (1 << shift) - 1, 0, -1
    for i in range(n):
        order[i] = keys[i] & low
        v = keys[i] >> shift
        if v != before:
            begins[found], ids[found], before = i, v, v
            found += 1
    begins[found] = n
    return order[:n], begins[: found + 1], ids[:found]


@compiled
def first_from(ids, least):
    """How many of the ascending ids are below `least`."""
    low, high = 0, ids.size
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < least:
            low = middle + 1
        else:
            high = middle
    return low
