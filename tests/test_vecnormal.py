"""GELU and its gradient: errors over the range, where they vanish, and what is not a number."""

import math

import numpy as np
import pytest
from hotloop.kernels.cpu import activation

# largest errors of gelu / max(1, |x|) and of the gradient, in units of the dtype's rounding at 1
LIMITS = (1, 2)


def run(x):
    y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
    activation.gelu_forward(y, x)
    activation.gelu_backward(dx, np.ones_like(x), x)
    return y, dx


@np.vectorize
def cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def test_errors_over_the_range(dtype):
    small = np.logspace(-30, 0, 3000)
    x = np.concatenate([np.linspace(-12, 12, 100_001), small, -small]).astype(dtype)
    wide = x.astype(np.float64)
    p = cdf(wide)
    y, dx = run(x)
    eps = np.finfo(dtype).eps
    value = np.max(np.abs(y - wide * p) / np.maximum(1, np.abs(wide))) / eps
    slope = np.max(np.abs(dx - (p + wide * np.exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi)))) / eps
    print(f"gelu {value:.2f}, gradient {slope:.2f} eps")
    # the float64 reference has rounding errors of its own, about as large
    slack = 1 if dtype == np.float64 else 0
    assert value <= LIMITS[0] + slack
    assert slope <= LIMITS[1] + slack


@pytest.mark.parametrize("near", [1e-3, 0.3])
def test_small_arguments_keep_their_digits(dtype, near):
    x = np.linspace(-near, near, 10_001).astype(dtype)
    wide = x.astype(np.float64)
    y, _ = run(x)
    np.testing.assert_allclose(y, wide * cdf(wide), rtol=6 * np.finfo(dtype).eps, atol=0)


def test_far_out(dtype):
    """Nothing is left of gelu on the left, nothing is lost on the right, however large x is."""
    far = np.array([20.0, 1e5, 1e30, np.finfo(dtype).max], dtype)
    y, dx = run(-far)
    assert np.abs(y).max() < 1e-30 and np.abs(dx).max() < 1e-30
    y, dx = run(far)
    assert np.array_equal(y, far) and np.array_equal(dx, np.ones_like(far))


def test_not_numbers(dtype):
    y, dx = run(np.array([np.nan, np.inf, -np.inf], dtype))
    assert np.isnan(y).tolist() == [True, False, True] and y[1] == np.inf
    assert np.isnan(dx).all()
