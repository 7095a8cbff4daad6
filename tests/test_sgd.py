"""kernels/*/sgd.py: the update rule, its options, and what it must not read or touch."""

import numpy as np
import pytest
from helpers import absent, agree, close, poison

OPTIONS = [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.3, False), (0.9, 0.0, True)]


def hyper(lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0):
    return np.array([lr, momentum, dampening, weight_decay])


@pytest.mark.parametrize("n", [0, 1, 15, 1009, 70001])
@pytest.mark.parametrize("momentum, dampening, nesterov", OPTIONS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("before", [0, 3])
def test_sgd_update(backend, dtype, rng, n, momentum, dampening, nesterov, weight_decay, maximize, before):
    param, buffer, grad = (rng.standard_normal(n).astype(dtype) for _ in range(3))
    buffer = buffer if momentum else absent(dtype)
    step = np.full(3, float(before))
    got = agree(
        backend,
        "sgd.sgd_update",
        param,
        buffer,
        grad,
        step,
        hyper(0.1, momentum, dampening, weight_decay),
        nesterov,
        maximize,
    )
    assert (got[3] == before + (momentum != 0)).all()


def test_by_hand(backend):
    param, buffer, step = np.array([1.0, 2.0]), np.zeros(2), np.zeros(1)
    for _ in range(2):
        backend("sgd.sgd_update", param, buffer, np.array([1.0, -1.0]), step, hyper(0.5, 0.5), False, False)
    # b: 1, then 0.5 * 1 + 1 = 1.5
    assert np.array_equal(param, [1 - 0.5 * (1 + 1.5), 2 + 0.5 * (1 + 1.5)])
    assert np.array_equal(buffer, [1.5, -1.5])
    assert step[0] == 2


def test_first_step_does_not_read_the_buffer(backend, dtype, rng):
    param, grad = (rng.standard_normal(100).astype(dtype) for _ in range(2))
    buffer = poison(100, dtype)
    backend("sgd.sgd_update", param, buffer, grad, np.zeros(1), hyper(0.1, 0.9, 0.5), False, False)
    close(buffer, grad, name="momentum_buffer")


def test_nan_and_infinity_stay_where_they_are(backend, dtype):
    param = np.zeros(64, dtype)
    grad = np.zeros(64, dtype)
    grad[3], grad[40] = np.nan, np.inf
    buffer = np.zeros(64, dtype)
    backend("sgd.sgd_update", param, buffer, grad, np.ones(1), hyper(0.1, 0.9), True, False)
    assert np.isnan(param[3]) and param[40] == -np.inf
    assert np.count_nonzero(param) == 2


def test_refuses(backend):
    a = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="momentum_buffer"):
        backend("sgd.sgd_update", a, absent(), a.copy(), np.zeros(1), hyper(0.1, 0.9), False, False)
    with pytest.raises(ValueError, match="step"):
        backend("sgd.sgd_update", a, a.copy(), a.copy(), np.zeros(0), hyper(0.1, 0.9), False, False)
    with pytest.raises(ValueError):
        backend("sgd.sgd_update", a, absent(), np.zeros(5, np.float32), np.zeros(1), hyper(), False, False)
