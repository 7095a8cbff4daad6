"""CTC: labels in one round of a block's threads and in several, more steps than are read at once."""

import numpy as np
from helpers import absent, poison

from . import case


def cases(rng, dtype):
    # T, N, C, S, padded to
    for steps, samples, classes, most, step in ((7, 3, 5, 2, 3), (13, 2, 11, 10, 0), (2, 2, 1, 1, 1), (1, 1, 2, 0, 0)):
        x = rng.standard_normal((steps, samples, classes)).astype(dtype)
        sizes = np.array([most, 0, most][:samples])
        lengths = np.array([steps, steps // 2, most][:samples])
        count = samples * step if step else sizes.sum()
        # they repeat, and some are the blank
        targets = rng.integers(0, min(classes, 3), count)
        for reduction, zero in ((0, True), (1, False), (2, True)):
            loss = poison(samples if reduction == 0 else 1, dtype)
            given = x, targets, lengths, sizes, step, classes // 2
            # labels that do not fit have no number as their gradient, which no comparison takes
            fits = zero or most * 2 < steps
            dx = poison(x.shape if fits else (0, 0, 0), dtype)
            yield case("ctc.ctc_forward", loss, dx, *given, zero, reduction)
        yield case("ctc.ctc_forward", poison(1, dtype), absent(dtype).reshape(0, 0, 0), *given, True, 1)
    none = np.empty(0, np.int64)
    for shape in ((3, 0, 2), (0, 0, 2)):
        x = np.empty(shape, dtype)
        yield case("ctc.ctc_forward", poison(1, dtype), x, x, none, none, none, 0, 0, False, 2)
    x = np.empty((0, 2, 2), dtype)
    yield case(
        "ctc.ctc_forward", poison(2, dtype), x, x, np.array([1]), np.array([0, 0]), np.array([1, 0]), 0, 0, True, 0
    )
