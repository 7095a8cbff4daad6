"""What a product starts from and ends in, all at once: z = y0 + a @ b + bias, y = activation(z).

A residual connection. Every way through the core: dot products, tiles on packed panels and on operands as they lie,
several blocks of depth, no depth at all.
"""

import itertools

import numpy as np
import pytest
from helpers import poison, same
from hotloop.kernels import scalar, threads
from hotloop.kernels.cpu.pack import matrix
from hotloop.kernels.cpu.product import activated_product
from hotloop.kernels.jit import standalone
from products import Amid, each_transpose, excess_over, normal, operands, turned, wider

SHAPES = [
    (1, 1, 1),
    (1, 40, 300),
    (5, 70, 33),
    (13, 9, 0),
    (15, 33, 17),
    (29, 65, 300),
    (40, 300, 600),
    (150, 130, 110),
]
KINDS = {"none": 0, "relu": scalar.RELU, "tanh": scalar.TANH}
APPLIED = {"none": lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}


@standalone
def multiply(y, z, a, b, transpose_a, transpose_b, accumulate, bias, activation):
    depth = a.shape[0] if transpose_a else a.shape[1]
    m, n, c = y.shape[0], y.shape[1], y.reshape(-1)
    lines = matrix(a.reshape(-1), a.shape[1], m, not transpose_a)
    columns = matrix(b.reshape(-1), b.shape[1], n, transpose_b)
    activated_product(m, n, depth, lines, columns, c, n, accumulate, bias, z.reshape(-1), activation)


@each_transpose
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_start_bias_and_activation(dtype, rng, shape, transpose):
    m, n, k = shape
    a, b = operands(rng, m, n, k, transpose, dtype)
    start, bias = normal(rng, (m, n), dtype), normal(rng, n, dtype)
    left, right = (x.astype(wider(dtype)) for x in turned(a, b, transpose))
    exact, size = left @ right, np.abs(left) @ np.abs(right)
    for accumulate, biased, kind, keep in itertools.product((False, True), (False, True), KINDS, (False, True)):
        y = Amid(start if accumulate else poison((m, n), dtype))
        z, given = Amid(poison((m, n) if keep else (0, 0), dtype), 3), bias if biased else bias[:0]
        multiply(y.array, z.array, a, b, *transpose, accumulate, given, KINDS[kind])
        assert y.surroundings_untouched() and z.surroundings_untouched()
        added = [x.astype(wider(dtype)) for x in [bias] * biased + [start] * accumulate]
        want, bound = sum(added, exact), sum(map(np.abs, added), size)
        # no activation here is steeper than 1; its own roundings, and what six products of parts leave out
        assert excess_over(y.array, APPLIED[kind](want), bound, k + 12) <= 1
        assert not keep or excess_over(z.array, want, bound, k + 10) <= 1


@pytest.mark.parametrize("shape", [(40, 300, 600), (150, 130, 110)], ids=str)
def test_threads_change_no_bit(dtype, rng, shape):
    m, n, k = shape
    a, b = operands(rng, m, n, k, (False, True), dtype)
    start, bias, results, before = normal(rng, (m, n), dtype), normal(rng, n, dtype), [], threads.get_num_threads()
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        y, z = start.copy(), poison((m, n), dtype)
        multiply(y, z, a, b, False, True, True, bias, scalar.TANH)
        results.append((y, z))
    threads.set_num_threads(before)
    assert all(same(y, results[0][0]) and same(z, results[0][1]) for y, z in results)
