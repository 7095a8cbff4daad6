"""The GRU: both ways through the steps, at sizes on either side of what a block can hold."""

import numpy as np
from hotloop.kernels.cuda.recurrent_resident import SINGLE, WIDTHS
from recurrent import Case

from . import case

CORES = {
    "gru_resident": {"ld.shared.v4": 2},
    "gru_resident_grad": {"ld.shared.v4": 2},
    "gru_step": {"cp.async": 2, "ld.shared.v4": 8},
    "gru_step_grad": {"cp.async": 2, "ld.shared.v4": 4},
}
MIXED = np.array([0, 3, 1])


def forms(rng, dtype):
    """(name, a pair of calls, accumulate): each size, each flag, each array that may be absent."""
    few, more, most = WIDTHS[0] - 3, WIDTHS[-1] - 3, WIDTHS[-1] + 3
    after, before = dict(flag=True), dict(flag=False)
    yield "small", Case("gru", rng, dtype, (3, 2, 2, few), **after), False
    yield "lengths", Case("gru", rng, dtype, (3, 3, 2, few), MIXED, reverse=True, **after), True
    yield "lengths-forward", Case("gru", rng, dtype, (3, 3, 2, few), MIXED, **after), True
    bare = dict(states=False, bias=False, reverse=True)
    yield "bare", Case("gru", rng, dtype, (2, 1, 2, few), **bare, **after), False
    yield "shared-blocks", Case("gru", rng, dtype, (2, SINGLE + 2, 2, few), reverse=True, **after), False
    yield "wide", Case("gru", rng, dtype, (2, 1, 2, more), **after), False
    yield "steps", Case("gru", rng, dtype, (3, 3, 2, most), MIXED, **after), True
    yield "steps-bare", Case("gru", rng, dtype, (2, 2, 2, most + 1), **bare, **after), False
    yield "before", Case("gru", rng, dtype, (3, 3, 2, few), MIXED, **before), True
    yield "before-reverse", Case("gru", rng, dtype, (3, 3, 2, few), MIXED, reverse=True, **before), False
    yield "before-bare", Case("gru", rng, dtype, (2, 5, 2, few + 3), **bare, **before), False
    for flag in (True, False):
        yield "no-steps", Case("gru", rng, dtype, (0, 2, 2, few), flag=flag), False
        yield "no-samples", Case("gru", rng, dtype, (2, 0, 2, few), flag=flag), False


def cases(rng, dtype):
    for name, form, accumulate in forms(rng, dtype):
        yield case("gru.gru_forward", *form.outputs(), *form.inputs, name=name)
        yield case("gru.gru_backward", *form.gradients(rng, accumulate), *form.after(accumulate), name=name, tol=1e-5)
    for flag in (True, False):
        form = Case("gru", rng, dtype, (2, 3, 2, 5), np.array([2, 0, 1]), flag=flag)
        none = np.empty(0, dtype)
        yield case("gru.gru_forward", *form.outputs()[:2], none, *form.inputs, name="nothing-kept")
        for wanted in ("x", "h0", "w_hh"):
            yield case("gru.gru_backward", *form.gradients(rng, wanted=wanted), *form.after(), name=f"only-{wanted}")
