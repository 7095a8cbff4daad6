"""Kernels called from a user's own @njit functions: checked there too, the same bits as from Python, and cached."""

import numpy as np
import pytest
from helpers import poison, python, same
from hotloop.kernels.cpu.linear import linear_backward, linear_forward
from hotloop.kernels.cpu.penalty import penalty_forward
from hotloop.kernels.cpu.sgd import sgd_update
from hotloop.kernels.cpu.sort import topk_forward
from hotloop.kernels.cpu.unary import sqrt_forward
from hotloop.kernels.scalar import TANH
from numba import njit
from numba.core.errors import TypingError


@njit
def forward(y, z, x, w, b):
    linear_forward(y, z, x, w, b, TANH)


def operands(rng, n=7, d=5, h=3):
    return [rng.standard_normal(shape, np.float32) for shape in ((n, d), (h, d), (h,))]


def test_the_same_bits_as_from_python(rng):
    x, w, b = operands(rng, 200, 61, 35)
    compiled, called = poison((200, 35), np.float32), poison((200, 35), np.float32)
    absent = np.empty((0, 0), np.float32)
    forward(compiled, absent, x, w, b)
    linear_forward(called, absent, x, w, b, TANH)
    assert same(compiled, called)


def test_shapes_are_checked_in_compiled_code(rng):
    x, w, b = operands(rng)
    absent = np.empty((0, 0), np.float32)
    with pytest.raises(ValueError, match=r"linear_forward.*shape"):
        forward(np.empty((7, 4), np.float32), absent, x, w, b)
    with pytest.raises(ValueError, match=r"linear_forward.*shape"):
        forward(np.empty((7, 3), np.float32), absent, x, w, b[:2])


def test_types_are_checked_when_compiling(rng):
    x, w, b = operands(rng)
    y, absent = np.empty((7, 3), np.float32), np.empty((0, 0), np.float32)
    with pytest.raises(TypingError, match="mixed dtypes"):
        forward(y, absent, x.astype(np.float64), w, b)
    with pytest.raises(TypingError, match="C-contiguous"):
        forward(y, absent, np.asfortranarray(x), w, b)
    with pytest.raises(TypingError, match="float32 or float64"):
        forward(np.empty((7, 3), int), absent, x, w, b)
    y.flags.writeable = False
    with pytest.raises(TypingError, match="writable"):
        forward(y, absent, x, w, b)


@njit
def square_root(y, x):
    sqrt_forward(y, x)


@njit
def penalise(value, w, strength):
    penalty_forward(value, w, strength, 0)


@njit
def choose(y, x, count):
    topk_forward(y, np.empty(y.shape, np.int64), x, count)


def test_arrays_of_any_shape_must_be_of_one_in_compiled_code(rng):
    x = rng.uniform(size=(2, 3))
    y = np.empty_like(x)
    square_root(y, x)
    np.testing.assert_allclose(y, np.sqrt(x))
    for wrong in (x.reshape(3, 2), x.reshape(6), x[:1]):
        with pytest.raises(ValueError, match=r"sqrt_forward.*shape"):
            square_root(y, wrong)


def test_scalars_are_checked_when_compiling(rng):
    value, w = np.empty(1), rng.standard_normal(5)
    penalise(value, w, 2)
    np.testing.assert_allclose(value, 2 * np.abs(w).sum())
    with pytest.raises(TypingError, match="l1: expected float, got array"):
        penalise(value, w, w)
    x, y = rng.standard_normal((2, 5)), np.empty((2, 3))
    choose(y, x, True)
    np.testing.assert_array_equal(y, -np.sort(-x)[:, :3])
    with pytest.raises(TypingError, match="largest: expected bool, got float64"):
        choose(y, x, 0.5)


def train(steps, x, target, w1, b1, w2, b2, hyper):
    """A two-layer regression, every allocation before the loop; plain Python, so that it runs both ways."""
    n, hidden, out = x.shape[0], w1.shape[0], w2.shape[0]
    h, dh = np.empty((n, hidden), x.dtype), np.empty((n, hidden), x.dtype)
    y, dy = np.empty((n, out), x.dtype), np.empty((n, out), x.dtype)
    dw1, db1, dw2, db2 = np.empty_like(w1), np.empty_like(b1), np.empty_like(w2), np.empty_like(b2)
    absent, none, steps_made = np.empty((0, 0), x.dtype), np.empty(0, x.dtype), np.zeros(1)
    losses = np.empty(steps)
    for step in range(steps):
        linear_forward(h, absent, x, w1, b1, TANH)
        linear_forward(y, absent, h, w2, b2, 0)
        total = 0.0
        for i in range(n):
            for j in range(out):
                dy[i, j] = (y[i, j] - target[i, j]) * x.dtype.type(2 / n)
                total += (y[i, j] - target[i, j]) ** 2
        losses[step] = total / n
        linear_backward(dh, dw2, db2, dy, h, w2, absent, absent, 0, False)
        linear_backward(absent, dw1, db1, dh, x, w1, h, absent, TANH, False)
        for param, grad in ((w1.reshape(-1), dw1.reshape(-1)), (b1, db1), (w2.reshape(-1), dw2.reshape(-1)), (b2, db2)):
            sgd_update(param, none, grad, steps_made, hyper, False, False)
    return losses


def test_a_whole_training_loop(rng):
    x = rng.uniform(-1, 1, (64, 2))
    target = np.stack([x[:, 0] * x[:, 1], np.sin(3 * x[:, 0])], 1)
    weights = [rng.standard_normal(shape) / 2 for shape in ((16, 2), (16,), (2, 16), (2,))]
    hyper = np.array([0.1, 0.0, 0.0, 0.0])
    in_python, in_compiled = [w.copy() for w in weights], [w.copy() for w in weights]
    losses = train(300, x, target, *in_python, hyper)
    assert losses[-1] < 0.2 * losses[0]
    njit(train)(300, x, target, *in_compiled, hyper)
    # the kernels give the same bits; the loss between them is the user's own arithmetic, compiled with the user's flags
    for a, b in zip(in_python, in_compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


CACHED = """
import numpy as np
from numba import njit
from hotloop.kernels.cpu.gemm import matmul_forward

@njit(cache=True)
def square(y, a):
    matmul_forward(y, a, a, False, False, False)

a = np.arange(160000, dtype=np.float32).reshape(400, 400) % 7
y = np.empty_like(a)
square(y, a)
assert np.array_equal(y, a @ a), "wrong result"
print(sum(square.stats.cache_hits.values()), sum(square.stats.cache_misses.values()))
"""


def test_users_may_cache_what_calls_kernels(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(CACHED)
    runs = [python(program, env={"NUMBA_CACHE_DIR": tmp_path / "cache"}).split() for _ in range(2)]
    assert runs == [["0", "1"], ["1", "0"]]


STALE = """
import os
import numpy as np
from hotloop.kernels import cache
from numba import njit

# a package whose files are others
digest, release = cache.digest, os.environ["RELEASE"]
cache.digest = lambda path: digest(path) + release

from hotloop.kernels.cpu.unary import sqrt_forward

@njit
def within(y, x):
    sqrt_forward(y, x)

@njit(cache=True)
def root(y, x):
    within(y, x)

y = np.empty(3)
root(y, np.array([1.0, 4.0, 9.0]))
assert y.tolist() == [1, 2, 3]
print(sum(root.stats.cache_hits.values()), sum(root.stats.cache_misses.values()))
"""


def test_what_users_cached_is_stale_when_kernels_have_changed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(STALE)

    def hits_and_misses(release):
        return python(program, env={"NUMBA_CACHE_DIR": tmp_path / "cache", "RELEASE": release}).split()

    for release in ("first", "second"):
        assert hits_and_misses(release) == ["0", "1"]
        assert hits_and_misses(release) == ["1", "0"]
