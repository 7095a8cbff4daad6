"""Where the elements of packed sequences lie. Serial: positions are few beside what they move."""

from ..jit import kernel


@kernel
def counts_forward(y, x):
    """A pass over x for each k: both are short."""
    for k in range(y.size):
        count = 0
        for n in range(x.size):
            count += x[n] > k
        y[k] = count


@kernel
def rows_forward(y, counts, order, step, sample):
    """The counts are checked first, then rows are written in one pass."""
    total, wrong = 0, False
    for t in range(counts.size):
        total += counts[t]
        wrong = wrong or counts[t] < 0 or counts[t] > (order.size if order.size else y.size)
    if wrong:
        raise ValueError("counts: expected from no samples to all of them at each step")
    if total != y.size:
        raise ValueError("y: expected as many rows as there are samples at all steps together")
    k = 0
    for t in range(counts.size):
        for n in range(counts[t]):
            y[k] = t * step + (order[n] if order.size else n) * sample
            k += 1
