"""What stands around padded numbers: plain functions, shared by all backends.

Along a dimension of `size` elements, of which those before `low` and from `high` on are cut off, a `place` counts from
the first element: negative in front of it, `size` and more behind the last.
"""

CONSTANT, REFLECT, REPLICATE, CIRCULAR = range(4)
MODES = {"constant": CONSTANT, "reflect": REFLECT, "replicate": REPLICATE, "circular": CIRCULAR}


def kept(size, padded, front):
    """(low, high): what is left of a dimension where padding is negative."""
    back = padded - size - front
    return max(0, -front), size - max(0, -back)


def check_padding(size, padded, front, left, mode):
    """ValueError where a mode has no number to read; `left` elements are not cut off."""
    back = padded - size - front
    if front == 0 and back == 0:
        return
    if mode == REFLECT and max(front, back) >= size:
        raise ValueError("pad: expected less padding than elements to reflect")
    if mode == REPLICATE and size < 1:
        raise ValueError("pad: expected an element to replicate")
    if mode == CIRCULAR and max(front, back) > max(0, left):
        raise ValueError("pad: expected no more padding than elements to go around")


def source(place, size, low, high, mode):
    """The element that is read for a place; -1: none, the constant stands there."""
    if low <= place < high:
        return place
    if mode == REFLECT:
        return -place if place < 0 else place if place < size else 2 * (size - 1) - place
    if mode == REPLICATE:
        return min(max(place, 0), size - 1)
    if mode == CIRCULAR:
        return place + (high - low) if place < low else place - (high - low)
    return -1
