"""The backward that all losses share: the saved gradient times the upstream one."""

import numpy as np
import pytest
from helpers import absent, agree, poison

SHAPES = [(0, 3, 1), (1, 1, 1), (1000, 1, 1), (1, 1, 70001), (61, 10, 1), (5, 3000, 1), (3, 7, 17), (2, 3, 0)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("upstream", ["one", "each"])
def test_backward(backend, dtype, rng, shape, upstream):
    saved = rng.standard_normal(shape).astype(dtype)
    dloss = rng.standard_normal(1 if upstream == "one" else shape[0] * shape[2]).astype(dtype)
    agree(backend, "loss.loss_backward", poison(shape, dtype), dloss, saved)
    # in place: the saved gradient lies where the result goes
    agree(backend, "loss.loss_backward", saved, dloss, absent(dtype))


def test_an_upstream_of_one_changes_no_bit(backend, dtype, rng):
    saved = rng.standard_normal((3, 5, 2)).astype(dtype)
    saved[0, 0] = np.nan, -0.0
    for source in (saved, absent(dtype)):
        dx = poison(saved.shape, dtype) if source.size else saved.copy()
        backend("loss.loss_backward", dx, np.ones(1, dtype), source)
        np.testing.assert_array_equal(dx, saved)


def test_bad_arguments(backend, dtype):
    dx, dloss = np.ones((4, 3, 2), dtype), np.ones(7, dtype)
    with pytest.raises(ValueError):
        backend("loss.loss_backward", dx, dloss, dx.copy())
