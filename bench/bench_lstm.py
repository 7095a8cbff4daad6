"""LSTM layers over whole sequences, forward and backward with all gradients."""

import functools

import ceilings
import numpy as np
import pytest
import sequences
from hotloop.kernels.cpu import lstm
from hotloop.kernels.ref import lstm as ref

# times the best peer's speed, on one thread and on more
TARGETS = dict(zip(sequences.SHAPES, [(1.6, 1.6), (1.6, 1.6), (1.6, 1.6), (2, 3), (3, 3)], strict=True))


def with_kernels(kernels, x, w_ih, w_hh, b_ih, b_hh, dy):
    """Kernels of ours, or their definitions."""
    y, (_, _, h) = np.empty_like(dy), dy.shape
    hn, cn = np.empty_like(y[0]), np.empty_like(y[0])
    gates, c = np.empty((*y.shape[:2], 4 * h), y.dtype), np.empty_like(y)
    gradients = dx, *parameters = [np.empty_like(a) for a in (x, w_ih, w_hh, b_ih, b_hh)]
    none, lengths = np.empty(0, y.dtype), np.empty(0, np.int64)

    def run():
        kernels.lstm_forward(y, hn, cn, gates, c, x, none, none, w_ih, w_hh, b_ih, b_hh, none, lengths, False)
        given = dy, none, none, x, none, none, w_ih, w_hh, none, y, gates, c, lengths
        kernels.lstm_backward(dx, none, none, *parameters, none, *given, False, False)
        return y, *gradients

    return run


CONTESTANTS = {"hotloop": functools.partial(with_kernels, lstm), **sequences.peers("LSTM", sequences.jax_lstm)}


@pytest.mark.parametrize("shape", sequences.SHAPES, ids=sequences.named)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_lstm(clock, benchmark, who, shape):
    given = sequences.operands("LSTM", *shape)
    want = with_kernels(ref, *(a.astype(np.float64) for a in given))()
    target = TARGETS[shape][ceilings.threads() > 1]
    sequences.compare(clock, benchmark, who, "LSTM", shape, CONTESTANTS[who](*given), want, target)
