"""kernels/*/constraint and optim/constraints."""

import pickle

import numpy as np
import pytest
from helpers import agree, close
from hotloop import nn, optim

constraints = optim.constraints


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (1, 1, 1), (7, 130, 1), (5, 3, 37), (3, 40_001, 1)], ids=str)
@pytest.mark.parametrize("low, high, rate", [(0.0, 2.0, 1.0), (1.0, 1.0, 1.0), (3.0, 5.0, 0.3)])
def test_norm_update(backend, dtype, rng, shape, low, high, rate):
    agree(backend, "constraint.norm_update", rng.standard_normal(shape).astype(dtype), low, high, rate)


def test_zeros_and_nan(backend, dtype):
    w = np.zeros((3, 2, 1), dtype)
    w[1] = np.nan
    backend("constraint.norm_update", w, 1.0, 1.0, 1.0)
    assert np.isnan(w[1]).all() and not w[[0, 2]].any()


def by_hand(w, axis, low, high, rate=1.0):
    norm = np.sqrt((w**2).sum(axis=axis, keepdims=True))
    return w * ((1 - rate) * norm + rate * np.clip(norm, low, high)) / (norm + 1e-7)


CASES = {
    "max": (constraints.MaxNorm(), (4, 5), lambda w: by_hand(w, 1, 0, 2)),
    "max of columns": (constraints.MaxNorm(0.5, axis=0), (4, 5), lambda w: by_hand(w, 0, 0, 0.5)),
    "unit": (constraints.UnitNorm(), (4, 3, 2, 2), lambda w: by_hand(w, (1, 2, 3), 1, 1)),
    "unit of taps": (constraints.UnitNorm(axis=(-1, 2)), (4, 3, 2, 2), lambda w: by_hand(w, (2, 3), 1, 1)),
    "a vector": (constraints.UnitNorm(), (6,), lambda w: by_hand(w, 0, 1, 1)),
    "between": (constraints.MinMaxNorm(1.5, 2.0, rate=0.4, axis=1), (5, 2, 3), lambda w: by_hand(w, 1, 1.5, 2, 0.4)),
    "not negative": (constraints.NonNeg(), (4, 5), lambda w: np.maximum(w, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_after_a_step(rng, case):
    constraint, shape, want = CASES[case]
    p, free = nn.Parameter(rng.standard_normal(shape)), nn.Parameter(rng.standard_normal(shape))
    optimizer = optim.SGD([{"params": [p], "constraint": constraint}, {"params": [free]}], lr=0.5)
    p.grad, free.grad = rng.standard_normal(shape), rng.standard_normal(shape)
    moved = [q.numpy() - 0.5 * q.grad for q in (p, free)]
    optimizer.step()
    close(p.numpy(), want(moved[0]))
    close(free.numpy(), moved[1])


def test_a_function_of_one_s_own_sees_what_was_updated(rng):
    params = [nn.Parameter(rng.standard_normal(3)) for _ in range(2)]
    seen = []
    optimizer = optim.Adam(params, constraint=lambda p: seen.append(p) or p.mul_(0.0))
    params[1].grad = np.ones(3)
    optimizer.step()
    assert seen == params[1:] and not params[1].numpy().any() and params[0].numpy().all()


def test_a_function_may_return_new_values(rng):
    """As Keras' constraints do."""
    start, grad = rng.standard_normal((2, 5))
    p = nn.Parameter(start.copy())
    p.grad = grad
    optim.SGD([p], lr=0.5, constraint=lambda p: p.clamp(min=0)).step()
    close(p.numpy(), np.maximum(start - 0.5 * grad, 0))
    p.grad = np.ones(5)
    with pytest.raises(ValueError, match=r"expected a shape that broadcasts to \(5,\), got \(2, 5\)"):
        optim.SGD([p], constraint=lambda p: np.ones((2, 5))).step()


def test_a_constraint_is_no_state(rng):
    """A state is numbers, which files hold; the constraint of the constructor stays when one is loaded."""
    p = nn.Parameter(rng.standard_normal(5))
    optimizers = [optim.SGD([p], lr=lr, constraint=lambda p: p.clamp(max=0)) for lr in (0.1, 0.2)]
    optimizers[1].load_state_dict(pickle.loads(pickle.dumps(optimizers[0].state_dict())))
    p.grad = np.ones(5)
    optimizers[1].step()
    assert optimizers[1].param_groups[0]["lr"] == 0.1 and (p.numpy() <= 0).all()


def test_refuses(rng):
    p = nn.Parameter(rng.standard_normal((2, 3, 4)))
    p.grad = np.ones((2, 3, 4))
    for axis in (3, (0, 2), ()):
        with pytest.raises(ValueError, match="axis: expected one of the 3 dimensions"):
            optim.SGD([p], constraint=constraints.UnitNorm(axis=axis)).step()
    with pytest.raises(ValueError, match="Invalid rate value: 2"):
        constraints.MinMaxNorm(rate=2)
    with pytest.raises(ValueError, match="got 3 and 1"):
        constraints.MinMaxNorm(3, 1)
    with pytest.raises(TypeError, match="expected a function of a parameter, got a int"):
        optim.SGD([p], constraint=3)
    with pytest.raises(ValueError, match="LBFGS does not support constraint"):
        optim.LBFGS([{"params": [p], "constraint": constraints.NonNeg()}])
