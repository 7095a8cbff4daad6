"""Labels are looked at once, serially, before a loss goes parallel and before any of them indexes anything."""

from ..jit import compiled, raising, scratch
from ..labels import LabelError

# workspace of the class weights; parallel bodies leave it alone
WEIGHTS = 6


@raising
def _refuse(label, least, most):
    raise LabelError(label, least, most)


@compiled
def check_labels(target, least, classes, ignored):
    """Refuse labels outside least .. classes-1 other than `ignored`; a label in the range ignores nothing."""
    bad = 0
    for i in range(target.size):
        bad += ((target[i] < least) | (target[i] >= classes)) & (target[i] != ignored)
    if bad > 0:
        for i in range(target.size):
            if (target[i] < least or target[i] >= classes) and target[i] != ignored:
                _refuse(target[i], least, classes - 1)


@compiled
def kept_weight(target, weight, ignored):
    """What a mean divides by: the sum of weight[target], or the count, over targets that are not ignored."""
    count = 0.0
    for i in range(target.size):
        if target[i] != ignored:
            count += weight[target[i]] if weight.size else 1.0
    return count


@compiled
def class_weights(weight, c, like):
    """weight, or ones where it is absent; and their sum."""
    if weight.size:
        w = weight
    else:
        w = scratch(WEIGHTS, c, like)
        for j in range(c):
            w[j] = 1
    s = 0.0
    for j in range(c):
        s += w[j]
    return w, s
