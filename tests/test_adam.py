"""kernels/*/adam.py: the update rule, its options, and its bias corrections."""

import numpy as np
import pytest
from helpers import absent, agree


def hyper(lr=1e-2, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    return np.array([lr, beta1, beta2, eps, weight_decay])


@pytest.mark.parametrize("n", [0, 1, 15, 1009, 40001])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("before", [0, 5])
def test_adam_update(backend, dtype, rng, n, amsgrad, decoupled, weight_decay, maximize, before):
    param, exp_avg, grad = (rng.standard_normal(n).astype(dtype) for _ in range(3))
    exp_avg_sq, top = (np.abs(rng.standard_normal(n)).astype(dtype) for _ in range(2))
    top = top if amsgrad else absent(dtype)
    step = np.full(2, float(before))
    values = hyper(weight_decay=weight_decay)
    got = agree(backend, "adam.adam_update", param, exp_avg, exp_avg_sq, top, grad, step, values, decoupled, maximize)
    assert (got[5] == before + 1).all()


def test_first_step_is_lr_long(backend, dtype):
    param = np.zeros(3, dtype)
    zeros = [np.zeros(3, dtype) for _ in range(2)]
    grad = np.array([5, -1e-3, 0], dtype)
    backend("adam.adam_update", param, *zeros, absent(dtype), grad, np.zeros(1), hyper(eps=0.0), False, False)
    # m / sqrt(v) is the sign of the gradient; 0 / 0 without eps
    np.testing.assert_allclose(param[:2], [-1e-2, 1e-2], rtol=1e-5)
    assert np.isnan(param[2])


def test_nan_stays_where_it_is(backend, dtype):
    param, exp_avg, exp_avg_sq, top, grad = (np.zeros(64, dtype) for _ in range(5))
    grad[3] = np.nan
    for _ in range(2):
        backend("adam.adam_update", param, exp_avg, exp_avg_sq, top, grad, np.zeros(1), hyper(), False, False)
    for a in (param, exp_avg, exp_avg_sq, top):
        assert np.isnan(a[3]) and np.count_nonzero(a) == 1


def test_a_late_step_keeps_float64_corrections(backend):
    # beta2 ** t in float32 would be off by a hundred roundings here
    param, exp_avg, exp_avg_sq = np.zeros(8, np.float32), np.ones(8, np.float32), np.ones(8, np.float32)
    agree(
        backend,
        "adam.adam_update",
        param,
        exp_avg,
        exp_avg_sq,
        absent(),
        np.ones(8, np.float32),
        np.array([777.0]),
        hyper(),
        False,
        False,
        tol=3e-7,
    )


def test_refuses_no_step(backend):
    a = [np.zeros(4, np.float32) for _ in range(4)]
    with pytest.raises(ValueError, match="step"):
        backend("adam.adam_update", a[0], a[1], a[2], absent(), a[3], np.zeros(0), hyper(), False, False)
