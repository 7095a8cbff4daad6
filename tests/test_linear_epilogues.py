"""What follows a product while its tile is at hand: bias, activation and its saved z, accumulation; at every edge.

Sizes N, D, H are those of tests/test_gemm_sizes.py; results are held to the bound of tests/products.py, amid NaN that
is neither read nor written.
"""

import itertools

import numpy as np
import pytest
from helpers import absent, agree, error, poison
from hotloop.kernels import scalar
from hotloop.kernels.ref import linear as ref
from products import constants, excess_over, integers, latin_square, layer_errors, normal, on_cpu, run, wider

CODES = {str(name): code for name, code in scalar.ACTIVATIONS.items()}
# one of each kind: nothing, done in registers, done on a tile in L1
KINDS = {"None": 0, "relu": scalar.RELU, "tanh": scalar.TANH}
each_kind = pytest.mark.parametrize("kind", KINDS)
WANTED = [which for which in itertools.product((False, True), repeat=3) if any(which)]


def nothing(dtype, ndim=2):
    return np.empty((0,) * ndim, dtype)


def activated(kind, z):
    return {"None": lambda: z, "relu": lambda: np.where(z <= 0, 0, z), "tanh": lambda: np.tanh(z)}[kind]()


@on_cpu
@each_kind
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
@pytest.mark.parametrize("keep", [False, True], ids=["", "keep-z"])
def test_forward(backend, dtype, rng, kind, bias, keep):
    """z within its bound; y within the same, since no activation here is steeper than 1, and its own two roundings."""
    wrong, cases = [], latin_square(1 + 4 * bias + 8 * keep + KINDS[kind])
    for shift, (n, d, h) in enumerate(cases):
        x, w, b = normal(rng, (n, d), dtype), normal(rng, (h, d), dtype), normal(rng, h if bias else 0, dtype)
        y, z = poison((n, h), dtype), poison((n, h), dtype) if keep else nothing(dtype)
        y, z = run(backend, "linear.linear_forward", y, z, x, w, b, KINDS[kind], written=2, shift=shift)
        wide_x, wide_w, wide_b = (v.astype(wider(dtype)) for v in (x, w, b))
        want = wide_x @ wide_w.T + (wide_b if bias and h else 0)
        size = np.abs(wide_x) @ np.abs(wide_w).T + (np.abs(wide_b) if bias and h else 0)
        fits = excess_over(y, activated(kind, want), size, d + 3) <= 1
        fits &= not (keep and z.size) or excess_over(z, want, size, d + 1) <= 1
        if not fits:
            wrong.append((n, d, h))
    assert not wrong, f"{len(wrong)} of {len(cases)} sizes (N, D, H) are wrong: {wrong[:12]}"


@on_cpu
@each_kind
@pytest.mark.parametrize("accumulate", [False, True], ids=["overwrite", "accumulate"])
def test_backward(backend, dtype, rng, kind, accumulate):
    """Each gradient, and each set of them, within the bound; 4 more roundings for dz, which is no larger than dy."""
    wrong, cases = [], latin_square(2 + 6 * accumulate + KINDS[kind])
    for place, (n, d, h) in enumerate(cases):
        wanted = WANTED[place % len(WANTED)]
        x, w, dy = normal(rng, (n, d), dtype), normal(rng, (h, d), dtype), normal(rng, (n, h), dtype)
        y = activated(kind, normal(rng, (n, h), dtype)) if KINDS[kind] else nothing(dtype)
        make = normal if accumulate else (lambda _, shape, dtype: poison(shape, dtype))
        dx = poison(x.shape, dtype) if wanted[0] else nothing(dtype)
        dw = make(rng, w.shape, dtype) if wanted[1] else nothing(dtype)
        db = make(rng, (h,), dtype) if wanted[2] else nothing(dtype, 1)
        args = (dx, dw, db, dy, x, w, y, nothing(dtype), KINDS[kind], accumulate)
        got = run(backend, "linear.linear_backward", *args, written=3, shift=place)
        if not all(gradients_fit(kind, got, (dx, dw, db), dy, x, w, y, accumulate)):
            wrong.append((n, d, h, wanted))
    assert not wrong, f"{len(wrong)} of {len(cases)} sizes (N, D, H, wanted) are wrong: {wrong[:12]}"


def gradients_fit(kind, got, starts, dy, x, w, y, accumulate):
    dy, x, w, y = (v.astype(wider(x.dtype)) for v in (dy, x, w, y))
    slope = {"None": lambda: 1, "relu": lambda: y > 0, "tanh": lambda: 1 - y * y}[kind]()
    dz, size = dy * slope, np.abs(dy)
    n, h = dy.shape
    wants = (dz @ w, size @ np.abs(w), h), (dz.T @ x, size.T @ np.abs(x), n), (dz.sum(0), size.sum(0), n)
    for gradient, start, (want, bound, depth) in zip(got, starts, wants, strict=True):
        if gradient.size:
            added = start if accumulate and gradient is not got[0] else np.zeros((), y.dtype)
            yield excess_over(gradient, want + added, bound + np.abs(added), depth + 5) <= 1


SHAPES = [(1, 1, 1), (3, 7, 33), (4, 65, 17), (13, 9, 31), (15, 17, 33), (29, 3, 65), (70, 300, 49)]


@on_cpu
@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_activation(backend, dtype, rng, shape, code):
    n, d, h = shape
    x, w, b = normal(rng, (n, d), dtype), normal(rng, (h, d), dtype) / dtype.type(np.sqrt(d)), normal(rng, h, dtype)
    y, z = poison((n, h), dtype), poison((n, h), dtype)
    agree(backend, "linear.linear_forward", y, nothing(dtype), x, w, b, code)
    y, z, *_ = agree(backend, "linear.linear_forward", y, z, x, w, b, code)
    # what is kept is what y was made of
    again = np.empty((n, h))
    ref.linear_forward(again, nothing(np.float64), np.eye(n), z.T.astype(np.float64), absent(np.float64), code)
    assert error(y, again) < 4 * np.finfo(dtype).eps
    dw, db = normal(rng, (h, d), dtype), normal(rng, h, dtype)
    dy = normal(rng, (n, h), dtype)
    agree(backend, "linear.linear_backward", poison((n, d), dtype), dw, db, dy, x, w, y, z, code, True)


@on_cpu
@pytest.mark.parametrize("code", [0, scalar.RELU], ids=["None", "relu"])
@pytest.mark.parametrize("keep", [False, True], ids=["", "keep-z"])
def test_sizes_around_constants(backend, dtype, rng, code, keep):
    """Over several blocks of depth the bias is added once, and the activation comes after the last."""
    wrong, sizes = {}, {c + more for c in constants() if c <= 3000 for more in (-1, 0, 1)}
    cases = [case for s in sizes for case in ((19, s, 21), (s, 9, 33), (21, 17, s), (3, s, 19), (2, 9, s), (41, s, 1))]
    for place, size in enumerate(cases):
        bias, accumulate = place % 5 != 0, place % 2 == 0
        errors = layer_errors(backend, rng, dtype, size, code, bias, keep, accumulate, place)
        if errors:
            wrong[size] = errors
    assert not wrong, f"{len(wrong)} of {len(cases)} sizes (N, D, H) are wrong: {list(wrong.items())[:12]}"


@on_cpu
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("code", [0, scalar.RELU, scalar.LEAKY_RELU], ids=["None", "relu", "leaky_relu"])
@pytest.mark.parametrize("keep", [False, True], ids=["", "keep-z"])
def test_special_numbers(backend, dtype, rng, shape, special, code, keep):
    """In x they touch a row, in w and b a column; what the activation makes of them is IEEE's answer."""
    n, d, h = shape
    for place in ("x", "w", "b"):
        x, w, b = integers(rng, (n, d), dtype), integers(rng, (h, d), dtype), integers(rng, h, dtype)
        {"x": x[-1], "w": w[-1], "b": b}[place][-1] = special
        with np.errstate(invalid="ignore"):
            want = np.einsum("nd,hd->nh", x.astype(np.float64), w.astype(np.float64)) + b
        y, z = poison((n, h), dtype), poison((n, h), dtype) if keep else nothing(dtype)
        y, z = run(backend, "linear.linear_forward", y, z, x, w, b, code, written=2)
        assert not keep or np.array_equal(z, want, equal_nan=True)
        slope = {0: 1.0, scalar.RELU: 0.0, scalar.LEAKY_RELU: dtype.type(0.01)}[code]
        with np.errstate(invalid="ignore"):
            flat = np.zeros_like(want) if slope == 0 else (want * slope).astype(dtype)
        assert np.array_equal(y, np.where(want <= 0, flat, want), equal_nan=True), place


@on_cpu
@pytest.mark.parametrize("shape", [(n, d, h) for n in (1, 5, 30) for d in (0, 1, 3) for h in (1, 17, 65)], ids=str)
@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_no_depth_is_the_bias(backend, dtype, rng, shape, code):
    """Without inputs a layer is its activated bias; gradients of nothing are nothing, or what was there."""
    n, d, h = shape
    x, w, b = (np.zeros((n, d), dtype), np.zeros((h, d), dtype), normal(rng, h, dtype))
    y, z = poison((n, h), dtype), poison((n, h), dtype)
    y, z, *_ = agree(backend, "linear.linear_forward", y, z, x, w, b, code)
    assert (z == b).all()
