"""The helpers notice what they are there to notice."""

import numpy as np
import pytest
from helpers import absent, close, error, finite_difference, poison, ulps


def test_close_rejects_nan_and_missed_infinities():
    one = np.ones(3, np.float32)
    close(one, one)
    for bad in (np.nan, np.inf, 1.001):
        got = one.copy()
        got[1] = bad
        with pytest.raises(AssertionError):
            close(got, one)
    with pytest.raises(AssertionError, match="shape"):
        close(np.ones((3, 1), np.float32), one)
    assert error(np.array([1.0, -np.inf]), np.array([1.0, -np.inf])) == 0.0
    assert error(np.zeros(3), np.zeros(3)) == 0.0
    assert error(np.full(3, 1e-30), np.zeros(3)) == np.inf
    assert error(absent(), absent()) == 0.0


def test_error_is_a_ratio_of_norms():
    want = np.array([3.0, 4.0])
    assert error(want * 1.01, want) == pytest.approx(0.01)
    assert error(want * 1e200 * 1.01, want * 1e200) == pytest.approx(0.01)


def test_ulps_counts_the_last_place():
    want = np.array([1.0, 3.0, np.inf])
    got = want.astype(np.float32)
    assert ulps(got, want) == 0.0
    got[0] = np.nextafter(got[0], np.float32(2))
    assert ulps(got, want) == 1.0


def test_poison():
    assert np.isnan(poison((2, 3), np.float32)).all()
    assert poison(4, np.int64).min() > 2**60


def test_finite_difference():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    close(finite_difference(lambda: float((x**3).sum()), x), 3 * x**2, 1e-8)
