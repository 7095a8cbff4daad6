"""Update rules for tables of which few rows have gradients: every backend."""

import numpy as np
import pytest
from helpers import absent, agree, poison, same
from hotloop.kernels import cpu, threads

# rows, columns, which have gradients
TABLES = [(5, 3, [0, 2, 4]), (7, 130, []), (1, 1, [0]), (4, 0, [1, 2]), (0, 3, []), (900, 65, range(3, 900, 7))]


def table(rng, dtype, V, D, rows, states):
    """Parameters and states, which are not negative; rows; their gradients."""
    rows = np.array(rows, np.int64)
    arrays = rng.random((states + 1, V, D)).astype(dtype)
    return [*arrays], [rows, rng.standard_normal((rows.size, D)).astype(dtype)]


@pytest.mark.parametrize("V, D, rows", TABLES, ids=lambda v: str(v)[:9])
@pytest.mark.parametrize("maximize", [False, True])
def test_sparse_adam_update(backend, dtype, rng, V, D, rows, maximize):
    states, gradient = table(rng, dtype, V, D, rows, 2)
    hyper = np.array([0.1, 0.8, 0.95, 1e-6])
    step = agree(backend, "sparse_adam.sparse_adam_update", *states, *gradient, np.full(2, 3.0), hyper, maximize)[5]
    assert (step == 4).all()


@pytest.mark.parametrize("V, D, rows", TABLES, ids=lambda v: str(v)[:9])
@pytest.mark.parametrize("momentum, dampening, nesterov", [(0.0, 0.0, False), (0.9, 0.3, False), (0.9, 0.0, True)])
def test_sgd_rows_update(backend, dtype, rng, V, D, rows, momentum, dampening, nesterov):
    states, gradient = table(rng, dtype, V, D, rows, 1)
    hyper = np.array([0.1, momentum, dampening, 0.0])
    for before, maximize in ((0, False), (2, True)):
        buffer = states[1] if momentum and before else poison((V, D), dtype) if momentum else absent(dtype)
        args = states[0], buffer, *gradient, np.full(2, float(before)), hyper, nesterov, maximize
        step = agree(backend, "sgd.sgd_rows_update", *args)[4]
        assert (step == before + (momentum != 0)).all()


def test_rows_that_have_no_gradient_are_not_touched(backend):
    param, m, v = (np.full((4, 2), np.nan) for _ in range(3))
    param[1:3], m[1:3], v[1:3] = 1, 0, 0
    rows, values = np.array([1, 2]), np.ones((2, 2))
    backend("sparse_adam.sparse_adam_update", param, m, v, rows, values, np.zeros(1), np.array([0.1, 0, 0, 1]), False)
    # the correction of beta = 0 is 1: 0.1 * 1 / (1 + 1)
    np.testing.assert_allclose(param[1:3], 0.95)
    backend(
        "sgd.sgd_rows_update", param, np.empty(0), rows, values, np.zeros(1), np.array([1.0, 0, 0, 0]), False, False
    )
    np.testing.assert_allclose(param[1:3], -0.05)
    assert np.isnan(param[[0, 3]]).all()


@pytest.mark.parametrize("rows, error", [([1, 1], ValueError), ([2, 1], ValueError), ([0, 4], IndexError)], ids=str)
def test_rows_are_checked_first(backend, rows, error):
    states, rows, values = [np.ones((4, 2)) for _ in range(3)], np.array(rows), np.ones((2, 2))
    with pytest.raises(error, match="out of range" if error is IndexError else "ascend"):
        args = *states, rows, values, np.zeros(1), np.array([0.1, 0.9, 0.9, 1]), False
        backend("sparse_adam.sparse_adam_update", *args)
    with pytest.raises(error):
        args = *states[:2], rows, values, np.zeros(1), np.array([0.1, 0.9, 0, 0]), False, False
        backend("sgd.sgd_rows_update", *args)
    assert all((state == 1).all() for state in states)


def test_refusals(backend):
    table, rows = np.ones((4, 2)), np.array([1])
    for hyper, buffer, match in (
        ([0.1, 0.0, 0.0, 0.5], table, "weight_decay is not compatible with sparse gradients"),
        ([0.1, 0.9, 0.0, 0.0], np.empty(0), "momentum needs a momentum_buffer"),
    ):
        with pytest.raises(ValueError, match=match):
            args = table, buffer, rows, np.ones((1, 2)), np.zeros(1), np.array(hyper), False, False
            backend("sgd.sgd_rows_update", *args)
    assert (table == 1).all()


def test_bits_do_not_depend_on_threads(rng):
    """Here with many rows: the test of all kernels has two."""
    states, gradient = table(rng, np.float32, 3000, 130, np.arange(0, 3000, 2), 2)
    before = threads.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            here = [a.copy() for a in states]
            cpu.sparse_adam.sparse_adam_update(*here, *gradient, np.ones(1), np.array([0.1, 0.9, 0.99, 1e-8]), False)
            cpu.sgd.sgd_rows_update(*here[:2], *gradient, np.ones(1), np.array([0.1, 0.9, 0, 0]), True, False)
            results.append(here)
    finally:
        threads.set_num_threads(before)
    assert all(same(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
