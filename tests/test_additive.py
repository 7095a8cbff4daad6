"""Scores of additive attention against the definition, the definition against slopes."""

import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference
from hotloop.kernels import ref

# (N, L, S, H): nothing of each, one, fewer than a vector, several pieces and blocks and remainders, one decoder step
SHAPES = [
    *((0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0)),
    *((1, 1, 1, 1), (2, 3, 5, 7), (3, 2, 65, 16), (2, 5, 131, 37), (2, 3, 70, 129), (9, 1, 40, 64)),
]


def arrays(rng, shape, dtype):
    n, length, keys, units = shape
    sizes = (n, length, keys), (n, length, units), (n, keys, units), (units,)
    return [rng.standard_normal(size).astype(dtype) for size in sizes]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_additive_forward(backend, dtype, rng, shape):
    agree(backend, "additive.additive_forward", *arrays(rng, shape, dtype))


@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_additive_backward(backend, dtype, rng, shape, accumulate):
    ds, *inputs = arrays(rng, shape, dtype)
    outputs = [rng.standard_normal(a.shape).astype(dtype) for a in inputs]
    agree(backend, "additive.additive_backward", *outputs, ds, *inputs, accumulate)


@pytest.mark.parametrize("wanted", range(3), ids=["dq", "dk", "dv"])
def test_each_gradient_alone(backend, rng, wanted):
    ds, *inputs = arrays(rng, (2, 5, 131, 37), np.float64)
    outputs = [np.zeros_like(a) if i == wanted else absent(a.dtype) for i, a in enumerate(inputs)]
    agree(backend, "additive.additive_backward", *outputs, ds, *inputs, False)


def test_large_arguments_saturate(backend, dtype, rng):
    ds, q, k, v = arrays(rng, (2, 3, 5, 19), dtype)
    q *= 1000
    q[0, 0, :3] = np.inf
    agree(backend, "additive.additive_forward", ds.copy(), q, k, v)
    outputs = [np.zeros_like(a) for a in (q, k, v)]
    # what is left of 1 - t^2 when t is all but 1 has few digits, and here most are
    agree(backend, "additive.additive_backward", *outputs, ds, q, k, v, False, tol=1e-2)


def test_ref_gradients_are_slopes(rng):
    ds, q, k, v = arrays(rng, (2, 3, 4, 5), np.float64)
    s = np.empty_like(ds)

    def weighted():
        ref.additive.additive_forward(s, q, k, v)
        return float((s * ds).sum())

    gradients = [np.empty_like(a) for a in (q, k, v)]
    ref.additive.additive_backward(*gradients, ds, q, k, v, False)
    for name, a, gradient in zip(("q", "k", "v"), (q, k, v), gradients, strict=True):
        close(gradient, finite_difference(weighted, a), 1e-8, name)
