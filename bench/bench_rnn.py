"""Simple recurrent layers (tanh) over whole sequences, forward and backward with all gradients."""

import functools

import numpy as np
import pytest
import sequences
from hotloop.kernels.cpu import rnn
from hotloop.kernels.ref import rnn as ref

# times the best peer's speed
TARGETS = dict(zip(sequences.SHAPES, [3, 2.5, 2.5, 3, 3], strict=True))


def with_kernels(kernels, x, w_ih, w_hh, b_ih, b_hh, dy):
    """Kernels of ours, or their definitions."""
    y = np.empty_like(dy)
    hn = np.empty_like(y[0])
    gradients = dx, *parameters = [np.empty_like(a) for a in (x, w_ih, w_hh, b_ih, b_hh)]
    none, lengths = np.empty(0, y.dtype), np.empty(0, np.int64)

    def run():
        kernels.rnn_forward(y, hn, x, none, w_ih, w_hh, b_ih, b_hh, lengths, False, False)
        given = dy, none, x, none, w_ih, w_hh, y, lengths
        kernels.rnn_backward(dx, none, *parameters, *given, False, False, False)
        return y, *gradients

    return run


CONTESTANTS = {"hotloop": functools.partial(with_kernels, rnn), **sequences.peers("RNN", sequences.jax_rnn)}


@pytest.mark.parametrize("shape", sequences.SHAPES, ids=sequences.named)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_rnn(clock, benchmark, who, shape):
    given = sequences.operands("RNN", *shape)
    want = with_kernels(ref, *(a.astype(np.float64) for a in given))()
    sequences.compare(clock, benchmark, who, "RNN", shape, CONTESTANTS[who](*given), want, TARGETS[shape])
