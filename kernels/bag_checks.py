"""What every backend asks of bags: plain functions, compiled too.

Bag b holds the positions offsets[b] .. offsets[b + 1] - 1, the last one all that are left where no offset comes after.
Without offsets all bags hold as many.
"""

SUM, MEAN, MAX = 0, 1, 2
MODES = {"sum": SUM, "mean": MEAN, "max": MAX}


def check_bags(offsets, bags, count, mode, weights):
    """ValueError for offsets that do not cut `count` positions into bags, and for weights beside another mode."""
    if mode < SUM or mode > MAX:
        raise ValueError("mode: expected 0 (sum), 1 (mean) or 2 (max)")
    if weights > 0 and mode != SUM:
        raise ValueError("weights: supported for the mode sum only")
    if bags == 0:
        return
    if offsets.size == 0:
        if count % bags != 0:
            raise ValueError("indices: expected as many in each bag, there are no offsets")
        return
    if offsets.size != bags and offsets.size != bags + 1:
        raise ValueError("offsets: expected one a bag, and perhaps the end of the last")
    if offsets[0] != 0:
        raise ValueError("offsets: expected the first to be 0")
    for b in range(1, offsets.size):
        if offsets[b] < offsets[b - 1]:
            raise ValueError("offsets: expected them not to descend")
    if offsets[offsets.size - 1] > count:
        raise ValueError("offsets: expected no more than there are ids")


def bag_end(offsets, bags, count, b):
    """The first position after bag b."""
    if offsets.size == 0:
        return (b + 1) * (count // bags)
    return offsets[b + 1] if b + 1 < offsets.size else count
