"""Where the elements of packed sequences lie: step by step, at each step those of the samples that still run."""

import numpy as np


def counts_forward(y, x):
    """y[k] = how many elements of x are larger than k

    y  (K,) int64 [out]
    x  (N,) int64

    Of the lengths of samples it makes how many samples have step k; of these, in descending order, the lengths.
    """
    y[...] = (x > np.arange(y.size)[:, None]).sum(1)


def rows_forward(y, counts, order, step, sample):
    """y = [t * step + n * sample for n in order[: counts[t]], for t in order of time]: rows of a padded batch

    y       (M,) int64 [out]         M is the sum of counts, else ValueError
    counts  (T,) int64               how many samples have step t, else ValueError: 0 .. N, where there is an order
    order   (N,) or (0,) int64       the samples, longest first; size 0: 0, 1, 2 ...
    step    int                      rows from one step of a sample to the next
    sample  int                      rows from one sample to the next
    """
    if counts.size and (counts.min() < 0 or (order.size and counts.max() > order.size)):
        raise ValueError("counts: expected from no samples to all of them at each step")
    if counts.sum() != y.size:
        raise ValueError("y: expected as many rows as there are samples at all steps together")
    samples = order if order.size else np.arange(counts.max(initial=0))
    for t, count in enumerate(counts):
        y[counts[:t].sum() :][:count] = t * step + samples[:count] * sample
