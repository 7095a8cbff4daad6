"""Update rules: every option, the first step and a later one, what is done to gradients, several blocks."""

import numpy as np
from helpers import absent
from test_update_rules import CASES, RULES, arguments

from . import case

# numbers of a step are made in float64, by one thread of a block; sums over all elements are float64
DOUBLE = {f"_{name}" for name in RULES} | {
    "_adam",
    "_amsgrad",
    "_sgd",
    "_sgd_momentum",
    "_rmsprop_centered",
    "_rmsprop_momentum",
    "_rmsprop_centered_momentum",
    "_schedule_free",
    "_lars_momentum",
    "_table_rows",
    "_sparse_rows",
    # norms
    "_lamb_moments",
    "_lamb_move",
    "_lars_squares",
}
# in the simulator two blocks and a remainder; not on the boundary of four
N = 75
SHAPING = (0.5, 0.3, 0.1)


def shaped(args, at):
    return [np.array([*a, *SHAPING]) if i == at else a for i, a in enumerate(args)]


def cases(rng, dtype):
    for name, option in CASES:
        at = len(RULES[name].states) + 3 + len(RULES[name].counters)
        for before, maximize in ((0, False), (7, True)):
            args = arguments(rng, name, option, N, dtype, before, maximize)
            yield case(f"{name}.{name}_update", *(shaped(args, at) if before else args))
        yield case(f"{name}.{name}_update", *arguments(rng, name, option, 0, dtype, 0, False))
    yield from adam(rng, dtype)
    yield from sgd(rng, dtype)
    yield from tables(rng, dtype)


def adam(rng, dtype):
    param, m, grad = (rng.standard_normal(N).astype(dtype) for _ in range(3))
    v, u = (rng.random(N).astype(dtype) for _ in range(2))
    for top in (absent(dtype), u):
        for decoupled in (False, True):
            for step, decay in ((0.0, 0.0), (3.0, 0.1)):
                hyper = np.array([0.1, 0.9, 0.99, 1e-8, decay, *(SHAPING if step else ())])
                yield case("adam.adam_update", param, m, v, top, grad, np.full(2, step), hyper, decoupled, step > 0)


def sgd(rng, dtype):
    param, buffer, grad = (rng.standard_normal(N).astype(dtype) for _ in range(3))
    for momentum, dampening, decay in ((0, 0, 0), (0, 0, 0.1), (0.9, 0.0, 0.1), (0.9, 0.5, 0.0)):
        for step, nesterov in ((0.0, True), (3.0, False), (3.0, True)):
            hyper = np.array([0.1, momentum, dampening, decay, *(SHAPING if nesterov else ())])
            for kept in (buffer,) if momentum else (buffer, absent(dtype)):
                yield case("sgd.sgd_update", param, kept, grad, np.full(2, step), hyper, nesterov, step > 0)
    none = absent(dtype)
    yield case("sgd.sgd_update", none, none, none, np.zeros(2), np.array([0.1, 0.9, 0, 0]), False, False)


def tables(rng, dtype):
    for v, d, rows in ((7, 5, [0, 3, 6]), (3, 9, [1]), (4, 2, []), (0, 3, [])):
        rows = np.array(rows, np.int64)
        param, buffer, values = (rng.standard_normal((n, d)).astype(dtype) for n in (v, v, len(rows)))
        for momentum, kept in ((0.0, absent(dtype)), (0.0, buffer), (0.9, buffer)):
            for step, flag in ((0.0, False), (3.0, True)):
                args = param, kept, rows, values, np.full(2, step), np.array([0.1, momentum, 0.2, 0]), flag, flag
                yield case("sgd.sgd_rows_update", *args)
                hyper = np.array([0.1, 0.9, 0.99, 1e-8])
                args = param, buffer, buffer**2, rows, values, np.full(2, step), hyper, flag
                yield case("sparse_adam.sparse_adam_update", *args)
