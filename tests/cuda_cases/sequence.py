"""Where the elements of packed sequences lie."""

import numpy as np
from helpers import absent, poison

from . import case


def cases(rng, dtype):
    for N, K in ((7, 9), (1, 1), (0, 3), (20, 4)):
        lengths = -np.sort(-rng.integers(1, 6, N))
        yield case("sequence.counts_forward", poison(K, np.int64), lengths)
        counts = (lengths > np.arange(lengths.max(initial=0))[:, None]).sum(1)
        for order in (rng.permutation(N), absent(np.int64)):
            yield case("sequence.rows_forward", poison(counts.sum(), np.int64), counts, order, 3, 50)
