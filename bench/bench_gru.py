"""GRU layers over whole sequences (PyTorch's form), forward and backward with all gradients."""

import functools

import numpy as np
import pytest
import sequences
from hotloop.kernels.cpu import gru
from hotloop.kernels.ref import gru as ref

# times the best peer's speed
TARGETS = dict(zip(sequences.SHAPES, [3, 2.5, 2.5, 3, 3], strict=True))


def with_kernels(kernels, x, w_ih, w_hh, b_ih, b_hh, dy):
    """Kernels of ours, or their definitions."""
    y, (_, _, h) = np.empty_like(dy), dy.shape
    hn, gates = np.empty_like(y[0]), np.empty((*y.shape[:2], 4 * h), y.dtype)
    gradients = dx, *parameters = [np.empty_like(a) for a in (x, w_ih, w_hh, b_ih, b_hh)]
    none, lengths = np.empty(0, y.dtype), np.empty(0, np.int64)

    def run():
        kernels.gru_forward(y, hn, gates, x, none, w_ih, w_hh, b_ih, b_hh, lengths, False, True)
        given = dy, none, x, none, w_ih, w_hh, y, gates, lengths
        kernels.gru_backward(dx, none, *parameters, *given, False, True, False)
        return y, *gradients

    return run


CONTESTANTS = {"hotloop": functools.partial(with_kernels, gru), **sequences.peers("GRU", sequences.jax_gru)}


@pytest.mark.parametrize("shape", sequences.SHAPES, ids=sequences.named)
@pytest.mark.parametrize("who", CONTESTANTS)
def bench_gru(clock, benchmark, who, shape):
    given = sequences.operands("GRU", *shape)
    want = with_kernels(ref, *(a.astype(np.float64) for a in given))()
    sequences.compare(clock, benchmark, who, "GRU", shape, CONTESTANTS[who](*given), want, TARGETS[shape])
