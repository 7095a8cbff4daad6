"""Margin losses of rows of scores."""

import numpy as np
from helpers import absent, poison

from . import case


def cases(rng, dtype):
    for n, c in ((3, 5), (2, 37), (0, 3)):
        x, soft = rng.standard_normal((n, c)).astype(dtype), rng.random((n, c)).astype(dtype)
        labels, weight = rng.integers(0, c, n), rng.random(c).astype(dtype)
        lists = np.full((n, c), -1)
        for row in lists:
            row[: c // 2] = rng.permutation(c)[: c // 2]
        if n:
            lists[0] = np.arange(c)
        for reduction in (0, 1, 2):
            if n == 0 and reduction == 1:
                continue
            loss, dx = poison(n if reduction == 0 else 1, dtype), poison((n, c), dtype)
            none = absent(dtype).reshape(0, 0)
            yield case("loss_multiclass.multi_margin_forward", loss, dx, x, labels, weight, 1, 0.7, reduction)
            yield case("loss_multiclass.multi_margin_forward", loss, dx, x, labels, absent(dtype), 2, 0.7, reduction)
            yield case("loss_multiclass.multi_margin_forward", loss, none, x, labels, weight, 2, 0.7, reduction)
            path = "loss_multiclass.multilabel_soft_margin_forward"
            yield case(path, loss, dx, dx, x, soft, weight, reduction)
            yield case(path, loss, none, dx, x, soft, absent(dtype), reduction)
            yield case("loss_multiclass.multilabel_margin_forward", loss, dx, x, lists, reduction)
            yield case("loss_multiclass.multilabel_margin_forward", loss, none, x, lists, reduction)
    x = np.empty((3, 0), dtype)
    yield case("loss_multiclass.multilabel_margin_forward", poison(1, dtype), x, x, np.empty((3, 0), np.int64), 2)
