"""What the definitions of recurrent layers share: which steps there are, in which order, and of which samples."""

import numpy as np

from ..recurrent_checks import check_lengths


def steps(x, lengths, reverse):
    """[(t, active)]: the steps in the order they are taken; active (N, 1): the samples that have step t."""
    count, samples = x.shape[:2]
    check_lengths(lengths, count)
    if samples and not lengths.size:
        lengths = np.full(samples, count)
    order = range(count)[::-1] if reverse else range(count)
    return [(t, t < lengths.reshape(-1, 1)) for t in order]


def start(state, shape, dtype):
    """A state before the first step: zeros where it is absent."""
    return state.copy() if state.size else np.zeros(shape, dtype)


def before(states, first, taken, k):
    """The states that step number k of `taken` began with: those of the step before it, or the first ones."""
    if k == 0:
        return first
    t, active = taken[k - 1]
    return np.where(active, states[t], first)


def sigmoid(x):
    # exp of a negative number: nothing overflows
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def into(target, value, accumulate=False):
    """target (+)= value, where it is wanted."""
    if target.size:
        target[...] = target + value if accumulate else value
