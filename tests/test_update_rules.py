"""kernels/*/: update rules that are one pass over flat arrays. SGD and Adam have files of their own."""

from typing import NamedTuple

import numpy as np
import pytest
from helpers import absent, agree, close, poison


class Rule(NamedTuple):
    """How to call module.module_update(param, *states, grad, step, *counters, hyper, *flags)."""

    states: str  # s: signed, p: positive, one letter each
    options: list  # (hyper, flags before maximize, states that are absent)
    counters: tuple = ()
    unread: tuple = ()  # states that the first step does not read


B = (0.9, 0.999)
RULES = {
    "adagrad": Rule(
        "p", [((0.1, 0.0, 0.0, 0.0, 1e-10), (), ()), ((0.1, 0.2, 0.05, 0.3, 0.1), (), ())], unread=("sum",)
    ),
    "rmsprop": Rule(
        "psp",
        [
            ((0.1, 0.99, 1e-8, 0.0, 0.0), (), (1, 2)),
            ((0.1, 0.9, 0.1, 0.05, 0.9), (), (1,)),
            ((0.1, 0.9, 1e-8, 0.05, 0.0), (), (2,)),
            ((0.1, 0.9, 1e-8, 0.0, 0.9), (), ()),
        ],
    ),
    "adadelta": Rule("pp", [((1.0, 0.9, 1e-6, 0.0), (), ()), ((0.3, 0.5, 0.1, 0.05), (), ())]),
    "adamax": Rule("sp", [((0.1, *B, 1e-8, 0.0), (), ()), ((0.1, 0.5, 0.7, 0.1, 0.05), (), ())]),
    "nadam": Rule(
        "sp",
        [((0.1, *B, 1e-8, wd, md), (decoupled,), ()) for wd, md in ((0.0, 4e-3), (0.05, 0.3)) for decoupled in (0, 1)],
        counters=(0.4,),
    ),
    "radam": Rule(
        "sp",
        [((0.1, *B, 1e-8, wd), (decoupled,), ()) for wd in (0.0, 0.05) for decoupled in (0, 1)]
        # the rectification begins at another step
        + [((0.1, 0.5, beta2, 0.1, 0.05), (0,), ()) for beta2 in (0.0, 0.5, 0.9)],
    ),
    "asgd": Rule(
        "s",
        [((0.1, 1e-4, 0.75, t0, wd), (), ()) for t0, wd in ((1e6, 0.0), (2.0, 0.05))],
        counters=(0.07, 0.3),
        unread=("ax",),
    ),
    "rprop": Rule("sp", [((0.1, 0.5, 1.2, 0.2, 1.0), (), ())], unread=("prev", "step_size")),
    "lamb": Rule("sp", [((0.1, *B, 1e-6, wd), (), ()) for wd in (0.0, 0.05)]),
    "lars": Rule(
        "s",
        [
            ((0.5, 0.0, 0.0, 0.1, 1e-8), (0,), (0,)),
            ((0.5, 0.9, 0.05, 0.1, 0.3), (0,), ()),
            ((0.5, 0.9, 0.05, 0.0, 0.0), (1,), ()),
        ],
    ),
    "schedule_free_adamw": Rule(
        "sp",
        [
            ((0.1, *B, 1e-8, wd, warmup, r, power), (), ())
            for wd, warmup, r, power in ((0, 0, 0, 2), (0.05, 30, 1.5, 1))
        ],
        counters=(0.3, 0.01),
        unread=("z",),
    ),
    "lion": Rule("s", [((0.1, 0.9, 0.99, 0.0), (), ()), ((0.1, 0.5, 0.6, 0.05), (), ())]),
}
FIRST = {"schedule_free_adamw": (0.0, 0.0), "nadam": (1.0,), "asgd": (np.nan, 1.0)}
CASES = [(name, i) for name, rule in RULES.items() for i in range(len(rule.options))]


def arguments(rng, name, option, n, dtype, before, maximize):
    rule = RULES[name]
    hyper, flags, missing = rule.options[option]
    draws = [rng.standard_normal(n) for _ in rule.states]
    # an average of gradients is well below that of squares: the difference in RMSprop's root is not about roundings
    states = [0.2 * s if kind == "s" else 1 + np.abs(s) for kind, s in zip(rule.states, draws, strict=True)]
    states = [absent(dtype) if i in missing else s.astype(dtype) for i, s in enumerate(states)]
    param, grad = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    counters = rule.counters if before else FIRST.get(name, rule.counters)
    counters = [np.full(3, value) for value in (float(before), *counters)]
    return [param, *states, grad, *counters, np.array(hyper), *map(bool, flags), maximize]


@pytest.mark.parametrize("n", [0, 1, 15, 1009, 40001])
@pytest.mark.parametrize("before", [0, 7])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name, option", CASES)
def test_update(backend, dtype, rng, name, option, maximize, before, n):
    args = arguments(rng, name, option, n, dtype, before, maximize)
    got = agree(backend, f"{name}.{name}_update", *args)
    step = len(RULES[name].states) + 2
    assert (got[step] == before + 1).all()


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("shaping", [(0.5, np.inf, 0.0), (1.0, 0.7, 0.0), (1.0, np.inf, 0.1), (0.5, 0.4, 0.1)], ids=str)
@pytest.mark.parametrize("name", ["sgd", "adam", *RULES])
def test_a_gradient_that_is_scaled_clipped_and_penalised(backend, dtype, rng, name, shaping, maximize):
    """Behind a rule's own numbers: what it does to the gradient first is as if it had been done before."""
    if name == "sgd":
        a, b, grad = (rng.standard_normal(1009).astype(dtype) for _ in range(3))
        args = [a, b, grad, np.ones(1), np.array([0.1, 0.9, 0.2, 0.05]), False, maximize]
    elif name == "adam":
        a, b, grad, c = (rng.standard_normal(1009).astype(dtype) for _ in range(4))
        args = [a, b, c * c, absent(dtype), grad, np.ones(1), np.array([0.1, *B, 1e-8, 0.05]), False, maximize]
    else:
        args = arguments(rng, name, -1, 1009, dtype, 7, maximize)
        grad = args[len(RULES[name].states) + 1]
    at = {"sgd": 4, "adam": 6}.get(name) or len(RULES[name].states) + 3 + len(RULES[name].counters)
    args[0][::7] = 0
    scale, bound, l1 = shaping
    towards = -1 if maximize else 1
    done = np.clip(dtype.type(scale) * grad, -bound, bound).astype(dtype) + dtype.type(towards * l1) * np.sign(args[0])
    plain = [done if a is grad else a for a in args]
    shaped = [np.array([*a, *shaping]) if i == at else a for i, a in enumerate(args)]
    got = agree(backend, f"{name}.{name}_update", *shaped)
    want = agree(backend, f"{name}.{name}_update", *plain)
    for i in range(at - 1):
        if args[i] is not grad and args[i].size:
            close(got[i], want[i], {4: 1e-5, 8: 1e-13}[dtype.itemsize])


@pytest.mark.parametrize("name", RULES)
def test_refuses_numbers_that_are_neither(backend, rng, name):
    args = arguments(rng, name, -1, 4, np.float32, 0, False)
    at = len(RULES[name].states) + 3 + len(RULES[name].counters)
    args[at] = np.append(args[at], 1.0)
    with pytest.raises(ValueError, match="of the gradient three or none"):
        backend(f"{name}.{name}_update", *args)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.unread])
def test_the_first_step_does_not_read_state_that_has_not_begun(backend, dtype, rng, name):
    args = arguments(rng, name, 0, 100, dtype, 0, False)
    for i, _ in enumerate(RULES[name].unread):
        args[1 + i] = poison(100, dtype)
    got = agree(backend, f"{name}.{name}_update", *args)
    assert all(np.isfinite(got[i]).all() for i in range(1 + len(RULES[name].unread)))


@pytest.mark.parametrize("name", [name for name in RULES if name not in ("lamb", "lars")])
def test_nan_stays_where_it_is(backend, dtype, rng, name):
    """What is no number in the gradient makes its own element no number, for good, and no other. (A norm is one.)"""
    args = arguments(rng, name, -1, 64, dtype, 0, False)
    grad = args[len(RULES[name].states) + 1]
    for _ in range(2):
        grad[3] = np.nan
        backend(f"{name}.{name}_update", *args)
    grad[3] = 1
    backend(f"{name}.{name}_update", *args)
    assert np.flatnonzero(np.isnan(args[0])).tolist() == [3]


@pytest.mark.parametrize("name", RULES)
def test_refuses_no_step(backend, rng, name):
    args = arguments(rng, name, -1, 4, np.float32, 0, False)
    step = len(RULES[name].states) + 2
    for i in range(step, step + 1 + len(RULES[name].counters)):
        args[i] = np.zeros(0)
    with pytest.raises(ValueError, match="step"):
        backend(f"{name}.{name}_update", *args)


@pytest.mark.parametrize("name, option, buffer", [("rmsprop", 3, 3), ("lars", 1, 1)])
def test_momentum_needs_its_buffer(backend, rng, name, option, buffer):
    args = arguments(rng, name, option, 4, np.float32, 0, False)
    args[buffer] = absent()
    with pytest.raises(ValueError, match="momentum_buffer"):
        backend(f"{name}.{name}_update", *args)


# ---- by hand, from the papers


def test_adagrad_by_hand(backend):
    param, total, step = np.array([1.0]), np.zeros(1), np.zeros(1)
    for gradient in (3.0, 4.0):
        backend("adagrad.adagrad_update", param, total, np.array([gradient]), step, np.array([0.5, 1, 0, 0, 0]), False)
    # 3 / sqrt(9), then half the rate: 4 / sqrt(9 + 16)
    np.testing.assert_allclose(param, 1 - 0.5 * 1 - 0.25 * 4 / 5, rtol=1e-15)


def test_rprop_by_hand(backend):
    param, prev, size, step = np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1)
    seen = []
    for gradient in (1.0, 2.0, -1.0, -1.0):
        hyper = np.array([1, 0.5, 1.5, 0, 50])
        backend("rprop.rprop_update", param, prev, size, np.array([gradient]), step, hyper, False)
        seen.append(param[0])
    # as long as lr; longer; no step after a turn, and half as long afterwards
    assert seen == [-1, -2.5, -2.5, -2.5 + 0.75]


def test_lion_by_hand(backend):
    param, average, step = np.array([1.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]), np.zeros(1)
    hyper = np.array([0.1, 0.75, 0.5, 0.5])
    backend("lion.lion_update", param, average, np.array([-1.0, -5.0, 0.0]), step, hyper, False)
    # 0.75 - 0.25 > 0; 0.75 - 1.25 < 0; 0
    np.testing.assert_allclose(param, [0.95 - 0.1, 0.95 + 0.1, 0.95], rtol=1e-15)
    np.testing.assert_allclose(average, [0, -2, 0], rtol=1e-15)


def test_lamb_by_hand(backend):
    param, m, v, step = np.array([3.0, 4.0]), np.zeros(2), np.zeros(2), np.zeros(1)
    backend("lamb.lamb_update", param, m, v, np.array([2.0, -2.0]), step, np.array([0.1, 0.9, 0.999, 0, 0]), False)
    # Adam's first direction is the sign; 5 / sqrt(2) times as long
    np.testing.assert_allclose(param, [3 - 0.5 / np.sqrt(2), 4 + 0.5 / np.sqrt(2)], rtol=1e-12)


def test_lars_by_hand(backend):
    param, buffer, step = np.array([3.0, 4.0]), np.zeros(2), np.zeros(1)
    hyper = np.array([0.5, 0.5, 0.2, 0.1, 0])
    backend("lars.lars_update", param, buffer, np.array([0.6, 0.8]), step, hyper, False, False)
    # 0.1 * 5 / (1 + 0.2 * 5) of gradient and decay
    np.testing.assert_allclose(buffer, [0.25 * 1.2, 0.25 * 1.6], rtol=1e-12)
    np.testing.assert_allclose(param, [3 - 0.125 * 1.2, 4 - 0.125 * 1.6], rtol=1e-12)


def test_norms_are_made_in_float64(backend):
    """Squares of these are out of float32's range."""
    param, grad = (np.full(3, size, np.float32) for size in (2e25, 1e25))
    twin = param.copy()
    backend("lars.lars_update", param, absent(), grad, np.zeros(1), np.array([0.5, 0, 0, 0.5, 0]), False, False)
    # trust is 1
    np.testing.assert_allclose(param, twin - 0.5 * grad, rtol=1e-6)


@pytest.mark.parametrize("of_param, of_grad", [(0, 1), (1, 0), (0, 0)])
def test_no_trust_without_a_norm(backend, of_param, of_grad):
    """A parameter of zeros leaves zero; a gradient of zeros leaves the parameter alone."""
    param, grad = np.full(3, float(of_param)), np.full(3, float(of_grad))
    twin = param.copy()
    backend(
        "lars.lars_update", param, absent(np.float64), grad, np.zeros(1), np.array([0.5, 0, 0, 0.1, 0]), False, False
    )
    assert np.array_equal(param, twin - 0.5 * grad)
    param = twin.copy()
    hyper = np.array([0.5, 0.9, 0.999, 1e-6, 0])
    backend("lamb.lamb_update", param, np.zeros(3), np.zeros(3), grad, np.zeros(1), hyper, False)
    np.testing.assert_allclose(param, twin - 0.5 * grad, rtol=1e-5)
