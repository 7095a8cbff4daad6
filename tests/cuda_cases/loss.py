"""Losses of single elements, and what backward makes of them."""

import numpy as np
from helpers import absent, poison

from . import case

# the sums of blocks are added up in float64
DOUBLE = {"_add_up"}


def elementwise(path, inputs, numbers=(), gradients=None):
    """Cases of one loss: each reduction; all gradients, one of them, none; few elements, and several blocks."""
    dtype = inputs[0].dtype
    count = len(inputs) if gradients is None else gradients
    for reduction in (0, 1, 2):
        for n, wanted in ((19, 0b1111), (3, 0b0001), (8, 0b0010), (0, 0b0000)):
            if n == 0 and reduction == 1:
                continue
            some = [a[:n] for a in inputs]
            out = [poison(n if wanted >> g & 1 else 0, dtype) for g in range(count)]
            loss = poison(n if reduction == 0 else 1, dtype)
            yield case(path, loss, *out, *some, *numbers, reduction)


def cases(rng, dtype):
    saved = rng.standard_normal((3, 5, 2)).astype(dtype)
    for shape in ((3, 5, 2), (6, 5, 1), (30, 1, 1), (3, 1, 10), (1, 29, 1)):
        x = np.resize(saved, shape)
        for each in (False, True):
            dloss = rng.standard_normal(shape[0] * shape[2] if each else 1).astype(dtype)
            yield case("loss.loss_backward", x, dloss, absent(dtype).reshape(0, 0, 0))
            yield case("loss.loss_backward", poison(shape, dtype), dloss, x)
    yield case("loss.loss_backward", saved, np.ones(1, dtype), absent(dtype).reshape(0, 0, 0), name="one")
