"""Connectionist temporal classification: the loss of a sequence of labels whose places in time nobody has told.

A path names a class at each step. It stands for the labels that are left when neighbours that are equal count once and
blanks are dropped; the probability of the labels is the sum over all their paths. With a blank before, between and
behind them, the labels are 2 S + 1 states, and a path goes through these: at each step it stays, goes to the next
state, or passes over a blank between two labels that differ.
"""

import numpy as np

from ..ctc_checks import check_sizes, first_label, refuse, wrong_length
from .loss import MEAN, check_loss, reduced, save
from .loss_multiclass import check_labels


def ctc_forward(loss, dx, x, targets, input_lengths, target_lengths, step, blank, zero_infinity, reduction):
    """loss[n] = -log(sum over the paths of n's labels of exp(sum over t of x[t, n, path[t]]))

    dx[t, n, c] is minus the share of those paths that are at class c at step t, times what the reduction makes of
    loss[n]: the derivative of the loss whatever x holds. (torch's gradient is larger by exp(x), which log_softmax in
    front takes away again: its derivative sends a gradient proportional to exp(x) to 0.) A mean divides each loss
    by the number of its labels, at least 1, and their sum by N. Labels that no path of that many steps makes, or none
    of more probability than 0, have the loss inf and the gradient NaN.

    loss            (L,)               [out]  one value a sample for reduction 0, else one value
    dx              (T, N, C) or (0,)  [out]  gradient for an upstream gradient of one; 0 past a sample's end
    x               (T, N, C)                 logarithms of probabilities, commonly of log_softmax; -inf is none
    targets         (A,) int64                labels, 0 .. C-1; one that equals `blank` is a label as others are
    input_lengths   (N,) int64                steps of each sample, 0 .. T
    target_lengths  (N,) int64                labels of each sample
    step            int                       labels of sample n begin at n * step; 0: behind those of sample n-1
    blank           int                       the class that stands for no label
    zero_infinity   bool                      a loss that is inf is 0, and so is its gradient
    reduction       int                       0 none, 1 mean, 2 sum

    Raises ValueError for shapes and lengths that do not fit, IndexError for a label out of range (padding is not looked
    at). Source: Graves et al. 2006; as torch.nn.CTCLoss.
    """
    steps, samples, classes = x.shape
    check_loss(loss, samples, reduction)
    check_sizes(samples, classes, targets.size, step, blank)
    refuse(*map(int, wrong_length(input_lengths, target_lengths, steps, targets.size, step)))
    values, g = np.zeros(samples, x.dtype), np.zeros_like(x)
    for n in range(samples):
        first = first_label(target_lengths, step, n)
        labels = targets[first : first + target_lengths[n]]
        check_labels(labels, 0, classes)
        values[n], g[: input_lengths[n], n] = _sample(x[: input_lengths[n], n], labels, blank)
        if zero_infinity and values[n] == np.inf:
            values[n], g[:, n] = 0, 0
        if reduction == MEAN:
            share = x.dtype.type(1 / max(1, target_lengths[n]))
            values[n] *= share
            g[:, n] *= share
    save(dx, reduced(loss, values, reduction) * g)


def _sample(x, labels, blank):
    """(loss, gradient) of one sample, x its steps (T, C); in float64, as a float32 near -300 tells but 3e-5."""
    x = x.astype(np.float64)
    steps, last = len(x), 2 * len(labels)
    states = np.full(last + 1, blank)
    states[1::2] = labels
    # alpha[t, s]: logarithm of all that ends in state s after t steps; before the first step all is in state 0
    alpha = np.full((steps + 1, last + 1), -np.inf)
    alpha[0, 0] = 0
    # beta[t, s]: of all that leads from state s after t steps to one of the last two states
    beta = np.full((steps + 1, last + 1), -np.inf)
    beta[steps, max(0, last - 1) :] = 0
    # what NaN does is of no note, nor that there may be nothing to share
    with np.errstate(invalid="ignore"):
        for t in range(steps):
            for s in range(last + 1):
                alpha[t + 1, s] = np.logaddexp.reduce([alpha[t, r] for r in _from(states, s)]) + x[t, states[s]]
        for t in range(steps - 1, -1, -1):
            for s in range(last + 1):
                for r in _from(states, s):
                    beta[t, r] = np.logaddexp(beta[t, r], beta[t + 1, s] + x[t, states[s]])
        total = beta[0, 0]
        occupied = np.exp(alpha[1:] + beta[1:] - total)
    gradient = np.zeros_like(x)
    for s, c in enumerate(states):
        gradient[:, c] -= occupied[:, s]
    return -total, np.full_like(x, np.nan) if total == -np.inf else gradient


def _from(states, s):
    """The states that a path may come from into state s."""
    passing = s >= 3 and s % 2 == 1 and states[s] != states[s - 2]
    return range(s - 2 if passing else max(0, s - 1), s + 1)
