"""The CTC loss on the CPU: samples in parallel, each through all steps forwards, then backwards.

The blanks of a sample are one row of numbers and its labels another: blank k stands before label k, the last blank
before a label that has no probability. A step reads both rows of the step before, and labels one place further on, so
vectors lie across places. What is a number, and how two are added: ctc_formulas.py.

Rows are kept in blocks of 16 places: 16 mantissas of blanks, their exponents, mantissas of labels, their exponents. All
of a block is at constant distances from one address, so that LLVM has few overlaps to rule out. A step reads a copy of
the row before, whose fields have 17 places: one more, of the block before or behind.
"""

import math

import numpy as np

from .. import ctc_checks, ctc_formulas
from ..ctc_formulas import LEAST
from ..jit import compiled, kernel, leaf, parallel_for, raising, scratch
from .loss import MEAN, NONE, SUMS, check_loss, end_loss
from .loss_labels import check_labels
from .vecbits import at_least, constant, exponent, power_of_two, rounder, significand
from .vecmath import exp_parts, log

# places of a block
LANES = 16
# a block as it is written; backwards, also how much each place is occupied
BLANK, BLANK_E, LABEL, LABEL_E, OCCUPIED, OCCUPIED_LABEL = 0, 16, 32, 48, 64, 80
FORTH, BACK = 64, 96
# a block as it is read: fields of 17 places
FIRST, FIRST_E, SECOND, SECOND_E, COPY = 0, 17, 34, 51, 68
# scratch slots. What a step writes lies apart from all it reads: LLVM compares addresses of one slot pair by pair, and
# there are too many pairs
SUMS_FORTH, SYMBOLS, READ, SUMS_BACK = 3, 5, 6, 7
# steps times places of a chunk of samples, at least
GRAIN = 4096

LN2 = math.log(2)

# 2^n is 0 for power_of_two
_ZERO_POWER = constant(-127.0, -1023.0)

_check_sizes, _wrong_length = compiled(ctc_checks.check_sizes), compiled(ctc_checks.wrong_length)
_first_label, _refuse = compiled(ctc_checks.first_label), raising(ctc_checks.refuse)


@leaf
def _power(e):
    return power_of_two(at_least(e, _ZERO_POWER(e)) + rounder(e))


_formulas = ctc_formulas.bind(leaf, power=_power, mantissa=significand, exponent=exponent, exp_parts=exp_parts)
_probability, _normal, _two, _three = _formulas.probability, _formulas.normal, _formulas.two, _formulas.three


@compiled
def _read(symbols, blanks, x, n, labels, blank):
    """Probabilities of sample n's labels and blank at each step, 0 beyond its labels."""
    for t in range(symbols.shape[0]):
        row = x[t, n]
        blanks[0, t] = row[blank]
        for b in range(symbols.shape[1]):
            out, some = symbols[t, b], labels[b * LANES : b * LANES + LANES]
            for j in range(some.size):
                out[j] = row[some[j]]
            for j in range(some.size, LANES):
                out[j] = -math.inf
    for t in range(symbols.shape[0]):
        for b in range(symbols.shape[1]):
            out = symbols[t, b]
            for j in range(LANES):
                out[j], out[LANES + j] = _probability(out[j])
    blank_m, blank_e = blanks[0], blanks[1]
    for t in range(blank_m.size):
        blank_m[t], blank_e[t] = _probability(blank_m[t])


@compiled
def _find_passes(ahead, behind, labels):
    """ahead[k]: 0 where label k may follow label k-1 with no blank between, else the exponent of nothing;
    behind[k] = ahead[k+1]."""
    ahead[:] = -math.inf
    behind[:] = -math.inf
    for k in range(1, labels.size):
        if labels[k] != labels[k - 1]:
            ahead[k] = 0
            behind[k - 1] = 0


@compiled
def _clear(row):
    """A row to be read: zeros."""
    row[:, FIRST:FIRST_E] = 0
    row[:, FIRST_E:SECOND] = LEAST
    row[:, SECOND:SECOND_E] = 0
    row[:, SECOND_E:COPY] = LEAST


@compiled
def _copy_forwards(copy, row):
    """A row to be read for the next step; in front of each block's places is the last one of the block before."""
    for b in range(row.shape[0]):
        to, source = copy[b], row[b]
        for j in range(LANES):
            to[FIRST + 1 + j], to[FIRST_E + 1 + j] = source[BLANK + j], source[BLANK_E + j]
            to[SECOND + 1 + j], to[SECOND_E + 1 + j] = source[LABEL + j], source[LABEL_E + j]
    for b in range(1, row.shape[0]):
        copy[b, SECOND], copy[b, SECOND_E] = row[b - 1, LABEL + LANES - 1], row[b - 1, LABEL_E + LANES - 1]


@compiled
def _copy_backwards(copy, row):
    """Behind each block's places is the first one of the block behind."""
    for b in range(row.shape[0]):
        to, source = copy[b], row[b]
        for j in range(LANES):
            to[FIRST + j], to[FIRST_E + j] = source[BLANK + j], source[BLANK_E + j]
            to[SECOND + j], to[SECOND_E + j] = source[LABEL + j], source[LABEL_E + j]
    for b in range(row.shape[0] - 1):
        copy[b, FIRST + LANES], copy[b, FIRST_E + LANES] = row[b + 1, BLANK], row[b + 1, BLANK_E]
        copy[b, SECOND + LANES], copy[b, SECOND_E + LANES] = row[b + 1, LABEL], row[b + 1, LABEL_E]


@compiled
def _forwards(row, before, ahead, symbols, blank_m, blank_e):
    """One step: paths that end in a place, of those that ended there or one before."""
    for b in range(row.shape[0]):
        q, p, passes, symbol = row[b], before[b], ahead[b], symbols[b]
        for j in range(LANES):
            m0, e0 = p[FIRST + 1 + j], p[FIRST_E + 1 + j]
            m1, e1 = p[SECOND + 1 + j], p[SECOND_E + 1 + j]
            m2, e2 = p[SECOND + j], p[SECOND_E + j]
            m, e = _two(m0, e0, m2, e2)
            q[BLANK + j], q[BLANK_E + j] = _normal(m * blank_m, e + blank_e)
            m, e = _three(m0, e0, m1, e1, m2, e2 + passes[j])
            q[LABEL + j], q[LABEL_E + j] = _normal(m * symbol[j], e + symbol[LANES + j])


@compiled
def _backwards(row, after, forth, behind, symbols, blank_m, blank_e, share, scale):
    """One step: paths that go on from a place, its own class included, of those that go on from there or one behind;
    and what part of all paths, whose number is 2^-scale / share, is at each place."""
    for b in range(row.shape[0]):
        q, p, a, passes, symbol = row[b], after[b], forth[b], behind[b], symbols[b]
        for j in range(LANES):
            m0, e0 = p[FIRST + j], p[FIRST_E + j]
            m1, e1 = p[SECOND + j], p[SECOND_E + j]
            m2, e2 = p[FIRST + 1 + j], p[FIRST_E + 1 + j]
            m3, e3 = p[SECOND + 1 + j], p[SECOND_E + 1 + j]
            m, e = _two(m0, e0, m1, e1)
            q[OCCUPIED + j] = m * share * a[BLANK + j] * _power(e + a[BLANK_E + j] + scale)
            q[BLANK + j], q[BLANK_E + j] = _normal(m * blank_m, e + blank_e)
            m, e = _three(m1, e1, m2, e2, m3, e3 + passes[j])
            q[OCCUPIED_LABEL + j] = m * share * a[LABEL + j] * _power(e + a[LABEL_E + j] + scale)
            q[LABEL + j], q[LABEL_E + j] = _normal(m * symbol[j], e + symbol[LANES + j])


@compiled
def _gradient(dx, row, labels, blank, factor):
    """The gradient of one step, (C,): minus the occupation of each class, times factor."""
    total = dx.dtype.type(0)
    for b in range(row.shape[0]):
        occupied = row[b, OCCUPIED:OCCUPIED_LABEL]
        for j in range(LANES):
            total += occupied[j]
    dx[:] = 0
    dx[blank] = -factor * total
    for b in range(row.shape[0]):
        occupied, some = row[b, OCCUPIED_LABEL:], labels[b * LANES : b * LANES + LANES]
        for j in range(some.size):
            dx[some[j]] -= factor * occupied[j]


@compiled
def _together(row, labels):
    """What all paths have together, of the row that is read after the last step."""
    b, j = labels.size // LANES, labels.size % LANES
    m, e = _two(row[b, FIRST + 1 + j], row[b, FIRST_E + 1 + j], row[b, SECOND + j], row[b, SECOND_E + j])
    return _normal(m, e)


@compiled
def _sample(dx, x, n, steps, labels, blank, zero_infinity, factor):
    """The loss of sample n, and its gradient times factor where dx is wanted."""
    blocks = labels.size // LANES + 1
    kept, width = steps if dx.size else 1, blocks * 2 * LANES
    forth = scratch(SUMS_FORTH, kept * blocks * FORTH, x).reshape(kept, blocks, FORTH)
    space = scratch(SYMBOLS, steps * (width + 2), x)
    symbols, blanks = space[: steps * width].reshape(steps, blocks, 2 * LANES), space[steps * width :].reshape(2, steps)
    space = scratch(READ, blocks * (COPY + 2 * LANES), x)
    copy, rest = space[: blocks * COPY].reshape(blocks, COPY), space[blocks * COPY :].reshape(2, blocks, LANES)
    ahead, behind = rest[0], rest[1]
    _read(symbols, blanks, x, n, labels, blank)
    _find_passes(ahead.reshape(-1), behind.reshape(-1), labels)
    # before the first step, all paths are at the first blank
    _clear(copy)
    copy[0, FIRST + 1], copy[0, FIRST_E + 1] = 1, 0
    for t in range(steps):
        row = forth[min(t, kept - 1)]
        _forwards(row, copy, ahead, symbols[t], blanks[0, t], blanks[1, t])
        _copy_forwards(copy, row)
    m, e = _together(copy, labels)
    loss = -(log(np.float64(m)) + np.float64(e) * LN2)
    infinite = loss == math.inf
    if dx.size:
        nothing = x.dtype.type(math.nan if infinite and not zero_infinity else 0)
        for t in range(0 if infinite else steps, x.shape[0]):
            dx[t, n][:] = nothing if t < steps else x.dtype.type(0)
    if dx.size and not infinite:
        back = scratch(SUMS_BACK, blocks * BACK, x).reshape(blocks, BACK)
        # after the last step, all paths are at the last blank: as if there were one more
        _clear(copy)
        last, share = labels.size % LANES, x.dtype.type(1) / m
        copy[blocks - 1, FIRST + last], copy[blocks - 1, FIRST_E + last] = 1, 0
        if last == 0 and blocks > 1:
            copy[blocks - 2, FIRST + LANES], copy[blocks - 2, FIRST_E + LANES] = 1, 0
        for t in range(steps - 1, -1, -1):
            _backwards(back, copy, forth[t], behind, symbols[t], blanks[0, t], blanks[1, t], share, -e)
            _copy_backwards(copy, back)
            _gradient(dx[t, n], back, labels, blank, factor)
    return 0.0 if infinite and zero_infinity else loss


@compiled
def _samples(begin, end, values, dx, x, targets, lengths, sizes, step, blank, zero_infinity, mean):
    one = x.dtype.type(1)
    for n in range(begin, end):
        first, count = _first_label(sizes, step, n), sizes[n]
        share = one / x.dtype.type(max(1, count)) if mean else one
        factor = share / x.dtype.type(x.shape[1]) if mean else one
        labels = targets[first : first + count]
        values[n] = share * _sample(dx, x, n, lengths[n], labels, blank, zero_infinity, factor)


@kernel
def ctc_forward(loss, dx, x, targets, input_lengths, target_lengths, step, blank, zero_infinity, reduction):
    """Parallel over samples; of all steps the forward sums are kept where the gradient is wanted."""
    steps, samples, classes = x.shape
    check_loss(loss, samples, reduction)
    _check_sizes(samples, classes, targets.size, step, blank)
    what, value, sample, most = _wrong_length(input_lengths, target_lengths, steps, targets.size, step)
    if what != ctc_checks.RIGHT:
        _refuse(what, value, sample, most)
    for n in range(samples):
        first = _first_label(target_lengths, step, n)
        # no label is ignored: one in the range ignores nothing
        check_labels(targets[first : first + target_lengths[n]], 0, classes, 0)
    values = loss if reduction == NONE else scratch(SUMS, samples, x)
    if samples:
        places = max(1, steps * (targets.size // samples + 1))
        arguments = (values, dx, x, targets, input_lengths, target_lengths, step, blank, zero_infinity)
        parallel_for(_samples, samples, max(1, GRAIN // places), (*arguments, reduction == MEAN))
    end_loss(loss, values, samples, reduction)
