"""The CTC loss on the CPU: samples in parallel, each through all steps forwards, then backwards.

The blanks of a sample are one row of numbers and its labels another: blank k stands before label k, the last blank
before a label that has no probability. A step reads both rows of the step before, and labels one place further on, so
vectors lie across places. What is a number, and how two are added: ctc_formulas.py.

Rows are kept in blocks of 16 places: 16 mantissas of blanks, their exponents, mantissas of labels, their exponents. All
of a block is at constant distances from one address, so that LLVM has few overlaps to rule out. Those fields from which
neighbours are read have 17 places: one more, of the block before or behind. Steps go from one row to another and back:
what a step writes it finds again where, and as wide as, it was written, but for the neighbours.
"""

import math

import numpy as np

from .. import ctc_checks, ctc_formulas
from ..binding import bind
from ..ctc_formulas import LEAST
from ..jit import compiled, kernel, leaf, parallel_for, raising, scratch
from .loss import MEAN, NONE, SUMS, check_loss, end_loss
from .loss_labels import check_labels
from .vecbits import at_least, at_most, constant, exponent, power_of_two, rounder, significand
from .vecmath import exp_parts, log

# places of a block
LANES = 16
# a block forwards: blanks (mantissas, exponents), labels with the last one of the block before; what is kept of it
BLANK, BLANK_E, LABEL, LABEL_E, FORTH = 0, 16, 32, 49, 66
KEPT_LABEL, KEPT_LABEL_E, KEPT = 32, 48, 64
# backwards: blanks and labels with the first ones of the block behind; then how much each place is occupied
BACK_E, BACK_LABEL, BACK_LABEL_E, OCCUPIED, OCCUPIED_LABEL, BACK = 17, 34, 51, 68, 84, 100
# scratch slots. The two rows lie apart from each other, and from all else that a step reads: LLVM compares addresses of
# one slot pair by pair, and there are too many pairs
EVEN, ODD, STEPS = 3, 5, 6
# steps times places of a chunk of samples, at least
GRAIN = 4096

LN2 = math.log(2)

# exponents up to here are whole numbers with room for what is added to them
_EXACT = constant(2.0**22, 2.0**51)
# 2^n is 0 for power_of_two
_ZERO_POWER = constant(-127.0, -1023.0)
# of a part of all paths
_MOST = constant(2.0, 2.0)

_check_sizes, _wrong_length = compiled(ctc_checks.check_sizes), compiled(ctc_checks.wrong_length)
_first_label, _refuse = compiled(ctc_checks.first_label), raising(ctc_checks.refuse)


@leaf
def _power(e):
    return power_of_two(at_least(e, _ZERO_POWER(e)) + rounder(e))


@leaf
def _part(e):
    """2^e of a part of all paths: more than 4 is what rounding has made of the largest exponents."""
    return _power(at_most(e, _MOST(e)))


_formulas = bind(ctc_formulas, leaf, power=_power, mantissa=significand, exponent=exponent, exp_parts=exp_parts)
_probability, _normal, _two, _three = _formulas.probability, _formulas.normal, _formulas.two, _formulas.three


@compiled
def _read(mantissas, exponents, x, n, labels, blank, blocks):
    """Probabilities of sample n at each step: of its labels, of none up to the end of the last block, and behind those
    of all steps of its blank."""
    places = blocks * LANES
    steps = mantissas.size // (places + 1)
    lines, blanks = mantissas[: steps * places].reshape(steps, places), mantissas[steps * places :]
    for t in range(steps):
        row, out = x[t, n], lines[t]
        blanks[t] = row[blank]
        for k in range(labels.size):
            out[k] = row[labels[k]]
        out[labels.size :] = -math.inf
    for i in range(mantissas.size):
        mantissas[i], exponents[i] = _probability(mantissas[i])


@compiled
def _top(mantissas, exponents, blank_m, blank_e):
    """The largest exponent of the probabilities of a step."""
    top, some = blank_e, blank_m != 0
    for k in range(mantissas.size):
        if mantissas[k] != 0 and not (some and exponents[k] <= top):
            top, some = exponents[k], True
    return top


@compiled
def _lower(mantissas, exponents, blank_m, blank_e, together):
    """Take the largest exponent of each step from all of that step, and tell their sum, which every path loses; or 0
    where that would bring `together`, the exponent of all paths, no nearer to 0."""
    total = 0.0
    for t in range(blank_m.size):
        total += np.float64(_top(mantissas[t].reshape(-1), exponents[t].reshape(-1), blank_m[t], blank_e[t]))
    if not abs(together - total) < abs(together):
        return 0.0
    for t in range(blank_m.size):
        e = exponents[t].reshape(-1)
        top = _top(mantissas[t].reshape(-1), e, blank_m[t], blank_e[t])
        for k in range(e.size):
            e[k] -= top
        blank_e[t] -= top
    return total


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
def _clear(row, blank_e, label, label_e, end):
    """Zeros in all places of a row, whose fields begin there."""
    row[:, :blank_e] = 0
    row[:, blank_e:label] = LEAST
    row[:, label:label_e] = 0
    row[:, label_e:end] = LEAST


@compiled
def _forwards(row, before, ahead, label_m, label_e, blank_m, blank_e):
    """One step: paths that end in a place, of those that ended there or one before."""
    for b in range(row.shape[0]):
        q, p, passes, mantissas, exponents = row[b], before[b], ahead[b], label_m[b], label_e[b]
        for j in range(LANES):
            m0, e0 = p[BLANK + j], p[BLANK_E + j]
            m1, e1 = p[LABEL + 1 + j], p[LABEL_E + 1 + j]
            m2, e2 = p[LABEL + j], p[LABEL_E + j]
            m, e = _two(m0, e0, m2, e2)
            q[BLANK + j], q[BLANK_E + j] = _normal(m * blank_m, e + blank_e)
            m, e = _three(m0, e0, m1, e1, m2, e2 + passes[j])
            q[LABEL + 1 + j], q[LABEL_E + 1 + j] = _normal(m * mantissas[j], e + exponents[j])
    row[0, LABEL], row[0, LABEL_E] = 0, LEAST
    for b in range(1, row.shape[0]):
        row[b, LABEL], row[b, LABEL_E] = row[b - 1, LABEL + LANES], row[b - 1, LABEL_E + LANES]


@compiled
def _keep(kept, row):
    for b in range(row.shape[0]):
        out, q = kept[b], row[b]
        for j in range(LANES):
            out[BLANK + j], out[BLANK_E + j] = q[BLANK + j], q[BLANK_E + j]
            out[KEPT_LABEL + j], out[KEPT_LABEL_E + j] = q[LABEL + 1 + j], q[LABEL_E + 1 + j]


@compiled
def _backwards(row, after, kept, behind, label_m, label_e, blank_m, blank_e, share, scale):
    """One step: paths that go on from a place, its own class included, of those that go on from there or one behind;
    and what part of all paths, whose number is 2^-scale / share, is at each place."""
    for b in range(row.shape[0]):
        q, p, a, passes, mantissas, exponents = row[b], after[b], kept[b], behind[b], label_m[b], label_e[b]
        for j in range(LANES):
            m0, e0 = p[BLANK + j], p[BACK_E + j]
            m1, e1 = p[BACK_LABEL + j], p[BACK_LABEL_E + j]
            m2, e2 = p[BLANK + 1 + j], p[BACK_E + 1 + j]
            m3, e3 = p[BACK_LABEL + 1 + j], p[BACK_LABEL_E + 1 + j]
            m, e = _two(m0, e0, m1, e1)
            q[OCCUPIED + j] = m * share * a[BLANK + j] * _part(e + a[BLANK_E + j] + scale)
            q[BLANK + j], q[BACK_E + j] = _normal(m * blank_m, e + blank_e)
            m, e = _three(m1, e1, m2, e2, m3, e3 + passes[j])
            q[OCCUPIED_LABEL + j] = m * share * a[KEPT_LABEL + j] * _part(e + a[KEPT_LABEL_E + j] + scale)
            q[BACK_LABEL + j], q[BACK_LABEL_E + j] = _normal(m * mantissas[j], e + exponents[j])
    _show_next(row)


@compiled
def _show_next(row):
    """Give every block the first places of the one behind it; nothing is behind the last."""
    for b in range(row.shape[0] - 1):
        q, p = row[b], row[b + 1]
        q[BLANK + LANES], q[BACK_E + LANES] = p[BLANK], p[BACK_E]
        q[BACK_LABEL + LANES], q[BACK_LABEL_E + LANES] = p[BACK_LABEL], p[BACK_LABEL_E]
    last = row[row.shape[0] - 1]
    last[BLANK + LANES], last[BACK_E + LANES] = 0, LEAST
    last[BACK_LABEL + LANES], last[BACK_LABEL_E + LANES] = 0, LEAST


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
        occupied, some = row[b, OCCUPIED_LABEL:BACK], labels[b * LANES : b * LANES + LANES]
        for j in range(some.size):
            dx[some[j]] -= factor * occupied[j]


@compiled
def _together(row, labels):
    """What all paths have together, of the row after the last step."""
    b, j = labels.size // LANES, labels.size % LANES
    m, e = _two(row[b, BLANK + j], row[b, BLANK_E + j], row[b, LABEL + j], row[b, LABEL_E + j])
    return _normal(m, e)


@compiled
def _all_forwards(even, odd, forth, ahead, label_m, label_e, blank_m, blank_e):
    """All steps, of which `forth` keeps the sums if it has room; returns the last row."""
    a, b = even, odd
    _clear(a, BLANK_E, LABEL, LABEL_E, FORTH)
    # before the first step, all paths are at the first blank
    a[0, BLANK], a[0, BLANK_E] = 1, 0
    for t in range(blank_m.size):
        if t % 2 == 0:
            _forwards(b, a, ahead, label_m[t], label_e[t], blank_m[t], blank_e[t])
        else:
            _forwards(a, b, ahead, label_m[t], label_e[t], blank_m[t], blank_e[t])
        if forth.size:
            _keep(forth[t], a if t % 2 else b)
    return b if blank_m.size % 2 else a


@compiled
def _sample(dx, x, n, steps, labels, blank, zero_infinity, factor):
    """The loss of sample n, and its gradient times factor where dx is wanted."""
    blocks = labels.size // LANES + 1
    kept, numbers = steps if dx.size else 0, steps * (blocks * LANES + 1)
    even, odd = scratch(EVEN, blocks * BACK, x), scratch(ODD, blocks * BACK, x)
    space = scratch(STEPS, kept * blocks * KEPT + 2 * numbers + 2 * blocks * LANES, x)
    forth, space = space[: kept * blocks * KEPT].reshape(kept, blocks, KEPT), space[kept * blocks * KEPT :]
    mantissas, exponents, passes = space[:numbers], space[numbers : 2 * numbers], space[2 * numbers :]
    ahead, behind = passes[: blocks * LANES].reshape(blocks, LANES), passes[blocks * LANES :].reshape(blocks, LANES)
    _read(mantissas, exponents, x, n, labels, blank, blocks)
    labels_m = mantissas[: steps * blocks * LANES].reshape(steps, blocks, LANES)
    labels_e = exponents[: steps * blocks * LANES].reshape(steps, blocks, LANES)
    blanks_m, blanks_e = mantissas[numbers - steps :], exponents[numbers - steps :]
    _find_passes(ahead.reshape(-1), behind.reshape(-1), labels)
    a, b = even[: blocks * FORTH].reshape(blocks, FORTH), odd[: blocks * FORTH].reshape(blocks, FORTH)
    m, e, lowered = x.dtype.type(0), x.dtype.type(0), 0.0
    for again in (False, True):
        m, e = _together(_all_forwards(a, b, forth, ahead, labels_m, labels_e, blanks_m, blanks_e), labels)
        # where sums of exponents may have been rounded, once more with what is left when each step is lowered
        if not again and m != 0 and abs(e) > _EXACT(e):
            lowered = _lower(labels_m, labels_e, blanks_m, blanks_e, np.float64(e))
        if lowered == 0:
            break
    loss = -(log(np.float64(m)) + (np.float64(e) + lowered) * LN2)
    infinite = loss == math.inf
    if dx.size:
        nothing = x.dtype.type(math.nan if infinite and not zero_infinity else 0)
        for t in range(0 if infinite else steps, x.shape[0]):
            dx[t, n][:] = nothing if t < steps else x.dtype.type(0)
    if dx.size and not infinite:
        # after the last step, all paths are at the last blank: as if there were one more
        a, b = even.reshape(blocks, BACK), odd.reshape(blocks, BACK)
        _clear(a, BACK_E, BACK_LABEL, BACK_LABEL_E, OCCUPIED)
        last, share = labels.size % LANES, x.dtype.type(1) / m
        a[blocks - 1, BLANK + last], a[blocks - 1, BACK_E + last] = 1, 0
        _show_next(a)
        for i in range(steps):
            t = steps - 1 - i
            if i % 2 == 0:
                _backwards(b, a, forth[t], behind, labels_m[t], labels_e[t], blanks_m[t], blanks_e[t], share, -e)
            else:
                _backwards(a, b, forth[t], behind, labels_m[t], labels_e[t], blanks_m[t], blanks_e[t], share, -e)
            _gradient(dx[t, n], a if i % 2 else b, labels, blank, factor)
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
