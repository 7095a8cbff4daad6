"""The simple recurrent network: both ways through the steps, at sizes on either side of what a block can hold."""

import numpy as np
from hotloop.kernels.cuda.recurrent_resident import SINGLE, WIDTHS
from recurrent import Case

from . import case

CORES = {
    "rnn_resident": {"ld.shared.v4": 2},
    "rnn_resident_grad": {"ld.shared.v4": 2},
    "rnn_step": {"cp.async": 2, "ld.shared.v4": 8},
    "rnn_step_grad": {"cp.async": 2, "ld.shared.v4": 4},
}
MIXED = np.array([0, 3, 1])


def forms(rng, dtype):
    """(name, a pair of calls, accumulate): each size, each flag, each array that may be absent."""
    few, more, most = WIDTHS[0] - 3, WIDTHS[-1] - 3, WIDTHS[-1] + 3
    tanh, relu = dict(flag=False), dict(flag=True)
    yield "small", Case("rnn", rng, dtype, (3, 2, 2, few), **tanh), False
    yield "lengths", Case("rnn", rng, dtype, (3, 3, 2, few), MIXED, reverse=True, **relu), True
    yield "lengths-forward", Case("rnn", rng, dtype, (3, 3, 2, few), MIXED, **tanh), True
    bare = dict(states=False, bias=False, reverse=True)
    yield "bare", Case("rnn", rng, dtype, (2, 1, 2, few), **bare, **tanh), False
    yield "shared-blocks", Case("rnn", rng, dtype, (2, SINGLE + 2, 2, few), reverse=True, **tanh), False
    yield "wide", Case("rnn", rng, dtype, (2, 1, 2, more), **tanh), False
    yield "steps", Case("rnn", rng, dtype, (3, 3, 2, most), MIXED, **tanh), True
    yield "steps-bare", Case("rnn", rng, dtype, (2, 2, 2, most + 1), **bare, **relu), False
    for flag in (True, False):
        yield "no-steps", Case("rnn", rng, dtype, (0, 2, 2, few), flag=flag), False
        yield "no-samples", Case("rnn", rng, dtype, (2, 0, 2, few), flag=flag), False


def cases(rng, dtype):
    for name, form, accumulate in forms(rng, dtype):
        yield case("rnn.rnn_forward", *form.outputs(), *form.inputs, name=name)
        yield case("rnn.rnn_backward", *form.gradients(rng, accumulate), *form.after(accumulate), name=name, tol=1e-5)
    form = Case("rnn", rng, dtype, (2, 3, 2, 5), np.array([2, 0, 1]))
    for wanted in ("x", "h0", "w_hh"):
        yield case("rnn.rnn_backward", *form.gradients(rng, wanted=wanted), *form.after(), name=f"only-{wanted}")
