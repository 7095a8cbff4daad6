"""Recurrent layers on the AMX path: chunks are tall enough for tiles in the time loop; see test_amx.py."""

import numpy as np
from amx_products import Counted
from helpers import close, same
from hotloop.kernels import threads
from hotloop.kernels.cpu import rnn
from recurrent import LENGTHS, Case

# of these samples, 32 go through the steps together, and 8
COUNT, SAMPLES, HIDDEN = 3, 40, 256
BLOCK = 32  # rows and columns of a block of tiles


def call(name, *args):
    getattr(rnn, name.partition(".")[2])(*args)


def test_steps_are_tile_products(rng):
    case = Case("rnn", rng, np.float32, (COUNT, SAMPLES, 3, HIDDEN))
    outputs = case.outputs()
    with Counted(COUNT * BLOCK, HIDDEN, HIDDEN):
        call("rnn.rnn_forward", *outputs, *case.inputs)
    for got, want in zip(outputs, case.done(), strict=True):
        close(got, want)
    gradients, wants, after = case.gradients(rng), case.gradients(rng), case.after()
    # as many again back through the steps, and in the first chunk's part of w_hh's gradient, all of its rows deep
    with Counted(2 * COUNT * BLOCK, HIDDEN, HIDDEN):
        call("rnn.rnn_backward", *gradients, *after)
    case.ref.rnn_backward(*wants, *after)
    for name, got, want in zip(case.names, gradients, wants, strict=True):
        close(got, want, name=name)


def test_bits_do_not_depend_on_threads(rng):
    case = Case("rnn", rng, np.float32, (COUNT, SAMPLES, 3, HIDDEN), LENGTHS["mixed"](COUNT, SAMPLES))
    before = threads.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            threads.set_num_threads(count)
            results.append(case.run(call, rng))
    finally:
        threads.set_num_threads(before)
    assert all(same(a, b) for a, b in zip(*results, strict=True))
