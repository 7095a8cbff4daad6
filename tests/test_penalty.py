"""kernels/*/penalty.py: the elastic-net penalty and its gradient."""

import numpy as np
import pytest
from helpers import Backend, agree, close, finite_difference


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 13), (32769,), (300, 401)], ids=str)
@pytest.mark.parametrize("l1, l2", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
def test_penalty(backend, dtype, rng, shape, l1, l2):
    w = rng.standard_normal(shape).astype(dtype)
    w.reshape(-1)[::5] = 0
    agree(backend, "penalty.penalty_forward", np.empty(1, dtype), w, l1, l2)
    for accumulate in (False, True):
        dw = rng.standard_normal(shape).astype(dtype)
        agree(backend, "penalty.penalty_backward", dw, np.array([0.7], dtype), w, l1, l2, accumulate)


def test_gradient_is_the_slope(rng):
    ref, w, value = Backend("ref"), rng.standard_normal((3, 4)), np.empty(1)

    def penalty():
        ref("penalty.penalty_forward", value, w, 0.3, 0.2)
        return value[0]

    dw = np.empty_like(w)
    ref("penalty.penalty_backward", dw, np.ones(1), w, 0.3, 0.2, False)
    close(dw, finite_difference(penalty, w), 1e-8)
