"""Losses of single probabilities."""

import numpy as np
from helpers import absent

from .loss import elementwise


def cases(rng, dtype):
    p, q, weight = (rng.random(19).astype(dtype) for _ in range(3))
    logits = (rng.standard_normal(19) * 3).astype(dtype)
    p[1], q[3] = 1, 0
    for w in (weight, absent(dtype)):
        yield from elementwise("loss_binary.bce_forward", (p, q, w), gradients=2)
        for pos in (weight[::-1].copy(), absent(dtype)):
            yield from elementwise("loss_binary.bce_with_logits_forward", (logits, q, w, pos), gradients=2)
    logits[2] = 90
    yield from elementwise("loss_binary.kl_div_forward", (np.log(p), q + dtype.type(0.1)), (False,))
    yield from elementwise("loss_binary.kl_div_forward", (np.log(p), np.log(p[::-1].copy())), (True,))
    sign = np.where(q > 0.5, 1, -1).astype(dtype)
    yield from elementwise("loss_binary.soft_margin_forward", (logits, sign), gradients=1)
