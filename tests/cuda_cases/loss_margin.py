"""Hinges of one number, a pair or a triplet."""

import numpy as np
from helpers import absent

from .loss import elementwise


def cases(rng, dtype):
    a, b, c = (rng.standard_normal(19).astype(dtype) for _ in range(3))
    sign = np.where(c > 0.2, 1, np.where(c < -0.2, -1, 0)).astype(dtype)
    yield from elementwise("loss_margin.hinge_embedding_forward", (a, sign), (0.5,), 1)
    yield from elementwise("loss_margin.margin_ranking_forward", (a, b, sign), (0.5,))
    c[1] = b[1]
    yield from elementwise("loss_margin.triplet_margin_forward", (a, b, c), (0.5,))
    yield from elementwise("loss_margin.triplet_margin_forward", (a, b, absent(dtype)), (0.5,))
