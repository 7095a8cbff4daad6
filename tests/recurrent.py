"""Sequences for the tests of recurrent layers: shapes, lengths of every pattern, weights that keep states lively."""

import numpy as np

# (T, N, D, H): nothing, one, around a vector, several chunks of samples, several blocks of steps
SHAPES = [(0, 3, 2, 4), (3, 0, 2, 4), (1, 1, 1, 1), (3, 2, 0, 5), (4, 3, 5, 7), (6, 17, 9, 33), (9, 41, 3, 130)]
LENGTHS = {
    "all": lambda t, n: np.empty(0, np.int64),
    "equal": lambda t, n: np.full(n, t),
    "shorter": lambda t, n: np.full(n, t - 1),
    "descending": lambda t, n: np.sort(np.arange(n) % (t + 1))[::-1].copy(),
    "mixed": lambda t, n: (np.arange(n) * 7 + 3) % (t + 1),
    "none": lambda t, n: np.zeros(n, np.int64),
}


def weights(rng, dtype, *shapes):
    """Weights of layers whose states neither die nor saturate."""
    return [(rng.standard_normal(s) / np.sqrt(max(1, s[-1]))).astype(dtype) for s in shapes]


def normal(rng, dtype, *shapes):
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def packed_pattern(torch, x, lengths):
    """torch's packed form of padded sequences."""
    return torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)


def no_lengths():
    return np.empty(0, np.int64)
