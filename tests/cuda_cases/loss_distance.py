"""Similarity and distance of pairs of vectors."""

import numpy as np
from helpers import absent, poison

from . import case

# norms of any order are made in float64
DOUBLE = {"_distance", "_distance_back"}


def cases(rng, dtype):
    for n, d in ((3, 5), (2, 37), (0, 3)):
        x1, x2 = (rng.standard_normal((n, d)).astype(dtype) for _ in range(2))
        target = np.resize([1, -1, 0], n).astype(dtype)
        for reduction in (0, 1, 2):
            if n == 0 and reduction == 1:
                continue
            loss = poison(n if reduction == 0 else 1, dtype)
            dx1, dx2 = poison(x1.shape, dtype), absent(dtype) if reduction else poison(x1.shape, dtype)
            numbers = (x1, x2, target, -0.1, reduction)
            yield case("loss_distance.cosine_embedding_forward", loss, dx1, dx2.reshape(-1, d)[:n], *numbers)
        rows = [poison(n, dtype) for _ in range(3)]
        yield case("loss_distance.cosine_similarity_forward", *rows, x1, x2, 1e-8)
        lengths = np.sqrt((x1 * x1).sum(1)), np.sqrt((x2 * x2).sum(1))
        y, dy = (x1 * x2).sum(1) / lengths[0] / lengths[1], rng.standard_normal(n).astype(dtype)
        for eps in (1e-8, 2.0):
            out = poison(x1.shape, dtype), poison(x1.shape, dtype)
            yield case("loss_distance.cosine_similarity_backward", *out, dy, x1, x2, y, *lengths, eps)
        for p in (0, 1, 2, 2.5, -1, np.inf, -np.inf):
            distances = poison(n, dtype)
            yield case("loss_distance.pairwise_distance_forward", distances, x1, x2, float(p), 1e-6)
            d = abs(x1 - x2 + dtype.type(1e-6))
            if p == 0 or n == 0:
                distances = np.ones(n, dtype)
            else:
                distances = np.linalg.norm(d, p, 1).astype(dtype)
            if np.isinf(p) and dtype == np.float32:
                continue  # the element that reaches the maximum is another in float64
            out = poison(x1.shape, dtype), poison(x1.shape, dtype)
            yield case("loss_distance.pairwise_distance_backward", *out, dy, x1, x2, distances, float(p), 1e-6)
    # differences that float32 holds
    x1, x2 = (rng.integers(-4, 5, (3, 9)).astype(dtype) for _ in range(2))
    for p in (np.inf, -np.inf):
        distances = np.linalg.norm(x1 - x2, p, 1).astype(dtype)
        out, dy = (poison(x1.shape, dtype), absent(dtype).reshape(0, 0)), np.ones(3, dtype)
        yield case("loss_distance.pairwise_distance_backward", *out, dy, x1, x2, distances, float(p), 0.0)
