"""The LSTM: both ways through the steps, at sizes on either side of what a block can hold."""

import numpy as np
from hotloop.kernels.cuda.recurrent_resident import SINGLE, WIDTHS
from recurrent import Case

from . import case

CORES = {
    "lstm_resident": {"ld.shared.v4": 2},
    "lstm_resident_grad": {"ld.shared.v4": 2},
    "lstm_step": {"cp.async": 2, "ld.shared.v4": 8},
    "lstm_step_grad": {"cp.async": 2, "ld.shared.v4": 4},
}
MIXED = np.array([0, 3, 1])


def forms(rng, dtype):
    """(name, a pair of calls): each size, each flag, each array that may be absent."""
    few, more, most = WIDTHS[0] - 3, WIDTHS[-1] - 3, WIDTHS[-1] + 3
    yield "small", Case("lstm", rng, dtype, (3, 2, 2, few)), {}
    yield "lengths", Case("lstm", rng, dtype, (3, 3, 2, few), MIXED, reverse=True), dict(accumulate=True)
    yield "lengths-forward", Case("lstm", rng, dtype, (3, 3, 2, few), MIXED), dict(accumulate=True)
    yield "bare", Case("lstm", rng, dtype, (2, 1, 2, few), states=False, bias=False, reverse=True), {}
    yield "shared-blocks", Case("lstm", rng, dtype, (2, SINGLE + 2, 2, few), reverse=True), {}
    yield "wide", Case("lstm", rng, dtype, (2, 1, 2, more)), {}
    yield "steps", Case("lstm", rng, dtype, (3, 3, 2, most), MIXED), dict(accumulate=True)
    yield "steps-reverse", Case("lstm", rng, dtype, (2, 2, 2, most), np.array([2, 1]), reverse=True), {}
    yield "steps-chunks", Case("lstm", rng, dtype, (2, 5, 2, most + 1), states=False, bias=False), {}
    yield (
        "projection",
        Case(
            "lstm",
            rng,
            dtype,
            (
                3,
                3,
                2,
                few,
            ),
            MIXED,
            p=3,
        ),
        dict(accumulate=True),
    )
    yield "projection-reverse", Case("lstm", rng, dtype, (2, 2, 2, few), p=4, reverse=True), {}
    yield "no-steps", Case("lstm", rng, dtype, (0, 2, 2, few)), {}
    yield "no-samples", Case("lstm", rng, dtype, (2, 0, 2, few)), {}


def cases(rng, dtype):
    for name, form, options in forms(rng, dtype):
        accumulate = options.get("accumulate", False)
        yield case("lstm.lstm_forward", *form.outputs(), *form.inputs, name=name)
        yield case("lstm.lstm_backward", *form.gradients(rng, accumulate), *form.after(accumulate), name=name, tol=1e-5)
    form = Case("lstm", rng, dtype, (2, 3, 2, 5), np.array([2, 0, 1]))
    none = np.empty(0, dtype)
    yield case("lstm.lstm_forward", *form.outputs()[:3], none, none, *form.inputs, name="nothing-kept")
    for wanted in ("x", "h0", "w_hh"):
        yield case("lstm.lstm_backward", *form.gradients(rng, wanted=wanted), *form.after(), name=f"only-{wanted}")
