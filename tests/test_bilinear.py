"""Bilinear kernels against the definition, the definition against slopes, the layer against PyTorch."""

import numpy as np
import pytest
from helpers import absent, agree, close, finite_difference
from hotloop.kernels import ref

# nothing, one, odd, several tiles and a remainder; the last has more than one block of samples
SHAPES = [(0, 3, 4, 5), (1, 1, 1, 1), (5, 3, 4, 0), (7, 0, 4, 3), (13, 7, 5, 11), (37, 17, 33, 19), (70, 96, 128, 3)]


def arrays(rng, shape, dtype):
    n, d, e, h = shape
    sizes = [(n, h), (n, d), (n, e), (h, d, e), (h,)]
    return [rng.standard_normal(size).astype(dtype) for size in sizes]


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bilinear_forward(backend, dtype, rng, shape, bias):
    y, x1, x2, w, b = arrays(rng, shape, dtype)
    agree(backend, "bilinear.bilinear_forward", y, x1, x2, w, b if bias else absent(dtype))


@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bilinear_backward(backend, dtype, rng, shape, accumulate):
    dy, x1, x2, w, b = arrays(rng, shape, dtype)
    outputs = [rng.standard_normal(a.shape).astype(dtype) for a in (x1, x2, w, b)]
    agree(backend, "bilinear.bilinear_backward", *outputs, dy, x1, x2, w, accumulate)


@pytest.mark.parametrize("wanted", range(4), ids=["dx1", "dx2", "dw", "db"])
def test_each_gradient_alone(backend, rng, wanted):
    dy, x1, x2, w, b = arrays(rng, (13, 7, 5, 11), np.float64)
    outputs = [np.zeros_like(a) if i == wanted else absent(a.dtype) for i, a in enumerate((x1, x2, w, b))]
    agree(backend, "bilinear.bilinear_backward", *outputs, dy, x1, x2, w, False)


def test_ref_gradients_are_slopes(rng):
    dy, x1, x2, w, b = arrays(rng, (3, 4, 2, 5), np.float64)
    y = np.empty_like(dy)

    def weighted():
        ref.bilinear.bilinear_forward(y, x1, x2, w, b)
        return float((y * dy).sum())

    gradients = [np.empty_like(a) for a in (x1, x2, w, b)]
    ref.bilinear.bilinear_backward(*gradients, dy, x1, x2, w, False)
    for name, a, gradient in zip(("x1", "x2", "w", "b"), (x1, x2, w, b), gradients, strict=True):
        close(gradient, finite_difference(weighted, a), 1e-8, name)
