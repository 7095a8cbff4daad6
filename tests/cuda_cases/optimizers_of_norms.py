"""Rules that go by norms, products or pairs, and constraints. LAMB and LARS are in optimizers.py."""

import numpy as np
from helpers import absent, poison

from . import case

# numbers of a step, and sums over all elements, are float64
DOUBLE = {
    "_vector_moments",
    "_vector_move",
    "_matrix_moments",
    "_matrix_means",
    "_matrix_length",
    "_matrix_move",
    "_lbfgs_pair",
    "_lbfgs_dots",
    "_lbfgs_begin",
    "_lbfgs_back",
    "_lbfgs_forth",
    "_lbfgs_products",
    "_muon_momentum",
    "_muon_scale",
    "_muon_move",
    "_muon_polynomial",
    "_norm_vectors",
    "_norm_columns",
}
N = 75


def cases(rng, dtype):
    yield from adafactor(rng, dtype)
    yield from lbfgs(rng, dtype)
    hyper = np.array([0.1, 0.2, 0.9, 3.4445, -4.7750, 2.0315, 1e-7])
    for shape, steps, nesterov in (((0, 3), 2, True), ((5, 9), 2, True), ((9, 4), 1, False), ((3, 3), 0, True)):
        arrays = [rng.standard_normal(shape).astype(dtype) for _ in range(3)]
        # an iteration triples what is small, rounding included
        tol = {4: 3e-5, 8: 3e-13}[dtype.itemsize]
        yield case("muon.muon_update", *arrays, np.zeros(2), hyper, 1.5, steps, nesterov, tol=tol)
    for shape in ((0, 2, 3), (2, 0, 3), (2, 5, 3), (3, 11, 1), (1, 7, 10)):
        w = rng.standard_normal(shape).astype(dtype)
        yield case("constraint.norm_update", w, 0.5, 1.5, 0.75)


def adafactor(rng, dtype):
    for before, hyper in ((0, (0.1, -0.8, 1.0, 0.0)), (7, (2.0, -0.5, 1.3, 0.05))):
        tail = np.full(2, float(before)), np.array(hyper), 1e-3, 1e-3, before > 0
        for n in (0, N):
            param, grad, variance = (rng.standard_normal(n).astype(dtype) for _ in range(3))
            yield case("adafactor.vector_update", param, variance**2 * bool(before), grad, *tail)
        for b, r, c in ((0, 2, 3), (2, 0, 3), (1, 7, 9), (3, 3, 2)):
            param, grad = (rng.standard_normal((b, r, c)).astype(dtype) for _ in range(2))
            rows, columns = (rng.standard_normal((b, n)).astype(dtype) ** 2 * bool(before) for n in (r, c))
            yield case("adafactor.matrix_update", param, rows, columns, grad, *tail)


def lbfgs(rng, dtype):
    x, y, d = (rng.standard_normal(N).astype(dtype) for _ in range(3))
    made = poison(N, dtype), poison(N, dtype), poison(1, np.float64), poison(2, np.float64)
    # products of numbers that are rounded to the dtype
    tol = {4: 1e-6, 8: 1e-14}[dtype.itemsize]
    yield case("lbfgs.memory_forward", *made, x, y, d, 0.3, tol=tol)
    yield case("lbfgs.dot_forward", poison(1, np.float64), x, y)
    yield case("lbfgs.move_forward", poison(N, dtype), x, d, 0.7)
    steps = rng.standard_normal((3, N)).astype(dtype)
    differences = (steps + 0.2 * rng.standard_normal((3, N))).astype(dtype)
    rho = 1 / np.einsum("ij,ij->i", steps, differences, dtype=np.float64)
    for first, count in ((0, 0), (1, 1), (0, 2), (2, 3)):
        yield case("lbfgs.direction_forward", poison(N, dtype), x, differences, steps, rho, first, count, 0.6, tol=1e-5)
    none, ring = absent(dtype), np.zeros((2, 0), dtype)
    yield case("lbfgs.dot_forward", poison(1, np.float64), none, none)
    yield case("lbfgs.direction_forward", none, none, ring, ring, np.ones(2), 0, 2, 1.0)
